"""Checks of the database: it answers, its schema is current, and its clock agrees with this machine's."""

from __future__ import annotations

import time

from app.core.settings import Settings
from app.db.migrate import schema_problem, schema_revisions
from app.db.session import DatabaseUnavailable
from app.db.unit_of_work import UnitOfWork
from app.doctor.finding import Finding, fail, ok, warn

_SKEW_SECONDS = 5.0


def check_connection(settings: Settings) -> Finding:
    try:
        schema_revisions(settings.database)
    except DatabaseUnavailable as error:
        return fail("database", error.operator_message, "Start it, or correct RDW_DATABASE_URL.")
    return ok("database", "it answers")


def check_schema(settings: Settings) -> Finding:
    problem = schema_problem(settings.database)
    current, required = schema_revisions(settings.database)
    if problem:
        cure = "Run `rdw migrate`" + ("; back up first." if current else " (`rdw serve` does it by itself).")
        return fail("schema", f"the database {problem}", cure)
    if current != required:
        cure = "Install that version here as well; this one may fail meanwhile."
        return warn("schema", f"at {current}, of a newer version than this one ({required})", cure)
    return ok("schema", f"at {required}")


def check_clock(settings: Settings) -> Finding:
    with UnitOfWork(settings.database, writes=False) as work:
        before = time.time()
        skew = work.suggestions.clock() - (before + time.time()) / 2
    return check_skew(skew)


def check_skew(seconds: float) -> Finding:
    """Check the difference of the clocks: leases use the database's, logs and responses use this machine's."""
    if abs(seconds) > _SKEW_SECONDS:
        cure = "Set both by NTP (timedatectl set-ntp true)."
        return warn("clock", f"the database's is {abs(seconds):.0f} s {'ahead' if seconds > 0 else 'behind'}", cure)
    return ok("clock", "it agrees with the database's")
