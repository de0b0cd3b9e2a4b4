"""Image files of every mode and format become 8-bit RGB without losing what they show."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from app.data.image_decoding import SUFFIXES, UNREADABLE, decode, decode_cropped, to_channels

BLACK, GREY, WHITE, RED = (0, 0, 0), (128, 128, 128), (255, 255, 255), (255, 0, 0)


def saved(image: Image.Image, kind: str, **options: object) -> BytesIO:
    file = BytesIO()
    image.save(file, kind, **options)
    file.seek(0)
    return file


def pixel(file: BytesIO, x: int, y: int, background: str = "#ffffff") -> tuple[int, ...]:
    return tuple(map(int, decode_cropped(file, 8, background)[:, y, x]))


def halves(low: float, high: float, dtype: str) -> NDArray[np.generic]:
    values = np.full((8, 8), low, dtype)
    values[:, 4:] = high
    return values


@pytest.mark.parametrize(
    ("mode", "kind", "colour", "expected"),
    [
        ("1", "PNG", 1, WHITE),
        ("L", "PNG", 128, GREY),
        ("P", "GIF", 0, BLACK),
        ("RGB", "PNG", RED, RED),
        ("CMYK", "TIFF", (0, 255, 255, 0), RED),
        ("YCbCr", "TIFF", (76, 85, 255), RED),
        ("LAB", "TIFF", (255, 128, 128), WHITE),
        ("LA", "PNG", (128, 255), GREY),
        ("RGBA", "PNG", (*RED, 255), RED),
        ("RGBX", "TIFF", (*RED, 0), RED),
    ],
)
def test_modes_of_files_become_rgb(mode: str, kind: str, colour: int, expected: tuple[int, ...]) -> None:
    found = pixel(saved(Image.new(mode, (8, 8), colour), kind), 4, 4)

    assert found == pytest.approx(expected, abs=2)


@pytest.mark.parametrize(
    ("dtype", "kind", "low", "high"),
    [
        ("uint16", "PNG", 5_000, 42_000),
        ("uint16", "TIFF", 3, 4_095),
        ("int32", "TIFF", -9, 1e9),
        ("float32", "TIFF", -0.5, 0.5),
    ],
)
def test_deep_greys_are_scaled_by_their_own_range(dtype: str, kind: str, low: float, high: float) -> None:
    values = halves(low, high, dtype)
    values[0, 0] = (low + high) / 2
    file = saved(Image.fromarray(values), kind)

    assert (pixel(file, 1, 4), pixel(file, 7, 4)) == (BLACK, WHITE)
    assert pixel(file, 0, 0) == pytest.approx(GREY, abs=1)


def test_values_that_are_not_finite_do_not_set_the_range() -> None:
    values = halves(0, 10, "float32")
    values[0, 0], values[1, 0] = np.nan, np.inf
    file = saved(Image.fromarray(values), "TIFF")

    assert (pixel(file, 0, 0), pixel(file, 1, 4), pixel(file, 7, 4)) == (BLACK, BLACK, WHITE)


@pytest.mark.parametrize("mode", ["LA", "RGBA", "P", "L"])
@pytest.mark.parametrize(("background", "expected"), [("#ffffff", WHITE), ("#ff0000", RED)])
def test_transparent_images_are_laid_on_a_background(mode: str, background: str, expected: tuple[int, ...]) -> None:
    if mode in ("LA", "RGBA"):
        image = Image.new(mode, (8, 8), (0,) * len(mode))
        image.paste((0,) * (len(mode) - 1) + (255,), (4, 0, 8, 8))
        file = saved(image, "PNG")
    else:
        image = Image.new("L", (8, 8), 7)
        image.paste(0, (4, 0, 8, 8))
        file = saved(image.convert("P") if mode == "P" else image, "PNG", transparency=7)

    assert (pixel(file, 1, 4, background), pixel(file, 7, 4, background)) == (expected, BLACK)


@pytest.mark.parametrize(("mode", "kept"), [("L", "L"), ("LA", "LA"), ("RGB", "RGB"), ("RGBA", "RGBA"), ("I;16", "L")])
def test_decoded_image_keeps_its_channels_until_it_becomes_rgb(mode: str, kept: str) -> None:
    decoded = decode(saved(Image.new(mode, (8, 8)), "PNG"))

    assert decoded.mode == kept
    assert to_channels(decoded, 3).mode == "RGB"


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_first_frame_of_an_animation_is_taken(kind: str) -> None:
    red, blue = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (8, 8), "blue")
    file = saved(red, kind, save_all=True, append_images=[blue])

    assert pixel(file, 4, 4) == pytest.approx(RED, abs=8)


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_every_format_is_read(suffix: str, tmp_path: Path) -> None:
    written = {".jfif": "JPEG", ".jpe": "JPEG", ".dib": "DIB", ".pbm": "PPM", ".pnm": "PPM", ".apng": "PNG"}
    Image.new("RGB", (16, 16), "red").save(tmp_path / f"red{suffix}", written.get(suffix))

    content = (tmp_path / f"red{suffix}").read_bytes()
    assert pixel(BytesIO(content), 4, 4) == pytest.approx(RED, abs=8)


@pytest.mark.parametrize("content", [b"", b"text", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"\x89PNG\r\n\x1a\n"])
def test_other_files_are_refused(content: bytes) -> None:
    with pytest.raises(UNREADABLE):
        decode_cropped(BytesIO(content), 8)
