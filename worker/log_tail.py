"""The last lines of a worker's log: what is left to read of a trial whose worker died."""

from __future__ import annotations

import logging
from collections import deque

_LINES = 20
_LONGEST = 500


class LogTail(logging.Handler):
    """Keeps the last lines that the service itself logs between `begin` and `end`; without tracebacks."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: deque[str] = deque(maxlen=_LINES)
        self._formatter = logging.Formatter("%(asctime)s %(levelname)s ")

    def emit(self, record: logging.LogRecord) -> None:
        when = f"{self._formatter.formatTime(record)} {record.levelname}"
        self._lines.append(f"{when} {record.getMessage()}"[:_LONGEST])

    def begin(self) -> None:
        self._lines.clear()
        logging.getLogger("rdw").addHandler(self)

    def end(self) -> None:
        logging.getLogger("rdw").removeHandler(self)

    def lines(self) -> list[str]:
        return list(self._lines)
