"""Images in what is asked of a model. Pure."""


def image_urls(messages: object) -> list[str]:
    """The addresses of all images in a chat's messages, or in a response's input, in their order. Checks no shapes.

    Source: OpenAI API reference, "Create chat completion" and "Create a model response", the parts of contents.
    """
    found: list[str] = []
    for message in messages if isinstance(messages, list) else ():
        content = message.get("content") if isinstance(message, dict) else None
        for part in content if isinstance(content, list) else ():
            image = part.get("image_url") if isinstance(part, dict) else None
            url = image.get("url") if isinstance(image, dict) else image
            found += [url] if isinstance(url, str) else []
    return found
