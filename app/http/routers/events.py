"""The route of what has changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from time import monotonic
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent

from app.http.auth import READ
from app.http.dependencies import example_query
from app.http.problems import RESPONSES
from app.http.route import ApiRoute
from app.services.change_streams import ChangePoller

_MAX_IDS = 100
_MAX_SECONDS = 3600

router = APIRouter(prefix="/v1/events", tags=["events"], responses=RESPONSES, route_class=ApiRoute)

Seconds = Annotated[
    int, example_query(2, ge=1, le=_MAX_SECONDS, description="Number of seconds after which the stream ends.")
]


@router.get("", response_class=EventSourceResponse, summary="Follow changes", dependencies=[READ])
async def follow_changes(request: Request, seconds: Seconds = _MAX_SECONDS) -> AsyncIterator[ServerSentEvent]:
    """Stream which `trials`, `studies`, `predictors` and `workers` have changed.

    The first event is `open`: what changes from then on is reported, so read your lists after it. The others have the
    kind as `event`, and as `data` the `ids`; null if there are more than 100. Changes may be merged, repeated or, of
    resources older than the newest 500, missing: read your lists once in a while too.
    """
    poller: ChangePoller = request.app.state.change_poller
    end = monotonic() + seconds
    with suppress(TimeoutError), poller.subscribe() as subscriber:
        await asyncio.wait_for(subscriber.next(), end - monotonic())
        yield ServerSentEvent(event="open", data={})
        while True:
            changes = await asyncio.wait_for(subscriber.next(), end - monotonic())
            for kind, ids in changes.items():
                yield ServerSentEvent(event=kind, data={"ids": sorted(ids) if len(ids) <= _MAX_IDS else None})
