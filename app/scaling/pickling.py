"""How values are sent to another process."""

from __future__ import annotations

from dataclasses import fields
from typing import Any


class SentByFields:
    """A dataclass of which only the fields are pickled, not what it has computed: that is large, or not valid there."""

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
