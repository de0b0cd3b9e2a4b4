"""Decodes image files of every mode that Pillow knows into 8-bit grey or colour, with 1, 3 or 4 channels.

What is lost or chosen on the way:

- Greys of 16 or 32 bits and floating-point greys are scaled by the range of the image itself: its smallest value
  becomes 0, its largest 255. Values that are not finite are ignored and become 0; an image of one value becomes 0.
- Colours of 16 bits are reduced to 8 by Pillow. Embedded colour profiles are ignored.
- Transparent images are laid on a background, unless transparency is the fourth channel.
- Of animations, the first frame is taken. Photos are rotated as their EXIF data say.
"""

from __future__ import annotations

import errno
import os
import stat
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps

from app.data.builtin_datasets import Channels
from app.scaling.resolution import Resolution, sides_of

SUFFIXES = frozenset(
    {
        ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".bmp", ".dib", ".gif", ".webp", ".tif", ".tiff", ".ppm",
        ".pgm", ".pbm", ".pnm", ".avif", ".jp2", ".j2k",
    }
)  # fmt: skip
# The formats decoded, whatever a file's suffix: Pillow also knows formats that are programs (EPS) or need other tools.
FORMATS = ("JPEG", "PNG", "BMP", "DIB", "GIF", "WEBP", "TIFF", "PPM", "AVIF", "JPEG2000")
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError, ImageCms.PyCMSError)
"""The errors of decoding a file that is not an image, damaged, or too large."""
WHITE = "#ffffff"
MAX_FILE_BYTES = 1 << 29  # a larger file is not read into memory
Source = Path | BytesIO | Image.Image
"""A file, its content, or an image that was opened from them and not decoded yet."""

_DRAFT_FACTOR = 2  # JPEGs are decoded at least this much larger than needed, then resized
_WITH_ALPHA = ("LA", "PA", "RGBA", "RGBa")
_DEEP = ("I", "F")  # and all modes that start with `I;`


def require_readable_file(path: str) -> None:
    """Reject special files before they are opened (reading a pipe or a device may block forever) and huge ones.

    Raises: OSError if it is neither a regular file nor a link to one, or larger than `MAX_FILE_BYTES`.
    """
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file")
    if status.st_size > MAX_FILE_BYTES:
        raise OSError(errno.EFBIG, "too large for an image")


def decode(file: Source, min_size: tuple[int, int] | None = None) -> Image.Image:
    """Decode an image upright, in mode `L`, `LA`, `RGB` or `RGBA`: grey or colour, with or without transparency.

    A JPEG may be decoded at a smaller size, of which width and height are at least `min_size`.
    Raises: `UNREADABLE`.
    """
    with file if isinstance(file, Image.Image) else Image.open(file, formats=FORMATS) as opened:
        if min_size is not None:
            opened.draft(None, min_size)
        return _to_eight_bits(_apply_orientation(opened))


def is_plain(image: Image.Image) -> bool:
    """Whether an opened image has no transparency and at most 8 bits per channel, so that decoding it chooses nothing.

    Thus its pixels are those that any version has read.
    """
    is_deep = image.mode in _DEEP or image.mode.startswith("I;")
    return not (is_deep or image.mode in (*_WITH_ALPHA, "La", "LAB") or "transparency" in image.info)


def is_grey(image: Image.Image) -> bool:
    """Whether an opened image is stored in grey, so that decoding it gives the mode `L` or `LA`."""
    return image.mode in ("1", "L", "LA", "La", *_DEEP) or image.mode.startswith("I;")


def has_grey_background(background: str) -> bool:
    """Whether the colour `#rrggbb` is a grey, on which transparent greys stay grey."""
    return background[1:3] == background[3:5] == background[5:7]


def to_channels(image: Image.Image, channels: Channels, background: str = WHITE) -> Image.Image:
    """Return a decoded image as grey (1 channel), RGB (3) or RGBA (4).

    Without a channel for its transparency, it is laid on the background (`#rrggbb`). Colours become their luminance.
    """
    if channels == 4:
        return image.convert("RGBA")
    if image.mode in ("LA", "RGBA"):
        canvas = Image.new("RGBA", image.size, background)
        image = Image.alpha_composite(canvas, image.convert("RGBA"))
    return image.convert("L" if channels == 1 else "RGB")


def decode_cropped(
    file: Source, resolution: Resolution, background: str = WHITE, channels: Channels = 3
) -> NDArray[np.uint8]:
    """Decode an image as [channels, height, width], cropped around its centre and resized with antialiasing.

    Raises: `UNREADABLE`.
    """
    height, width = sides_of(resolution)
    image = to_channels(decode(file, (_DRAFT_FACTOR * width, _DRAFT_FACTOR * height)), channels, background)
    top, left, rows, columns = centre_crop(image.height, image.width, resolution)
    cropped = image.crop((left, top, left + columns, top + rows))
    pixels = np.asarray(cropped.resize((width, height), Image.Resampling.BICUBIC))
    return pixels.reshape(height, width, channels).transpose(2, 0, 1)


def centre_crop(height: int, width: int, resolution: Resolution) -> tuple[int, int, int, int]:
    """Return top, left, height and width of the largest crop of an image that has the aspect of the resolution."""
    target_height, target_width = sides_of(resolution)
    if width * target_height >= height * target_width:
        rows, columns = height, max(1, round(height * target_width / target_height))
    else:
        rows, columns = max(1, round(width * target_height / target_width)), width
    return (height - rows) // 2, (width - columns) // 2, rows, columns


def _apply_orientation(image: Image.Image) -> Image.Image:
    image.load()
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # damaged EXIF data raises any kind of error; the image itself is readable
        return image


def _to_eight_bits(image: Image.Image) -> Image.Image:
    mode = image.mode
    if mode in _DEEP or mode.startswith("I;"):
        return _scale_by_own_range(image)
    if mode == "LAB":  # Pillow converts it only by profiles
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
        assert converted is not None
        return converted
    if mode == "La":  # Pillow converts it to this mode only
        return image.convert("LA")
    is_grey = mode in ("1", "L", "LA")
    if mode in _WITH_ALPHA or "transparency" in image.info:
        rgba = image.convert("RGBA")  # from which Pillow converts to LA, unlike from some other modes
        return rgba.convert("LA") if is_grey else rgba
    return image.convert("L" if is_grey else "RGB")


def _scale_by_own_range(image: Image.Image) -> Image.Image:
    values = np.asarray(image, dtype=np.float64)
    finite = np.isfinite(values)
    if not finite.any():
        return Image.new("L", image.size)
    low, high = values[finite].min(), values[finite].max()
    scaled = (np.where(finite, values, low) - low) * (255 / (high - low) if high > low else 0)
    return Image.fromarray(np.rint(scaled).astype(np.uint8))
