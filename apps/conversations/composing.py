"""What the message boxes of the chat and of the arena know of the site, so that they say it before anything is sent."""

from django.conf import settings

from apps.workers.image_files import MAX_IMAGE_BYTES


def composer_limits() -> dict[str, int]:
    return {"message_max_chars": settings.MESSAGE_MAX_CHARS, "image_max_bytes": MAX_IMAGE_BYTES}
