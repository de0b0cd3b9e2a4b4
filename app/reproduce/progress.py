"""One line that says how far it is: rewritten on a terminal, printed now and then elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TextIO

_EVERY = 15.0  # seconds between lines where they cannot be rewritten


class Progress:
    def __init__(self, out: TextIO = sys.stdout) -> None:
        self._out = out
        self._rewrites = out.isatty()
        self._open = False
        self._said, self._at = "", -_EVERY

    def show(self, line: str) -> None:
        """The line in place of the last one."""
        if self._rewrites:
            self._out.write(f"\r\x1b[2K{line}")
            self._open = True
        elif line != self._said and time.monotonic() - self._at >= _EVERY:
            self._out.write(f"{line}\n")
            self._said, self._at = line, time.monotonic()
        self._out.flush()

    def say(self, text: str) -> None:
        """A line that stays."""
        if self._open:
            self._out.write("\r\x1b[2K")
            self._open = False
        self._out.write(f"{text}\n")
        self._out.flush()
