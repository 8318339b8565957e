"""Image files that people bring, as the site keeps them: decoded, and written again from their pixels alone.

So nothing of the file that came is left: no place and time of a photo, no comments, no second format behind the
pixels. The reader is the worker's own, and it refuses the same things (`gpu_worker.images`).
"""

import hashlib
import io
from dataclasses import dataclass

from PIL import Image

from gpu_worker.images import ImageFile, ImageRefused, read_image
from gpu_worker.protocol import MAX_IMAGE_BYTES, MAX_IMAGES

__all__ = ["MAX_IMAGES", "MAX_IMAGE_BYTES", "ImageRefused", "KeptFile", "kept_file"]

KEPT_SIDE = 1536
"""The longer one, in pixels."""
KEPT_BYTES = 512 * 1024
"""As many images as a request may have fit into a body together."""
QUALITIES = (85, 70, 50)


@dataclass(frozen=True, slots=True)
class KeptFile:
    """An image as it is kept. `digest`: of the file, in hex."""

    media_type: str
    data: bytes
    digest: str
    width: int
    height: int


def kept_file(data: bytes, media_type: str) -> KeptFile:
    """`media_type`: what its sender calls it. Takes seconds at worst. Raises: ImageRefused."""
    image = read_image(ImageFile(media_type, data))
    image.thumbnail((KEPT_SIDE, KEPT_SIDE))
    # Drawings and screenshots stay sharp if they can; photos of that size cannot.
    kind, written = ("png", _written(image, "PNG")) if media_type != "image/jpeg" else ("jpeg", b"")
    if not written or len(written) > KEPT_BYTES:
        kind, written = "jpeg", _as_jpeg(image)
    return KeptFile(f"image/{kind}", written, hashlib.sha256(written).hexdigest(), image.width, image.height)


def _as_jpeg(image: Image.Image) -> bytes:
    """As good as fits; noise is made smaller until it does."""
    while True:
        for quality in QUALITIES:
            written = _written(image, "JPEG", quality=quality)
            if len(written) <= KEPT_BYTES:
                return written
        image.thumbnail((max(image.size) * 3 // 4,) * 2)


def _written(image: Image.Image, kind: str, **options: int) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, optimize=True, **options)
    return file.getvalue()
