"""Draws sample images with their labels as one picture."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from app.scaling.resolution import Resolution, sides_of

_COLUMNS = 4
_MIN_TILE_PX = 96  # smaller images are enlarged by an integer factor, so that each pixel stays visible
_MARGIN_PX, _TEXT_PX = 8, 13
_PAPER, _INK, _GREY, _BOX = "#ffffff", "#10161d", "#d0d5db", "#e5383b"
_CHECK_PX = 8  # side of the squares behind transparent images


@dataclass(frozen=True)
class Box:
    """An object in an image: its corners in px, the last two exclusive, and its label."""

    corners: tuple[float, float, float, float]
    label: str


@dataclass(frozen=True)
class Sample:
    """An image uint8 [channels, height, width] with its label; None if it is too large to be drawn."""

    pixels: NDArray[np.uint8] | None
    label: str
    boxes: tuple[Box, ...] = ()


def draw_sheet(samples: list[Sample], size: Resolution) -> bytes:
    """Return the images at this size with their labels below them, four in a row, as PNG.

    Images of another size are resized as for a network: bilinear with antialiasing.
    """
    height, width = sides_of(size)
    factor = -(-_MIN_TILE_PX // max(height, width))
    tile_width, tile_height = factor * width, factor * height
    rows = -(-len(samples) // _COLUMNS)
    column, row = tile_width + _MARGIN_PX, tile_height + _TEXT_PX + 2 * _MARGIN_PX
    sheet = Image.new("RGB", (_COLUMNS * column + _MARGIN_PX, rows * row + _MARGIN_PX), _PAPER)
    font = _load_font()
    draw = ImageDraw.Draw(sheet)
    for number, sample in enumerate(samples):
        left, top = (number % _COLUMNS) * column + _MARGIN_PX, (number // _COLUMNS) * row + _MARGIN_PX
        draw.rectangle((left - 1, top - 1, left + tile_width, top + tile_height), outline=_GREY)
        sheet.paste(_draw_tile(sample, (width, height), factor, font), (left, top))
        draw.text((left, top + tile_height + 2), _shorten(sample.label, font, tile_width), _INK, font)
    file = BytesIO()
    sheet.save(file, "PNG")
    return file.getvalue()


def _load_font() -> ImageFont.FreeTypeFont:
    """Return Matplotlib's font, which has more letters than Pillow's; Matplotlib itself is not loaded."""
    package = find_spec("matplotlib")
    assert package is not None and package.origin is not None
    file = Path(package.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
    return ImageFont.truetype(str(file), _TEXT_PX)


def _draw_tile(sample: Sample, size: tuple[int, int], factor: int, font: ImageFont.FreeTypeFont) -> Image.Image:
    width, height = (factor * side for side in size)
    if sample.pixels is None:
        tile = Image.new("RGB", (width, height), _GREY)
        ImageDraw.Draw(tile).text((_MARGIN_PX, _MARGIN_PX), "too large\nto draw", _INK, font)
        return tile
    picture = _to_picture(sample.pixels)
    scale = width / picture.width
    tile = picture.resize(size, Image.Resampling.BILINEAR).resize((width, height), Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(tile)
    for box in sample.boxes:
        x1, y1, x2, y2 = (scale * corner for corner in box.corners)
        draw.rectangle((x1, y1, x2 - 1, y2 - 1), outline=_BOX)
        draw.text((x1 + 2, y1), _shorten(box.label, font, width - x1), _BOX, font)
    return tile


def _to_picture(pixels: NDArray[np.uint8]) -> Image.Image:
    channels = len(pixels)
    if channels == 1:
        return Image.fromarray(pixels[0]).convert("RGB")
    picture = Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    if channels == 3:
        return picture
    rows, columns = (np.arange(side) // _CHECK_PX for side in pixels.shape[1:])
    checks = np.where((rows[:, None] + columns) % 2, 255, 208).astype(np.uint8)
    return Image.alpha_composite(Image.fromarray(checks).convert("RGBA"), picture).convert("RGB")


def _shorten(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text}…"
