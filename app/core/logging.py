"""Log lines: plain text or JSON, with the ids of the request and the trial that they are about."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

# A password in a URL, a key of ours, what follows `Bearer`.
_SECRETS = re.compile(r"(?<=://)([^\s:/@]*):[^\s@]*(?=@)|rdw_[A-Za-z0-9_\-]{20,}|(?<=[Bb]earer )[^\s'\"]+")

_ids: ContextVar[dict[str, str]] = ContextVar("ids", default={})  # noqa: B039 (never changed, only replaced)


@contextmanager
def about(**ids: str | None) -> Iterator[None]:
    """Lines logged within carry these ids (`request_id`, `trial_id`); those that are None are left out."""
    token = _ids.set({**_ids.get(), **{name: value for name, value in ids.items() if value is not None}})
    try:
        yield
    finally:
        _ids.reset(token)


def redacted(text: str) -> str:
    """The text without what must not be read in it."""
    return _SECRETS.sub(lambda found: f"{found[1] or ''}:***" if found[1] is not None else "***", text)


def configure(form: str) -> None:
    """Log to standard error: `json`, an object a line, or `text`."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Json() if form == "json" else _Text())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(True)
    logging.getLogger("alembic").setLevel(logging.WARNING)


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_ids.get(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        # Before it is encoded: afterwards what is struck out could take a quote's backslash with it.
        return json.dumps({name: redacted(value) for name, value in line.items()}, ensure_ascii=False)


class _Text(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s%(ids)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        ids = " ".join(f"{name}={value}" for name, value in _ids.get().items())
        record.ids = f" [{ids}]" if ids else ""
        return super().formatMessage(record)

    def format(self, record: logging.LogRecord) -> str:
        return redacted(super().format(record))
