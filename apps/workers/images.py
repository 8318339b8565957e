"""Images in what is asked of a model. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ShownImage:
    """An image's address, and its place in the request."""

    url: str
    path: str


def images_in(messages: object, name: str = "messages") -> list[ShownImage]:
    """All images in a chat's messages, or in a response's input, in their order. Checks no shapes.

    `name`: of the field that has them.
    Source: OpenAI API reference, "Create chat completion" and "Create a model response", the parts of contents.
    """
    found: list[ShownImage] = []
    for i, message in enumerate(messages if isinstance(messages, list) else ()):
        content = message.get("content") if isinstance(message, dict) else None
        for j, part in enumerate(content if isinstance(content, list) else ()):
            image = part.get("image_url") if isinstance(part, dict) else None
            path = f"{name}[{i}].content[{j}].image_url"
            if isinstance(image, dict):
                image, path = image.get("url"), f"{path}.url"
            found += [ShownImage(image, path)] if isinstance(image, str) else []
    return found


def image_urls(messages: object) -> list[str]:
    """Their addresses alone."""
    return [image.url for image in images_in(messages)]
