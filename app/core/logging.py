"""Logging as plain text or JSON, with the ids of the request and trial in each line, and without secrets."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

# A password in a URL, an API key, and the credentials after `Bearer`.
_SECRETS = re.compile(r"(?<=://)([^\s:/@]*):[^\s@]*(?=@)|rdw_[A-Za-z0-9_\-]{20,}|(?<=[Bb]earer )[^\s'\"]+")

_ids: ContextVar[dict[str, str]] = ContextVar("ids", default={})  # noqa: B039 (replaced, never mutated)


@contextmanager
def log_context(**ids: str | None) -> Iterator[None]:
    """Add these ids (`request_id`, `trial_id`) to the lines logged in the block, except those that are None."""
    token = _ids.set({**_ids.get(), **{name: value for name, value in ids.items() if value is not None}})
    try:
        yield
    finally:
        _ids.reset(token)


def redact(text: str) -> str:
    """Return the text with secrets replaced by `***`."""
    return _SECRETS.sub(lambda match: f"{match[1] or ''}:***" if match[1] is not None else "***", text)


def configure(form: str) -> None:
    """Log to standard error, as `text` or as `json` (one object per line)."""
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
        # Redact before encoding: afterwards a match could include the backslash of an escaped quote.
        return json.dumps({name: redact(value) for name, value in line.items()}, ensure_ascii=False)


class _Text(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s%(ids)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        ids = " ".join(f"{name}={value}" for name, value in _ids.get().items())
        record.ids = f" [{ids}]" if ids else ""
        return super().formatMessage(record)

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))
