"""What is tried again and again says of its troubles each once, and once that they are over."""

from __future__ import annotations

import logging
import traceback

from app.db.session import DatabaseAway


class Troubles:
    """Of one who does `what` again and again."""

    def __init__(self, log: logging.Logger, what: str) -> None:
        self._log, self._what = log, what
        self._said: set[str] = set()
        self._away = False

    def met(self, error: Exception) -> None:
        """It failed: in a line where the database is away, with the traceback where nobody expected it."""
        away = isinstance(error, DatabaseAway)
        trouble = error.in_full.removesuffix(".") if isinstance(error, DatabaseAway) else _place(error)
        if trouble in self._said:
            return
        self._said.add(trouble)
        self._away = self._away or away
        if away:
            self._log.warning("%s; tried again", trouble)
        else:
            self._log.warning("could not %s", self._what, exc_info=error)

    def over(self) -> None:
        """It was done."""
        if self._said:
            self._log.info("The database answers again" if self._away else f"could {self._what} again")
        self._said, self._away = set(), False


def _place(error: Exception) -> str:
    """The same for errors of the same line, whatever they say: that may have an id or a time in it."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} {frame.filename}:{frame.lineno}"
