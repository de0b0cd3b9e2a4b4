"""Who asks, what for, and how often: checked before a request's body is read, and once a request."""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from fastapi.security import HTTPBearer
from fastapi.security.utils import get_authorization_scheme_param
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as Asgi

from app import problems
from app.db.session import DatabaseAway
from app.errors import Forbidden, Overloaded, RateLimited, ServiceError, Unauthorized
from app.rate_limits import Policy, RateLimits, Verdict
from app.scopes import Scope, highest, needed, trains
from app.services.keyring import ANYONE, Caller, KeyRing
from app.services.keys import digest_of
from app.settings import Settings

_SAFE = ("GET", "HEAD", "OPTIONS")


async def identify(request: Request) -> Caller:
    """Who asks, as `request.state.caller`; its request counts against the caller's limit, the first time it is asked.

    Raises: Unauthorized, RateLimited, Forbidden, DatabaseAway; the same again where it is asked again.
    """
    if (known := getattr(request.state, "caller", None)) is not None:
        return known
    if (refusal := getattr(request.state, "refusal", None)) is not None:
        raise refusal
    try:
        caller = await _holder(request)
        await _count(request, _limits(request).requests, caller)
    except (ServiceError, DatabaseAway) as error:
        request.state.refusal = error
        raise
    request.state.caller = caller
    return caller


async def allow(request: Request, scope: Scope) -> Caller:
    """The caller, where it has the scope.

    Raises: Forbidden, and what `identify` raises.
    """
    caller = await identify(request)
    if scope not in caller.scopes:
        raise Forbidden(f"This needs a key of scope `{scope}`; {caller.name!r} has `{highest(caller.scopes)}`.")
    return caller


async def count_training(request: Request) -> None:
    """Raises: RateLimited where the caller has begun too many trainings of late."""
    await _count(request, _limits(request).training, await identify(request))


class KnownCaller(HTTPBearer):
    """Lets in who may use the operation."""

    def __init__(self) -> None:
        super().__init__(auto_error=False, scheme_name="HTTPBearer")

    async def __call__(self, request: Request) -> None:  # type: ignore[override]
        route = request.scope["route"].path
        await allow(request, needed(request.method, route))
        if trains(request.method, route):
            await count_training(request)


known_caller = KnownCaller()


async def stream_place(request: Request) -> AsyncIterator[None]:
    """A place among the event streams, held until the stream ends.

    Raises: RateLimited, Overloaded.
    """
    settings: Settings = request.app.state.settings
    streams: dict[str, int] = request.app.state.streams
    who = (await identify(request)).id
    if sum(streams.values()) >= settings.max_streams:
        raise Overloaded("This process has as many event streams as it takes: ask again, or poll the trial.")
    if who != ANYONE.id and streams.get(who, 0) >= settings.max_streams_per_caller:
        raise RateLimited(f"{streams[who]} event streams are open with this key: close some.", 5)
    streams[who] = streams.get(who, 0) + 1
    try:
        yield
    finally:
        streams[who] -= 1
        if not streams[who]:
            del streams[who]


class Gate:
    """Turns callers away at `/v1` and `/metrics` before anything of their body is read; says what their limits are."""

    def __init__(self, app: ASGIApp, *, metrics_open: bool) -> None:
        self.app = app
        self._also = () if metrics_open else ("/metrics",)

    async def __call__(self, scope: Asgi, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not (scope["path"].startswith("/v1/") or scope["path"] in self._also):
            return await self.app(scope, receive, send)
        request = Request(scope)

        async def send_with_limits(message: Message) -> None:
            if message["type"] == "http.response.start":
                verdict: Verdict | None = getattr(request.state, "verdict", None)
                if verdict is not None:
                    MutableHeaders(scope=message).update(verdict.headers)
            await send(message)

        try:
            await identify(request)
        except (ServiceError, DatabaseAway) as error:
            return await problems.known(request, error)(scope, receive, send_with_limits)
        await self.app(scope, receive, send_with_limits)


async def _holder(request: Request) -> Caller:
    ring: KeyRing = request.app.state.keys
    scheme, secret = get_authorization_scheme_param(request.headers.get("authorization"))
    given = secret if scheme.lower() == "bearer" and secret else None
    try:
        if not ring.ready():
            await _looked(ring, given)
        caller = ring.holder(given)
    except Unauthorized:
        verdict = await _limits(request).take(_limits(request).failures, _address(request))
        if verdict is not None and not verdict.allowed:
            request.state.verdict = verdict
            raise _too_many(verdict, "Too many requests without a valid key came from this address.") from None
        raise
    if caller is ANYONE:
        _refuse_other_sites(request)
    return caller


async def _looked(ring: KeyRing, secret: str | None) -> None:
    """Look for the keys there are; a key of the settings is good without that.

    Raises: DatabaseAway.
    """
    try:
        await run_in_threadpool(ring.look)
    except DatabaseAway as error:
        try:
            ring.given(digest_of(secret or ""))
        except Unauthorized:
            raise error from None


async def _count(request: Request, policy: Policy | None, caller: Caller) -> None:
    address = _address(request)
    if caller is ANYONE and _loopback(address):
        return
    verdict = await _limits(request).take(policy, caller.id if caller is not ANYONE else address)
    if verdict is None:
        return
    request.state.verdict = verdict
    if not verdict.allowed:
        raise _too_many(verdict, f"More than {verdict.policy.per_minute:,} a minute ({verdict.policy.name}).")


def _too_many(verdict: Verdict, what: str) -> RateLimited:
    return RateLimited(f"{what} Ask again in {verdict.retry_after} s.", verdict.retry_after)


def _refuse_other_sites(request: Request) -> None:
    """A service without keys trusts whoever reaches it: but not the pages of other sites, in a browser that does.

    Raises: Forbidden.
    """
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
    if origin is None and site is None:
        return  # no browser
    allowed = request.app.state.settings.allowed_origins
    host = request.url.hostname or ""
    if origin in allowed:
        return
    known = {"localhost", *(urlsplit(one).hostname for one in allowed)}
    if host not in known and not _loopback(host):  # a name that was made to point here (DNS rebinding)
        raise Forbidden("Without keys this service answers pages of this machine alone.")
    foreign = urlsplit(origin).netloc != request.headers.get("host") if origin else site == "cross-site"
    if request.method not in _SAFE and foreign:
        raise Forbidden("A page of another site asks; set RDW_CORS_ORIGINS if it should be let in.")


def _loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _address(request: Request) -> str:
    """The client's, as uvicorn has it: what proxies say counts where RDW_TRUSTED_PROXIES names them."""
    return request.client.host if request.client else "unknown"


def _limits(request: Request) -> RateLimits:
    return request.app.state.limits
