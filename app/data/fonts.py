"""The fonts on this machine that the data set `typefaces` is drawn from: which ones, in which part, their digest."""

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

from app.datasets import Dataset, Part

CLASSES = string.digits + string.ascii_uppercase + "abdefghnqrt"
"""EMNIST's balanced merge: the other small letters look like their capitals."""
NATIVE_PX = 64
NAME = "typefaces"
PARTS: tuple[Part, ...] = ("train", "validation", "test")

_RECIPE = 1  # count up where other pixels are drawn from the same fonts
_SUFFIXES = frozenset({".ttf", ".otf", ".pfb"})
_FONTS_A_FAMILY = 6
_LEAST_FAMILIES = 20
_TEST_SHARE, _VALIDATION_SHARE = 0.2, 0.08  # of the families; validation is a tenth of those that are not test
_SYMBOLS = re.compile(
    r"dingbat|\bdings\b|head-ding|symbol|\bmath\b|\bicons?\b|braille|ornament|\bbars?\b|keyboard|\bphon.ti|klingon"
    r"|futhark|\bbinary\b|janken|hearts|barcode|emoji|\b(cm(ex|mi|sy)|ms[ab]m|esint|rsfs|stmary|wasy)\d",
    re.IGNORECASE,
)

_CURE = f"`python -m worker.fetch {NAME}` says what to install (the list is app/font-packages.txt)"

_Stamp = tuple[tuple[str, int, int], ...]


class FontsError(ValueError):
    """The fonts do not do, and `why`; the message adds where it is said what to install: hundreds of packages."""

    def __init__(self, why: str) -> None:
        super().__init__(f"{why}: {_CURE}")
        self.why = why


@dataclass(frozen=True)
class Font:
    """A font file; `family` is what the split goes by, `digest` the SHA-256 of its content."""

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
    """Fonts in order of family, name and style; `digest` is over recipe, rasteriser, split and fonts."""

    fonts: tuple[Font, ...]
    digest: str


def is_one(name: str) -> bool:
    """Whether a data set of that name is drawn from fonts: `typefaces`, or `typefaces-…`, settled at another time."""
    return name == NAME or name.startswith(f"{NAME}-")


def font_folders() -> list[Path]:
    """Where fonts are installed: for everybody, and for who runs this."""
    return [
        Path("/usr/share/fonts"),
        Path("/usr/local/share/fonts"),
        Path(os.path.expanduser("~/.local/share/fonts")),
    ]


def apt_line() -> str:
    """The command that installs Debian's fonts."""
    packages = (Path(__file__).parent / "font-packages.txt").read_text().split()
    return f"apt-get install -y {' '.join(packages)}"


def installed() -> Typefaces:
    """The fonts that are installed; quick where the files' names, sizes and times are as they were when last asked.

    Raises: FontsError where there are too few.
    """
    found = _chosen(_stamp(font_folders()))
    families = {font.family for font in found.fonts}
    if len(families) < _LEAST_FAMILIES or {font.part for font in found.fonts} != set(PARTS):
        raise FontsError(f"{NAME!r} is drawn from installed fonts, and those of {len(families)} families are too few")
    return found


def describe(name: str) -> Dataset:
    """The set that the fonts on this machine make; how many images is known once they are drawn.

    Raises: FontsError.
    """
    return dataset(name, installed().digest)


def dataset(name: str, digest: str) -> Dataset:
    return Dataset(
        name=name,
        kind="typefaces",
        num_classes=len(CLASSES),
        channels=1,
        native_px=NATIVE_PX,
        train_images=None,
        test_images=None,
        digest=digest,
        description=f"Digits and letters of installed fonts, {NATIVE_PX} px grey, {len(CLASSES)} classes, rendered, "
        "not photographed; the parts have no family in common, families grouped by name.",
    )


def missing(wanted: str) -> str | None:
    """Why the set of that digest (empty: any) cannot be drawn here, and the cure; none where it can."""
    try:
        found = installed().digest
    except FontsError as error:
        return str(error)
    if wanted in ("", found):
        return None
    return (
        f"The fonts installed are not those that the set was settled from (digest {found[:12]}…, wanted "
        f"{wanted[:12]}…): install the same on all machines (app/font-packages.txt), or ask for a set under another "
        f"name ('{NAME}-2'): it is settled from the fonts that are there then."
    )


def cache(data_dir: Path, digest: str) -> Path:
    """Where the drawn glyphs are kept."""
    return data_dir / "datasets" / f"{NAME}-{digest[:16]}.npz"


def counts(data_dir: Path, digest: str) -> tuple[int, int] | None:
    """How many images there are to train on, validation among them, and to test; none before they are drawn."""
    try:
        with cache(data_dir, digest).open("rb") as opened, np.load(opened, allow_pickle=False) as kept:
            train, validation, test = kept["counts"].tolist()
    except Exception:  # absent, or damaged in any way: the worker draws them again
        return None
    return train + validation, test


def part_of(family: str) -> Part:
    """By a hash of the family's name: more fonts move none from one part to another."""
    share = int.from_bytes(hashlib.sha256(family.encode()).digest()[:8], "big") / 2**64
    if share < _TEST_SHARE:
        return "test"
    return "validation" if share < _TEST_SHARE + _VALIDATION_SHARE else "train"


def family_of(name: str) -> str:
    """What fonts of related names have in common: the name's first word, up to an inner capital.

    DejaVu Sans and DejaVu Serif, YOzA90 and YOzFb are one: too large a family is safe, a divided one would be
    trained and tested on.
    """
    words = re.findall(r"[^\W\d_]{2,}", name)
    if not words:
        return name.casefold()
    return re.sub(r"(?<=[a-z])[A-Z].*", "", words[0]).casefold()


def _stamp(folders: list[Path]) -> _Stamp:
    """Path, bytes and time of change of each font file."""
    files = {f for folder in folders for f in folder.rglob("*") if f.suffix.lower() in _SUFFIXES and f.is_file()}
    return tuple(sorted((str(f), f.stat().st_size, f.stat().st_mtime_ns) for f in files))


@lru_cache(maxsize=2)
def _chosen(stamp: _Stamp) -> Typefaces:
    """At most six fonts a family, symbols left out; one of each name and style, wherever its file lies."""
    named = {}
    for font in sorted(filter(None, (_read(Path(path)) for path, _, _ in stamp)), key=lambda font: font.digest):
        named.setdefault((font.name, font.style), font)
    families = defaultdict(list)
    for _, font in sorted(named.items()):
        families[font.family].append(font)
    fonts = tuple(font for _, family in sorted(families.items()) for font in family[:_FONTS_A_FAMILY])
    summed = hashlib.sha256(f"{_RECIPE} {CLASSES} {NATIVE_PX} FreeType {features.version('freetype2')}\n".encode())
    for font in fonts:
        summed.update(f"{font.family}\0{font.part}\0{font.digest}\n".encode())
    return Typefaces(fonts, summed.hexdigest())


def _read(file: Path) -> Font | None:
    """None for symbols, and for what FreeType does not open."""
    try:
        name, style = ImageFont.truetype(str(file), NATIVE_PX, layout_engine=ImageFont.Layout.BASIC).getname()
        content = file.read_bytes()
    except (OSError, ValueError):
        return None
    if not name or _SYMBOLS.search(f"{name} {style} {file.stem}"):
        return None
    return Font(family_of(name), name, style or "", hashlib.sha256(content).hexdigest(), file)
