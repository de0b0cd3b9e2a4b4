"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warn", "fail", "skip"]


@dataclass(frozen=True)
class Finding:
    """`cure` says what to do; empty where all is well."""

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
    """Neither well nor wrong: it could not be looked at."""
    return Finding(check, "skip", f"skipped: {why}")
