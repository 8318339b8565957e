"""Image files of strangers: found in a `data:` URL, judged by their header, then decoded to upright RGB.

The site and the worker read images here and nowhere else. It imports Pillow and the standard library, fetches nothing
and keeps nothing. Only four decoders are ever tried, and only the one that the sender names: what a file says of
itself further inside (a script, a second format) is never looked at.
"""

import base64
import binascii
import io
import re
import threading
from dataclasses import dataclass

from PIL import Image, ImageOps

from gpu_worker.protocol import MAX_IMAGE_BYTES, MAX_IMAGE_PIXELS

FORMATS = {"image/png": "PNG", "image/jpeg": "JPEG", "image/webp": "WEBP", "image/gif": "GIF"}
"""By media type, as Pillow calls them."""

MAX_SIDE = 4096
"""Of a decoded image, in pixels. Larger ones are made smaller: no model looks closer."""

_DATA_URL = re.compile(r"data:([a-z]+/[a-z0-9.+-]+);base64,", re.IGNORECASE)

_TOGETHER = threading.Semaphore(2)
"""So many images are decoded at once: each may take some hundred megabytes for a moment."""


class ImageRefused(ValueError):
    """The image cannot be taken. The message says why, and what to send instead."""


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image as it came: not decoded, and not known to be one."""

    media_type: str
    data: bytes


def from_data_url(url: str) -> ImageFile:
    """The file in a `data:` URL. Raises: ImageRefused. Source: RFC 2397; OpenAI API reference, "Images and vision"."""
    found = _DATA_URL.match(url)
    if found is None:
        raise ImageRefused("no URL is fetched; send the image itself as data:image/png;base64,... (or jpeg, webp, gif)")
    media_type = found[1].lower()
    if media_type not in FORMATS:
        raise ImageRefused(f"{media_type[:40]} is no kind of image that is read here; send {_kinds()}")
    if len(url) > len(found[0]) + (MAX_IMAGE_BYTES + 2) // 3 * 4:
        raise _too_many_bytes()
    try:
        data = base64.b64decode(url[found.end() :], validate=True)
    except (binascii.Error, ValueError) as exc:
        raise ImageRefused("what follows base64, is not base64") from exc
    return ImageFile(media_type, data)


def read_image(file: ImageFile) -> Image.Image:
    """The image in RGB, turned as its camera was held, on white where it is transparent, and at most `MAX_SIDE` wide.

    Nothing else of the file is left: no place, no time, no thumbnail. Raises: ImageRefused.
    """
    if file.media_type not in FORMATS:
        raise ImageRefused(f"{file.media_type[:40]} is no kind of image that is read here; send {_kinds()}")
    if len(file.data) > MAX_IMAGE_BYTES:
        raise _too_many_bytes()
    name = FORMATS[file.media_type]
    with _TOGETHER:
        try:
            with Image.open(io.BytesIO(file.data), formats=[name]) as image:
                _refuse_by_header(image)
                image.draft("RGB", (MAX_SIDE, MAX_SIDE))  # of a large JPEG, only as much as is wanted is decoded
                return _pixels_alone(_upright_rgb(image))
        except ImageRefused:
            raise
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as exc:
            raise _too_many_pixels() from exc
        except Exception as exc:  # decoders raise many kinds for what is one thing to a sender
            raise ImageRefused(f"it is no valid {name} image, or it is cut off") from exc


def _refuse_by_header(image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAX_IMAGE_PIXELS:
        raise _too_many_pixels()
    # A JPEG may hold further pictures (depth, previews), of which the first is meant.
    if image.format != "MPO" and getattr(image, "is_animated", False):
        raise ImageRefused("it is animated; send one still image")


def _upright_rgb(image: Image.Image) -> Image.Image:
    image.load()
    if image.mode.startswith(("I", "F")):  # 16 bits of grey: Pillow would cut off what is above 255
        image = image.point(lambda value: value / 256).convert("L")
    upright = ImageOps.exif_transpose(image)
    upright.thumbnail((MAX_SIDE, MAX_SIDE))
    if not upright.has_transparency_data:
        return upright.convert("RGB")
    layered = upright.convert("RGBA")
    white = Image.new("RGBA", layered.size, "white")
    return Image.alpha_composite(white, layered).convert("RGB")


def _pixels_alone(image: Image.Image) -> Image.Image:
    """Pillow carries comments and camera data along, and would write them again."""
    return Image.frombytes("RGB", image.size, image.tobytes())


def _kinds() -> str:
    return "a PNG, JPEG, WebP or GIF"


def _too_many_bytes() -> ImageRefused:
    return ImageRefused(f"it has more than {MAX_IMAGE_BYTES // 2**20} MiB; send a smaller one")


def _too_many_pixels() -> ImageRefused:
    return ImageRefused(f"it has more than {MAX_IMAGE_PIXELS // 10**6} million pixels; send a smaller one")
