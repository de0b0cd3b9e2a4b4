"""Logging for activities that are retried forever: each failure is logged once, and the recovery once."""

from __future__ import annotations

import logging
import traceback

from app.db.session import DatabaseUnavailable


class OutageLog:
    """Logs the failures of one activity; `activity` completes the sentence "could not ..."."""

    def __init__(self, log: logging.Logger, activity: str) -> None:
        self._log, self._activity = log, activity
        self._logged: set[str] = set()
        self._is_database_unavailable = False

    def failure(self, error: Exception) -> None:
        """Log a failed attempt: one line if the database is unavailable, a traceback if the error is unexpected."""
        is_unavailable = isinstance(error, DatabaseUnavailable)
        message = (
            error.operator_message.removesuffix(".") if isinstance(error, DatabaseUnavailable) else _location(error)
        )
        if message in self._logged:
            return
        self._logged.add(message)
        self._is_database_unavailable = self._is_database_unavailable or is_unavailable
        if is_unavailable:
            self._log.warning("%s; retrying", message)
        else:
            self._log.warning("could not %s", self._activity, exc_info=error)

    def recovered(self) -> None:
        """Log the first success after a failure."""
        if self._logged:
            self._log.info(
                "The database answers again" if self._is_database_unavailable else f"could {self._activity} again"
            )
        self._logged, self._is_database_unavailable = set(), False


def _location(error: Exception) -> str:
    """Identify an error by where it was raised, since its message may contain an id or a time."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} {frame.filename}:{frame.lineno}"
