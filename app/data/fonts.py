"""The installed fonts from which the data set `typefaces` is rendered: their selection, split and digest."""

from __future__ import annotations

import hashlib
import os
import re
import string
from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import ImageFont, features

from app.data.builtin_datasets import TYPEFACES, Dataset, Part

CLASSES = string.digits + string.ascii_uppercase + "abdefghnqrt"
"""EMNIST's balanced merge: the other small letters look like their capitals."""
NATIVE_PX = 64
PARTS: tuple[Part, ...] = ("train", "validation", "test")

_RENDERING_VERSION = 1  # increment when the same fonts are rendered to different pixels
_SUFFIXES = frozenset({".ttf", ".otf", ".pfb"})
_MAX_FONTS_PER_FAMILY = 6
_MIN_FAMILIES = 20
_TEST_SHARE, _VALIDATION_SHARE = 0.2, 0.08  # shares of the families; validation is a tenth of those not in test
_SYMBOLS = re.compile(
    r"dingbat|\bdings\b|head-ding|symbol|\bmath\b|\bicons?\b|braille|ornament|\bbars?\b|keyboard|\bphon.ti|klingon"
    r"|futhark|\bbinary\b|janken|hearts|barcode|emoji|\b(cm(ex|mi|sy)|ms[ab]m|esint|rsfs|stmary|wasy)\d",
    re.IGNORECASE,
)

_REMEDY = f"`python -m worker.data.fetch {TYPEFACES}` prints what to install (listed in app/data/font-packages.txt)"

_Stamp = tuple[tuple[str, int, int], ...]


class FontsError(ValueError):
    """The installed fonts are insufficient, for the reason `why`; the message adds how to find what to install."""

    def __init__(self, why: str) -> None:
        super().__init__(f"{why}: {_REMEDY}")
        self.why = why


@dataclass(frozen=True)
class Font:
    """A font file. The split is by `family`; `digest` is the SHA-256 of the file."""

    family: str
    name: str
    style: str
    digest: str
    file: Path

    @property
    def part(self) -> Part:
        return part_of(self.family)


@dataclass(frozen=True)
class Typefaces:
    """Fonts by family, name and style; `digest` covers rendering version, rasteriser, split and fonts."""

    fonts: tuple[Font, ...]
    digest: str


def is_typefaces_name(name: str) -> bool:
    """Whether a data set of that name is rendered from fonts: `typefaces` or `typefaces-…`."""
    return name == TYPEFACES or name.startswith(f"{TYPEFACES}-")


def font_folders() -> list[Path]:
    """Return the folders of fonts: the system's and the user's."""
    return [
        Path("/usr/share/fonts"),
        Path("/usr/local/share/fonts"),
        Path(os.path.expanduser("~/.local/share/fonts")),
    ]


def install_command() -> str:
    """Return the command that installs the fonts on Debian."""
    packages = (Path(__file__).parent / "font-packages.txt").read_text().split()
    return f"apt-get install -y {' '.join(packages)}"


def find_installed() -> Typefaces:
    """Return the installed fonts; cached until a file's name, size or time changes.

    Raises: FontsError if there are too few.
    """
    typefaces = _select_fonts(_stamp(font_folders()))
    families = {font.family for font in typefaces.fonts}
    if len(families) < _MIN_FAMILIES or {font.part for font in typefaces.fonts} != set(PARTS):
        raise FontsError(
            f"{TYPEFACES!r} is rendered from installed fonts, and those of {len(families)} families are too few"
        )
    return typefaces


def describe(name: str) -> Dataset:
    """Return the data set of the fonts on this machine; its numbers of images are known once they are rendered.

    Raises: FontsError.
    """
    return create_dataset(name, find_installed().digest)


def create_dataset(name: str, digest: str) -> Dataset:
    """Describe the data set of the fonts with this digest; without a digest, of any fonts."""
    return Dataset(
        name=name,
        kind="typefaces",
        num_classes=len(CLASSES),
        classes=tuple(CLASSES),
        channels=1,
        native_px=NATIVE_PX,
        train_images=None,
        test_images=None,
        digest=digest,
        description=f"Digits and letters of installed fonts, {NATIVE_PX} px grey, {len(CLASSES)} classes, rendered, "
        "not photographed; the parts have no family in common, families grouped by name.",
    )


