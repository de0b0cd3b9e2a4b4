"""What all routes of the API have: writes take an idempotency key, reads have a tag."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Depends, Request, Response
from fastapi.routing import APIRoute

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
        super().__init__(path, endpoint, **options)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()
        if "GET" not in self.methods:
            return handler

        async def handle(request: Request) -> Response:
            return tagged(request, await handler(request))

        return handle
