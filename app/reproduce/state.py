"""What a run must remember in order to resume after it was killed; everything else is in the service's database."""

from __future__ import annotations

import json
import os
import uuid
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

_FILE = "reproduce.json"


@dataclass
class RunState:
    """The choices and ids of a reproduction.

    `choices` are the options that must not change between runs, and `sizes` those chosen for the time available.
    `elapsed` is the working time of all runs so far, in seconds.
    """

    choices: dict[str, Any]
    run: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    elapsed: float = 0.0
    architecture: str | None = None
    sizes: dict[str, int] | None = None
    baseline_trials: list[str] = field(default_factory=list)
    studies: dict[str, str] = field(default_factory=dict)
    fitted: dict[str, Any] | None = None
    family_requested: bool = False

    def save(self, folder: Path) -> None:
        """Write the state; a reader sees the old one or the new one, never a part."""
        incomplete = folder / f"{_FILE}.part"
        incomplete.write_text(json.dumps(asdict(self), indent=1))
        os.replace(incomplete, folder / _FILE)


def load_state(folder: Path) -> RunState | None:
    """Read what an earlier run left in this folder."""
    try:
        return RunState(**json.loads((folder / _FILE).read_text()))
    except FileNotFoundError:
        return None
