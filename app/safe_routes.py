"""What all routes of the API have: writes take an idempotency key, reads have a tag."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any

from fastapi import Depends, Request, Response
from fastapi.routing import APIRoute

from app.db.unit_of_work import UnitOfWork
from app.etags import tagged, takes_tag
from app.idempotency import takes_key
from app.problems import CONFLICT

_UNCHANGED: dict[int | str, dict[str, Any]] = {304: {"description": "Nothing has changed since (`If-None-Match`)."}}


class SafeRoute(APIRoute):
    """A route of `/v1`."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        writes = "POST" in (options.get("methods") or ())
        options["dependencies"] = [*(options.get("dependencies") or ()), Depends(takes_key if writes else takes_tag)]
        options["responses"] = {**(CONFLICT if writes else _UNCHANGED), **(options.get("responses") or {})}
        super().__init__(path, endpoint if iscoroutinefunction(endpoint) else _letting_go(endpoint), **options)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()
        if "GET" not in self.methods:
            return handler

        async def handle(request: Request) -> Response:
            return tagged(request, await handler(request))

        return handle


def _letting_go(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    """The endpoint, which holds the database no longer than until it has its answer.

    What comes after that waits for threads, and those may all be waiting for the database.
    """

    @wraps(endpoint)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return endpoint(*args, **kwargs)
        finally:
            for given in kwargs.values():
                if isinstance(given, UnitOfWork):
                    given.let_go()

    return call
