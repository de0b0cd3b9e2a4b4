"""A folder of fonts for tests: matplotlib's own, under other family names."""

from __future__ import annotations

from functools import lru_cache
from io import BytesIO
from pathlib import Path

import matplotlib
from fontTools.ttLib import TTFont

_FOLDER = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
DEJAVU = sorted(file for file in _FOLDER.glob("DejaVuS*.ttf") if "Display" not in file.name)
FAMILIES = [
    *("Alder", "Ash", "Aspen", "Beech", "Birch", "Cedar", "Cherry", "Chestnut", "Cypress", "Elder", "Elm", "Fir"),
    *("Hazel", "Holly", "Hornbeam", "Juniper", "Larch", "Linden", "Maple", "Oak", "Pine", "Poplar", "Rowan"),
    *("Spruce", "Sycamore", "Walnut", "Willow", "Yew"),
]
"""17 in the training part, 3 in the validation part, 8 in the test part."""


@lru_cache
def font(name: str, base: int = 0, style: str = "Regular", glyphs: tuple[tuple[str, str | None], ...] = ()) -> bytes:
    """Return a DejaVu font under another name; `glyphs` maps characters to other glyphs (by name), or to none."""
    opened = TTFont(DEJAVU[base % len(DEJAVU)], recalcTimestamp=False)
    for record in [r for r in opened["name"].names if r.nameID in (1, 2, 4, 16, 17)]:
        opened["name"].removeNames(nameID=record.nameID)
    for name_id, text in ((1, name), (2, style), (4, f"{name} {style}")):
        opened["name"].setName(text, name_id, 3, 1, 0x409)
    for table in opened["cmap"].tables:
        for character, glyph in glyphs:
            if glyph is None:
                table.cmap.pop(ord(character), None)
            else:
                table.cmap[ord(character)] = glyph
    whole = BytesIO()
    opened.save(whole)
    return whole.getvalue()


def install(folder: Path, families: list[str] = FAMILIES) -> Path:
    """Install a font of each family in the folder, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for family in families:
        (folder / f"{family}.ttf").write_bytes(font(f"{family} Sans", FAMILIES.index(family)))
    return folder
