"""A line of progress: rewritten on a terminal, printed every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TextIO

_PRINT_INTERVAL = 15.0  # seconds


class ProgressLine:
    def __init__(self, out: TextIO = sys.stdout) -> None:
        self._out = out
        self._is_terminal = out.isatty()
        self._is_open = False
        self._last_line, self._last_time = "", -_PRINT_INTERVAL

    def update(self, line: str) -> None:
        """Replace the current line."""
        if self._is_terminal:
            self._out.write(f"\r\x1b[2K{line}")
            self._is_open = True
        elif line != self._last_line and time.monotonic() - self._last_time >= _PRINT_INTERVAL:
            self._out.write(f"{line}\n")
            self._last_line, self._last_time = line, time.monotonic()
        self._out.flush()

    def print(self, text: str) -> None:
        """Print a line that stays."""
        if self._is_open:
            self._out.write("\r\x1b[2K")
            self._is_open = False
        self._out.write(f"{text}\n")
        self._out.flush()
