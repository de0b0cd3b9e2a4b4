"""Answers kept under a client's idempotency key, so that a request sent again has the first one's answer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta

from app.db.tables import ReplayRow, utc_now
from app.db.unit_of_work import Keyed, UnitOfWork
from app.errors import InFlight, KeyReused
from app.settings import Settings

KEPT = timedelta(hours=24)
_ANSWERED_WITHIN = 30.0  # seconds; a request that took longer has lost its process


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


def begin(settings: Settings, keyed: Keyed, asked: str) -> Answer | None:
    """The answer that the request (`asked` is its digest) had before; None where it is to be carried out now.

    Raises: KeyReused; InFlight.
    """
    with UnitOfWork(settings.database) as work:
        now = work.replays.clock()
        row = ReplayRow(caller=keyed.caller, key=keyed.key, asked=asked, answered_by=now + _ANSWERED_WITHIN)
        if not work.replays.add_if_new(row):
            row = work.replays.lock(keyed.caller, keyed.key)
            now = work.replays.clock()  # the other's row may have been waited for
            if row is None:  # given up a moment ago
                raise InFlight(1)
            if row.created_at < utc_now() - KEPT:
                row.asked, row.status, row.outcome, row.created_at = asked, None, None, utc_now()
                row.answered_by = now
            if row.asked != asked:
                raise KeyReused("This key came with another request before: take a new one for each.")
            if row.status is not None and row.body is not None:
                return Answer(row.status, row.headers or {}, row.body)
            if now < row.answered_by <= now + _ANSWERED_WITHIN:
                raise InFlight(_worth_waiting(row.answered_by - now))
            row.answered_by = now + _ANSWERED_WITHIN
        work.commit()
    return None


def _worth_waiting(left: float) -> int:
    """Seconds to wait for an answer that is given up in `left`: as long as it has taken already, and no longer."""
    return max(1, math.ceil(min(_ANSWERED_WITHIN - left, left)))


def keep(settings: Settings, keyed: Keyed, answer: Answer) -> None:
    """From now on this is the request's answer."""
    with UnitOfWork(settings.database) as work:
        row = work.replays.lock(keyed.caller, keyed.key)
        if row is not None:
            row.status, row.headers, row.body = answer.status, answer.headers, answer.body
            work.commit()


def give_up(settings: Settings, keyed: Keyed) -> None:
    """The request was refused or failed: sent again it is carried out anew, but for what it has kept already."""
    with UnitOfWork(settings.database) as work:
        row = work.replays.lock(keyed.caller, keyed.key)
        if row is not None and row.outcome is not None:
            row.answered_by = 0.0
        elif row is not None:
            work.replays.forget(row)
        work.commit()


def forget_old(work: UnitOfWork) -> None:
    """Remove what was kept for longer than a day."""
    work.replays.forget_before(utc_now() - KEPT)
