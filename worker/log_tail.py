"""The last lines of a trial's log; they are stored with the trial, so that they survive its worker."""

from __future__ import annotations

import logging
from collections import deque

_MAX_LINES = 20
_MAX_LINE_LENGTH = 500


class LogTail(logging.Handler):
    """Keeps the last lines that rdw itself logs between `start` and `stop`, without tracebacks."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: deque[str] = deque(maxlen=_MAX_LINES)
        self._formatter = logging.Formatter()

    def emit(self, record: logging.LogRecord) -> None:
        line = f"{self._formatter.formatTime(record)} {record.levelname} {record.getMessage()}"
        self._lines.append(line[:_MAX_LINE_LENGTH])

    def start(self) -> None:
        self._lines.clear()
        logging.getLogger("rdw").addHandler(self)

    def stop(self) -> None:
        logging.getLogger("rdw").removeHandler(self)

    def lines(self) -> list[str]:
        return list(self._lines)
