"""What a run has to remember to go on after it was killed: ids and choices; all else is in the service's database."""

from __future__ import annotations

import json
import os
import uuid
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

_FILE = "reproduce.json"


@dataclass
class State:
    """`choices` are what was asked for, and may not change from run to run; `sizes` what was chosen for them.

    `spent` is the working time of all runs so far, in seconds.
    """

    choices: dict[str, Any]
    run: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    spent: float = 0.0
    architecture: str | None = None
    sizes: dict[str, int] | None = None
    baseline_trials: list[str] = field(default_factory=list)
    studies: dict[str, str] = field(default_factory=dict)
    fitted: dict[str, Any] | None = None
    family: bool = False

    def save(self, folder: Path) -> None:
        """Whole or not at all."""
        half = folder / f"{_FILE}.half"
        half.write_text(json.dumps(asdict(self), indent=1))
        os.replace(half, folder / _FILE)


def load(folder: Path) -> State | None:
    """What an earlier run in this folder left; none: there was none."""
    try:
        return State(**json.loads((folder / _FILE).read_text()))
    except FileNotFoundError:
        return None
