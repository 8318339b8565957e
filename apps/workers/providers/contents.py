"""What messages may hold on their way to a provider: nothing that makes it fetch an address or open a file. Pure.

A server of one's own would fetch it from inside the network, and a service would take ids of files for those of the
site's account.

Source: OpenAI API reference, "Create chat completion", the types of content parts.
"""

from apps.workers.providers.options import refused

_HARMLESS = {"text", "refusal", "input_audio"}


def check_messages(messages: object, provider: str) -> None:
    """Shapes are the provider's to judge. Raises: WorkerRefused, naming the part."""
    for i, message in enumerate(messages if isinstance(messages, list) else ()):
        content = message.get("content") if isinstance(message, dict) else None
        for j, part in enumerate(content if isinstance(content, list) else ()):
            if isinstance(part, dict):
                _check_part(part, f"messages[{i}].content[{j}]", provider)


def _check_part(part: dict[str, object], path: str, provider: str) -> None:
    kind = part.get("type")
    if kind == "image_url":
        image = part.get("image_url")
        url = image.get("url") if isinstance(image, dict) else image
        if not isinstance(url, str) or not url.startswith("data:image/"):
            raise refused(f"{path}.image_url.url", "send the image itself, as data:image/png;base64,... or the like")
    elif not isinstance(kind, str) or kind not in _HARMLESS:
        raise refused(f"{path}.type", f"{kind!r} is not passed on to {provider}, which serves this model")
    # Servers look for these whatever the type says.
    if names := sorted(name for name in part if name.endswith("_url") and name != kind):
        raise refused(f"{path}.{names[0]}", f"it does not belong to a part of type {kind!r}")
