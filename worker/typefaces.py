"""The data set `typefaces`: the glyphs of installed fonts, drawn once and kept below the data directory."""

from __future__ import annotations

import logging
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFont

from app.datasets import Part
from app.typefaces import CLASSES, NATIVE_PX, PARTS, Font, FontsError, Typefaces, cache, part_of
from worker.stored import digest

log = logging.getLogger("rdw.typefaces")

_EM_PX = 96  # larger than the picture: glyphs are brought down to it
_MARGIN_PX = 4
_NO_CHARACTER = "\U0010ffff"  # in no font: it is drawn as the missing glyph
_LOG_EVERY = 200  # fonts

Glyph = NDArray[np.uint8]


@dataclass(frozen=True)
class Drawn:
    """Glyphs as uint8 [n, 1, px, px], white on black, their classes as int64 [n], and int64 [n] into the families."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    family: NDArray[np.int64]
    families: NDArray[np.str_]

    def part(self, part: Part) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Pixels and classes of the families of that part."""
        chosen = np.array([part_of(str(family)) == part for family in self.families])[self.family]
        return self.pixels[chosen], self.labels[chosen]

    @property
    def digest(self) -> str:
        """SHA-256 of everything."""
        return digest(self.pixels, self.labels, self.family, self.families)


def drawn(typefaces: Typefaces, data_dir: Path) -> Drawn:
    """The fonts' glyphs: as they were kept, else drawn and kept.

    Raises: FontsError where a part lacks a class.
    """
    file = cache(data_dir, typefaces.digest)
    kept = _kept(file)
    if kept is None:
        kept = _draw(typefaces.fonts)
        _keep(kept, file)
    return kept


def glyphs(font: Font) -> list[tuple[int, Glyph]]:
    """Class and picture [px, px] of each glyph but those that are empty, missing, or drawn as an earlier class's.

    The last are of fonts whose small letters are capitals, or whose O is their zero.
    """
    opened = ImageFont.truetype(str(font.file), _EM_PX, layout_engine=ImageFont.Layout.BASIC)
    missing = _picture(opened, _NO_CHARACTER)
    seen = set() if missing is None else {missing.tobytes()}
    found = []
    for label, character in enumerate(CLASSES):
        picture = _picture(opened, character)
        if picture is not None and picture.tobytes() not in seen:
            seen.add(picture.tobytes())
            found.append((label, picture))
    return found


def _picture(font: ImageFont.FreeTypeFont, character: str) -> Glyph | None:
    """The glyph centred, its longer side brought to the picture's but for a margin; none where it has no ink."""
    try:
        mask = font.getmask(character, mode="L")
    except OSError:  # FreeType cannot draw this one
        return None
    ink = Image.frombytes("L", mask.size, bytes(mask)) if all(mask.size) else None
    box = ink.getbbox() if ink else None
    if ink is None or box is None:
        return None
    ink = ink.crop(box)
    scale = (NATIVE_PX - 2 * _MARGIN_PX) / max(ink.size)
    width, height = (max(1, round(scale * side)) for side in ink.size)
    picture = Image.new("L", (NATIVE_PX, NATIVE_PX))
    at = ((NATIVE_PX - width) // 2, (NATIVE_PX - height) // 2)
    picture.paste(ink.resize((width, height), Image.Resampling.BICUBIC), at)
    return np.asarray(picture)


def _draw(fonts: tuple[Font, ...]) -> Drawn:
    families = sorted({font.family for font in fonts})
    place = {family: i for i, family in enumerate(families)}
    found: list[tuple[Glyph, int, int]] = []
    for n, font in enumerate(fonts, 1):
        found += [(picture, label, place[font.family]) for label, picture in glyphs(font)]
        if n % _LOG_EVERY == 0 or n == len(fonts):
            log.info("typefaces: %s of %s fonts drawn, %s images", n, len(fonts), len(found))
    whole = Drawn(
        np.stack([picture for picture, _, _ in found])[:, None],
        np.array([label for _, label, _ in found], np.int64),
        np.array([family for _, _, family in found], np.int64),
        np.array(families),
    )
    for part in PARTS:
        lacking = set(range(len(CLASSES))) - set(whole.part(part)[1].tolist())
        if lacking:
            names = ", ".join(CLASSES[label] for label in sorted(lacking))
            raise FontsError(f"The fonts installed have no {names} in the {part} part of the families")
    return whole


def _kept(file: Path) -> Drawn | None:
    """None where it is absent or damaged."""
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as kept:
            whole = Drawn(kept["pixels"], kept["labels"], kept["family"], kept["families"])
            intact = whole.digest == str(kept["digest"])
    except FileNotFoundError:
        return None
    except Exception as error:  # zipfile's, zlib's and NumPy's many
        log.warning("%s is damaged (%s): drawn again", file.name, type(error).__name__)
        return None
    if not intact:
        log.warning("%s is damaged: drawn again", file.name)
        return None
    return whole


def _keep(whole: Drawn, file: Path) -> None:
    """Into place once it is whole; those of other fonts go."""
    file.parent.mkdir(parents=True, exist_ok=True)
    counts = [len(whole.part(part)[1]) for part in PARTS]
    with tempfile.NamedTemporaryFile(dir=file.parent, prefix=".half-", delete=False) as half:
        try:
            np.savez_compressed(
                half,
                pixels=whole.pixels,
                labels=whole.labels,
                family=whole.family,
                families=whole.families,
                counts=counts,
                digest=whole.digest,
            )
            half.flush()
            os.fsync(half.fileno())
            os.fchmod(half.fileno(), 0o644)  # other users' workers and API may read it
            os.replace(half.name, file)
        except BaseException:
            Path(half.name).unlink(missing_ok=True)
            raise
    for other in file.parent.glob("typefaces-*.npz"):
        if other != file:
            other.unlink(missing_ok=True)
