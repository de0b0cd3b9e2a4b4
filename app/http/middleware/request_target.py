"""The target of a request: malformed ones are refused, and of an absolute one the path is taken."""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import unquote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from app.http.problems import problem

_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(:[0-9]*)?")


class RequestTargetMiddleware:
    """Answers 400 to a request whose target or `Host` is malformed, so that no later layer has to parse it in vain.

    The target `http://host/path` means `/path` of that host, whatever the `Host` header says (RFC 9112, section 3.2.2).
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            try:
                scope = _with_path(scope)
            except ValueError as error:
                return await problem(Request(scope), 400, "bad-request", str(error))(scope, receive, send)
        await self.app(scope, receive, send)


def _with_path(scope: Scope) -> Scope:
    """Return the scope, with the path and the host of an absolute target.

    Raises: ValueError.
    """
    if scope["path"].startswith("/"):
        if not _is_authority(Headers(scope=scope).get("host", "")):
            raise ValueError("The header `Host` is no host name or address.")
        return scope
    target = scope["raw_path"].decode("ascii", "replace")
    scheme, separator, rest = target.partition("://")
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    if scheme.lower() not in ("http", "https") or not separator or not authority or not _is_authority(authority):
        raise ValueError("The target of the request is neither a path nor a URL of http or https.")
    path = rest.removeprefix(authority) or "/"
    scope = {**scope, "path": unquote(path), "raw_path": path.encode(), "headers": list(scope["headers"])}
    MutableHeaders(scope=scope)["host"] = authority
    return scope


@lru_cache(maxsize=256)
def _is_authority(text: str) -> bool:
    """Return whether the text is a host, which may be empty, with or without a port."""
    if not _AUTHORITY.fullmatch(text):
        return False
    try:
        urlsplit(f"//{text}").port  # noqa: B018 (it raises)
    except ValueError:
        return False
    return True