def unavailable_reason(required: str) -> str | None:
    """Say why the set of that digest (empty: any) cannot be rendered here and what to do; None if it can.

    It can be used without its fonts where it is already rendered, see `is_rendered`.
    """
    try:
        installed_digest = find_installed().digest
    except FontsError as error:
        return str(error)
    if required in ("", installed_digest):
        return None
    return (
        f"The installed fonts differ from those of the data set (digest {installed_digest[:12]}…, "
        f"expected {required[:12]}…): install the same fonts on all machines (app/data/font-packages.txt), "
        f"copy datasets/{glyph_cache_file(Path(), required).name} from a data directory that has it, or use another "
        f"name ('{TYPEFACES}-2'), which stands for the fonts installed at its first use."
    )


def glyph_cache_file(data_dir: Path, digest: str) -> Path:
    """Return the file that caches the rendered glyphs."""
    return data_dir / "datasets" / f"{TYPEFACES}-{digest[:16]}.npz"


def is_rendered(data_dir: Path, digest: str) -> bool:
    """Whether the set of that digest has been rendered into this data directory, here or on another machine."""
    return bool(digest) and glyph_cache_file(data_dir, digest).exists()


def image_counts(data_dir: Path, digest: str) -> tuple[int, int] | None:
    """Return the numbers of training (including validation) and test images; None before they are rendered."""
    try:
        with glyph_cache_file(data_dir, digest).open("rb") as opened, np.load(opened, allow_pickle=False) as glyphs:
            train, validation, test = glyphs["counts"].tolist()
    except Exception:  # missing or damaged: the worker renders them again
        return None
    return train + validation, test


def part_of(family: str) -> Part:
    """Return the part of a family, by a hash of its name, so that additional fonts do not change the split."""
    share = int.from_bytes(hashlib.sha256(family.encode()).digest()[:8], "big") / 2**64
    if share < _TEST_SHARE:
        return "test"
    return "validation" if share < _TEST_SHARE + _VALIDATION_SHARE else "train"


def family_of(name: str) -> str:
    """Return the family of a font: the first word of its name, up to an inner capital.

    DejaVu Sans and DejaVu Serif are one family, as are YOzA90 and YOzFb. Too large a family is safe; a divided one
    would be in both training and test.
    """
    words = re.findall(r"[^\W\d_]{2,}", name)
    if not words:
        return name.casefold()
    return re.sub(r"(?<=[a-z])[A-Z].*", "", words[0]).casefold()


def _stamp(folders: list[Path]) -> _Stamp:
    """Return path, size and modification time of each font file."""
    files = {f for folder in folders for f in folder.rglob("*") if f.suffix.lower() in _SUFFIXES and f.is_file()}
    return tuple(sorted((str(f), f.stat().st_size, f.stat().st_mtime_ns) for f in files))


@lru_cache(maxsize=2)
def _select_fonts(stamp: _Stamp) -> Typefaces:
    """Select at most six fonts per family, without symbol fonts; one for each name and style."""
    named: dict[tuple[str, str], Font] = {}
    for font in sorted(filter(None, (_read_font(Path(path)) for path, _, _ in stamp)), key=lambda font: font.digest):
        named.setdefault((font.name, font.style), font)
    families = defaultdict(list)
    for _, font in sorted(named.items()):
        families[font.family].append(font)
    fonts = tuple(font for _, family in sorted(families.items()) for font in family[:_MAX_FONTS_PER_FAMILY])
    digest = hashlib.sha256(
        f"{_RENDERING_VERSION} {CLASSES} {NATIVE_PX} FreeType {features.version('freetype2')}\n".encode()
    )
    for font in fonts:
        digest.update(f"{font.family}\0{font.part}\0{font.digest}\n".encode())
    return Typefaces(fonts, digest.hexdigest())


def _read_font(file: Path) -> Font | None:
    """Read a font; None for symbol fonts and files that FreeType cannot open."""
    try:
        name, style = ImageFont.truetype(str(file), NATIVE_PX, layout_engine=ImageFont.Layout.BASIC).getname()
        content = file.read_bytes()
    except (OSError, ValueError):
        return None
    if not name or _SYMBOLS.search(f"{name} {style} {file.stem}"):
        return None
    return Font(family_of(name), name, style or "", hashlib.sha256(content).hexdigest(), file)
