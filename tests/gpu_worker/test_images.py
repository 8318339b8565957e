"""Image files of strangers: what is read, how it comes out, and what is refused in which words."""

import base64
import io
import struct
import zlib
from typing import Any

import pytest
from PIL import Image

from gpu_worker.images import MAX_SIDE, ImageFile, ImageRefused, from_data_url, read_image
from gpu_worker.protocol import MAX_IMAGE_BYTES
from tests.gpu_worker.tiny_vision import data_url, picture

SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


def read(url: str) -> Image.Image:
    return read_image(from_data_url(url))


def png_of_size(width: int, height: int) -> bytes:
    """A PNG whose header promises so many pixels, and whose data are one row of them."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "gif"])
def test_the_four_kinds_are_read(kind: str) -> None:
    image = read(data_url(Image.new("RGB", (30, 20), "red"), kind))
    assert (image.mode, image.size) == ("RGB", (30, 20))
    red, green, blue = image.getpixel((15, 10))  # type: ignore[misc]
    assert red > 240 and green < 15 and blue < 15


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.new("CMYK", (8, 8), (0, 255, 255, 0)), (255, 0, 0)),
        (Image.new("L", (8, 8), 77), (77, 77, 77)),
        (Image.new("I;16", (8, 8), 77 * 256), (77, 77, 77)),
        (Image.new("RGBA", (8, 8), (10, 20, 30, 0)), (255, 255, 255)),
        (Image.new("RGB", (8, 8), (10, 20, 30)).quantize(4), (10, 20, 30)),
        (Image.new("1", (1, 1), 1), (255, 255, 255)),
    ],
    ids=["cmyk", "grey", "16 bits", "transparent", "palette", "one pixel"],
)
def test_colours_come_out_as_they_are_meant(image: Image.Image, expected: tuple[int, int, int]) -> None:
    kind = "jpeg" if image.mode == "CMYK" else "png"
    found: Any = read(data_url(image, kind)).getpixel((0, 0))
    assert all(abs(one - other) < 4 for one, other in zip(found, expected, strict=True))


def test_a_photo_is_turned_as_its_camera_was_held_and_says_no_more_where_it_was_taken() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    exif.get_ifd(0x8825)[1] = "N"
    image = read(data_url(Image.new("RGB", (40, 20), "red"), "jpeg", exif=exif))
    assert image.size == (20, 40)
    assert not image.getexif() and not image.info.get("exif")


def test_what_is_larger_than_any_model_looks_at_is_made_smaller() -> None:
    assert read(data_url(Image.new("L", (MAX_SIDE * 2, 100)))).size == (MAX_SIDE, 50)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://example.org/cat.png", "no URL is fetched"),
        ("file:///etc/passwd", "no URL is fetched"),
        ("data:image/png,abc", "no URL is fetched"),
        ("data:image/png;base64,a%20b", "not base64"),
        ("data:image/png;base64,YQ=", "not base64"),
        (data_url(SVG, "svg+xml"), r"image/svg\+xml is no kind of image"),
        ("data:text/html;base64,YQ==", "text/html is no kind of image"),
        (data_url(SVG, "png"), "no valid PNG"),
        (data_url(b"", "png"), "no valid PNG"),
        (data_url(base64.b64decode(data_url(picture()).partition(",")[2]), "jpeg"), "no valid JPEG"),
        (data_url(png_of_size(20_000, 20_000)), "more than 50 million pixels"),
        (data_url(png_of_size(8_000, 8_000)), "more than 50 million pixels"),
        (data_url(png_of_size(2**31 - 1, 2**31 - 1)), "more than 50 million pixels"),
        (data_url(png_of_size(100, 100)), "cut off"),
        (data_url(bytes(MAX_IMAGE_BYTES + 1)), "more than 5 MiB"),
    ],
)
def test_what_is_no_image_or_too_much_of_one_is_refused_in_words(url: str, words: str) -> None:
    with pytest.raises(ImageRefused, match=words):
        read(url)


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "gif"])
def test_an_image_that_is_cut_off_is_refused(kind: str) -> None:
    whole = from_data_url(data_url(picture(300, 300), kind)).data
    with pytest.raises(ImageRefused, match="cut off"):
        read_image(ImageFile(f"image/{kind}", whole[: len(whole) // 2]))


@pytest.mark.parametrize("kind", ["png", "webp", "gif"])
def test_moving_images_are_refused(kind: str) -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    with pytest.raises(ImageRefused, match="animated"):
        read(data_url(frames[0], kind, save_all=True, append_images=frames[1:]))


def test_of_a_file_that_is_two_things_only_the_pixels_are_left() -> None:
    file = io.BytesIO()
    picture().save(file, "JPEG", comment=b"<script>alert(1)</script>")
    both = ImageFile("image/jpeg", file.getvalue() + b"PK\x03\x04<html><script>alert(2)</script>")
    again = io.BytesIO()
    read_image(both).save(again, "JPEG")
    assert b"script" not in again.getvalue() and b"PK" not in again.getvalue()[-50:]
