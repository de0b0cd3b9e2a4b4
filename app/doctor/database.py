"""The database: there, with the schema that this code wants, and with a clock that agrees with ours."""

from __future__ import annotations

import time

from app.db.migrate import behind, versions
from app.db.session import DatabaseAway
from app.db.unit_of_work import UnitOfWork
from app.doctor.finding import Finding, fail, ok, warn
from app.settings import Settings

_SKEW_SECONDS = 5.0


def answers(settings: Settings) -> Finding:
    try:
        versions(settings.database)
    except DatabaseAway as error:
        return fail("database", error.in_full, "Start it, or correct RDW_DATABASE_URL.")
    return ok("database", "it answers")


def at_head(settings: Settings) -> Finding:
    why_not = behind(settings.database)
    there, wanted = versions(settings.database)
    if why_not:
        cure = "Run `rdw migrate`" + ("; back up first." if there else " (`rdw serve` does it by itself).")
        return fail("schema", f"the database {why_not}", cure)
    if there != wanted:
        cure = "Install that version here as well: this one goes on meanwhile."
        return warn("schema", f"at {there}, of a newer version than this one ({wanted})", cure)
    return ok("schema", f"at {wanted}")


def clock(settings: Settings) -> Finding:
    with UnitOfWork(settings.database, writes=False) as work:
        before = time.time()
        skew = work.suggestions.clock() - (before + time.time()) / 2
    return skewed(skew)


def skewed(seconds: float) -> Finding:
    """Leases go by the database's clock; ours stands in logs and answers."""
    if abs(seconds) > _SKEW_SECONDS:
        cure = "Set both by NTP (timedatectl set-ntp true)."
        return warn("clock", f"the database's is {abs(seconds):.0f} s {'ahead' if seconds > 0 else 'behind'}", cure)
    return ok("clock", "it agrees with the database's")
