"""The names of the preset recipes (`recipes.PRESETS`), for commands that start without the server's packages."""

from __future__ import annotations

from typing import Literal, get_args

PresetName = Literal["quick", "digits-smoke", "tinynet", "tinynet-ra", "detection-quick"]
PRESET_NAMES: tuple[PresetName, ...] = get_args(PresetName)


def is_for_detection(name: PresetName) -> bool:
    """Whether the preset is for detection. The dashboard (`presets.js`) relies on this prefix as well."""
    return name.startswith("detection-")
