"""The finding of a check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warn", "fail", "skip"]


@dataclass(frozen=True)
class Finding:
    """The result of a check; `cure` says what to do and is empty if all is well."""

    check: str
    state: State
    detail: str
    cure: str = ""


def ok(check: str, detail: str) -> Finding:
    return Finding(check, "ok", detail)


def warn(check: str, detail: str, cure: str) -> Finding:
    return Finding(check, "warn", detail, cure)


def fail(check: str, detail: str, cure: str) -> Finding:
    return Finding(check, "fail", detail, cure)


def skip(check: str, why: str) -> Finding:
    """Return the finding of a check that was not run, since one that it depends on failed."""
    return Finding(check, "skip", f"skipped: {why}")
