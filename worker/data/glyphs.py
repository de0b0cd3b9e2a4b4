"""The data set `typefaces`: glyphs of installed fonts, rendered once and cached below the data directory."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFont

from app.data.builtin_datasets import Part
from app.data.fonts import CLASSES, NATIVE_PX, PARTS, Font, FontsError, Typefaces, glyph_cache_file, part_of
from worker.atomic_files import replace_atomically
from worker.data.image_store import digest_arrays

log = logging.getLogger("rdw.typefaces")

_FONT_PX = 96  # larger than the image, to which glyphs are scaled down
_MARGIN_PX = 4
_MISSING_CHARACTER = "\U0010ffff"  # in no font: rendered as the font's glyph for missing characters
_LOG_EVERY_FONTS = 200

Glyph = NDArray[np.uint8]


@dataclass(frozen=True)
class RenderedGlyphs:
    """Glyphs uint8 [n, 1, px, px], white on black, with their labels int64 [n] and indices int64 [n] of families."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    family: NDArray[np.int64]
    families: NDArray[np.str_]

    def part(self, part: Part) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Return the pixels and labels of the families of that part."""
        selected = np.array([part_of(str(family)) == part for family in self.families])[self.family]
        return self.pixels[selected], self.labels[selected]

    @property
    def digest(self) -> str:
        return digest_arrays(self.pixels, self.labels, self.family, self.families)


def render_typefaces(typefaces: Typefaces, data_dir: Path) -> RenderedGlyphs:
    """Return the fonts' glyphs from the cache, or render and cache them.

    Raises: FontsError if a part has no glyph of a class.
    """
    return read_rendered(typefaces.digest, data_dir) or render_and_cache(typefaces, data_dir)


def render_and_cache(typefaces: Typefaces, data_dir: Path) -> RenderedGlyphs:
    """Render the fonts' glyphs and cache them.

    Raises: FontsError if a part has no glyph of a class.
    """
    glyphs = _render_fonts(typefaces.fonts)
    _write_cache(glyphs, glyph_cache_file(data_dir, typefaces.digest))
    return glyphs


def render_font(font: Font) -> list[tuple[int, Glyph]]:
    """Return label and image [px, px] of each glyph that is not empty, missing or equal to that of an earlier class.

    Equal glyphs occur in fonts whose small letters are capitals, or whose O is their zero.
    """
    opened = ImageFont.truetype(str(font.file), _FONT_PX, layout_engine=ImageFont.Layout.BASIC)
    missing = _render_glyph(opened, _MISSING_CHARACTER)
    seen = set() if missing is None else {missing.tobytes()}
    glyphs = []
    for label, character in enumerate(CLASSES):
        image = _render_glyph(opened, character)
        if image is not None and image.tobytes() not in seen:
            seen.add(image.tobytes())
            glyphs.append((label, image))
    return glyphs


def _render_glyph(font: ImageFont.FreeTypeFont, character: str) -> Glyph | None:
    """Return the glyph centred and scaled to the image without its margin; None if it is empty."""
    try:
        mask = font.getmask(character, mode="L")
    except OSError:  # FreeType cannot render this glyph
        return None
    ink = Image.frombytes("L", mask.size, bytes(mask)) if all(mask.size) else None
    box = ink.getbbox() if ink else None
    if ink is None or box is None:
        return None
    ink = ink.crop(box)
    scale = (NATIVE_PX - 2 * _MARGIN_PX) / max(ink.size)
    width, height = (max(1, round(scale * side)) for side in ink.size)
    image = Image.new("L", (NATIVE_PX, NATIVE_PX))
    position = ((NATIVE_PX - width) // 2, (NATIVE_PX - height) // 2)
    image.paste(ink.resize((width, height), Image.Resampling.BICUBIC), position)
    return np.asarray(image)


def _render_fonts(fonts: tuple[Font, ...]) -> RenderedGlyphs:
    families = sorted({font.family for font in fonts})
    index = {family: i for i, family in enumerate(families)}
    rendered: list[tuple[Glyph, int, int]] = []
    for n, font in enumerate(fonts, 1):
        rendered += [(image, label, index[font.family]) for label, image in render_font(font)]
        if n % _LOG_EVERY_FONTS == 0 or n == len(fonts):
            log.info("typefaces: %s of %s fonts rendered, %s images", n, len(fonts), len(rendered))
    images, labels, family = zip(*rendered, strict=True)
    glyphs = RenderedGlyphs(
        np.stack(images)[:, None], np.array(labels, np.int64), np.array(family, np.int64), np.array(families)
    )
    for part in PARTS:
        missing = set(range(len(CLASSES))) - set(glyphs.part(part)[1].tolist())
        if missing:
            names = ", ".join(CLASSES[label] for label in sorted(missing))
            raise FontsError(f"The installed fonts have no glyph of {names} in the {part} part")
    return glyphs


def read_rendered(digest: str, data_dir: Path) -> RenderedGlyphs | None:
    """Return the glyphs of the fonts with this digest from their file; None if it is missing or damaged."""
    file = glyph_cache_file(data_dir, digest)
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
            glyphs = RenderedGlyphs(arrays["pixels"], arrays["labels"], arrays["family"], arrays["families"])
            if glyphs.digest != str(arrays["digest"]):
                raise ValueError("the digest differs")
    except FileNotFoundError:
        return None
    except Exception as error:  # zipfile, zlib and NumPy raise many kinds of errors
        log.warning("%s is damaged (%s): the fonts are rendered again", file.name, type(error).__name__)
        return None
    return glyphs


def _write_cache(glyphs: RenderedGlyphs, file: Path) -> None:
    """Write the file. Those of other fonts stay: a data set may need one after its fonts have changed."""
    counts = [len(glyphs.part(part)[1]) for part in PARTS]
    with replace_atomically(file) as opened:
        np.savez_compressed(opened, **vars(glyphs), counts=counts, digest=glyphs.digest)
