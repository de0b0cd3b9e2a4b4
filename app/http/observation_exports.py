"""Exports of observations as a table, in blocks, since there may be very many.

Each block is read in a transaction of its own, so that a slow client holds none open. After the first one they are made
in the pool of processes, so that no other request waits for a large table.
"""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator
from operator import itemgetter

from fastapi import Request
from fastapi.concurrency import run_in_threadpool

from app.core.csv_cells import escape
from app.core.errors import ServiceBusy, require_found
from app.core.process_pool import ProcessPool, call
from app.db.unit_of_work import UnitOfWork
from app.http.auth import caller_of

COLUMNS = (
    "id", "trial_id", "role", "r", "d", "w", "ratio", "resolution", "flops", "params", "accuracy", "seconds",
    "latency_ms", "retracted_at", "retraction_reason", "created_at",
)  # fmt: skip
IN_STUDY = ("role", "r", "d", "w", "ratio")

_OWN = tuple(column for column in COLUMNS if column not in IN_STUDY)
_STORED = (*_OWN, *IN_STUDY)  # in the order in which the database returns them
_ORDER = itemgetter(*map(_STORED.index, COLUMNS))
_REASON = COLUMNS.index("retraction_reason")  # the only text that people write
_RESOLUTION = COLUMNS.index("resolution")  # of an input that is not square: 32x64
_FIRST_BLOCK, _BLOCK = 2000, 10_000  # rows
_BLOCK_SECONDS = 0.3
_RETRY_SECONDS = 1.0


async def stream_table(request: Request, study_id: str) -> AsyncIterator[str]:
    """Yield the study's observations as CSV, oldest first."""
    database = request.app.state.settings.database
    yield ",".join(COLUMNS) + "\r\n"
    text, last = await run_in_threadpool(export_block, database, study_id, 0, _FIRST_BLOCK)
    while last is not None:
        yield text
        text, last = await _export_next(request, study_id, last)
    yield text


async def _export_next(request: Request, study_id: str, after: int) -> tuple[str, int | None]:
    pool: ProcessPool = request.app.state.pool
    arguments = request.app.state.settings.database, study_id, after, _BLOCK
    if not pool.processes:
        return await run_in_threadpool(export_block, *arguments)
    caller = caller_of(request).id
    while True:
        try:
            [block] = await pool.run(
                call, export_block, *arguments, is_long=False, seconds=_BLOCK_SECONDS, caller=caller
            )
        except ServiceBusy:  # the status was sent long ago, so the export waits
            await asyncio.sleep(_RETRY_SECONDS)
        else:
            text, last = block
            return text, last


def export_block(database: str, study_id: str, after: int, limit: int) -> tuple[str, int | None]:
    """Return `limit` lines of the table after the observation `after`, and the last one's id; None if none follow.

    Raises: NotFound if the study was deleted.
    """
    with UnitOfWork(database, writes=False) as work:
        require_found(work.studies.get(study_id), "study", study_id)
        rows = work.observations.table_of_study(study_id, _OWN, after=after, limit=limit)
    text = io.StringIO()
    writer = csv.writer(text)
    for row in rows:
        cells = _ORDER(row)
        if isinstance(sides := cells[_RESOLUTION], tuple):
            cells = (*cells[:_RESOLUTION], "x".join(map(str, sides)), *cells[_RESOLUTION + 1 :])
        if cells[_REASON] is not None:
            cells = (*cells[:_REASON], escape(cells[_REASON]), *cells[_REASON + 1 :])
        writer.writerow(cells)
    return text.getvalue(), rows[-1][0] if len(rows) == limit else None
