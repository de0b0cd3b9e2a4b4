"""Authentication, scopes and rate limits of callers."""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Collection
from contextlib import suppress
from functools import lru_cache

from fastapi import Depends, Request, Security
from fastapi.concurrency import run_in_threadpool
from fastapi.security import HTTPBearer, SecurityScopes
from fastapi.security.utils import get_authorization_scheme_param
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.callers import ANYONE, Caller
from app.core.errors import Forbidden, RateLimited, ServiceError, Unauthorized
from app.core.scopes import highest_scope
from app.db.session import DatabaseUnavailable
from app.http import API_PREFIX, problems
from app.http.rate_limit import Policy, RateLimits, Verdict
from app.services.auth.key_cache import KeyCache
from app.services.auth.keys import digest_of

_SECONDS_PER_REQUEST = 0.01  # of a computation
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9_.-]+?)\.?)(?::\d*)?", re.IGNORECASE)


class AuthMiddleware:
    """Authenticates every request to the API, and counts it against its caller's limit, before its body is read.

    Afterwards `request.state.caller` is set. Paths in `paths` are protected as well as everything below `API_PREFIX`.
    """

    def __init__(self, app: ASGIApp, *, paths: Collection[str] = ()) -> None:
        self.app = app
        self._paths = frozenset(paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._is_protected(scope["path"]):
            return await self.app(scope, receive, send)
        request = Request(scope)

        async def send_with_limits(message: Message) -> None:
            verdict: Verdict | None = scope["state"].get("verdict")
            if verdict is not None and message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(verdict.headers)
            await send(message)

        try:
            request.state.caller = await _authenticate(request)
            await _count(request, _limits(request).requests)
        except (ServiceError, DatabaseUnavailable) as error:
            return await problems.error_response(request, error)(scope, receive, send_with_limits)
        await self.app(scope, receive, send_with_limits)

    def _is_protected(self, path: str) -> bool:
        return path.startswith(f"{API_PREFIX}/") or path in self._paths


class RequireScope(HTTPBearer):
    """A dependency that requires the scope which the route declares."""

    def __init__(self) -> None:
        super().__init__(auto_error=False, scheme_name="HTTPBearer")

    async def __call__(self, request: Request, required: SecurityScopes) -> None:  # type: ignore[override]
        for scope in required.scopes:
            check_scope(request, scope)


require_scope = RequireScope()
READ = Security(require_scope, scopes=["read"])
TRAIN = Security(require_scope, scopes=["train"])
ADMIN = Security(require_scope, scopes=["admin"])
"""A route declares one of these: `dependencies=[READ]`."""


def caller_of(request: Request) -> Caller:
    caller: Caller = request.state.caller
    return caller


def check_scope(request: Request, scope: str) -> None:
    """Check that the caller's key has the scope.

    Raises: Forbidden.
    """
    caller = caller_of(request)
    if scope not in caller.scopes:
        raise Forbidden(f"This needs a key of scope `{scope}`; {caller.name!r} has `{highest_scope(caller.scopes)}`.")


async def count_training(request: Request) -> None:
    """Count a training against the caller's limit.

    Raises: RateLimited.
    """
    await _count(request, _limits(request).training)


async def count_computation(request: Request, seconds: float) -> None:
    """Count a computation against the caller's limit: each 10 ms as a request. It is done, so it is never refused."""
    with suppress(RateLimited):
        await _count(request, _limits(request).requests, math.ceil(seconds / _SECONDS_PER_REQUEST))


COUNTS_AS_TRAINING = Depends(count_training)
"""Routes that occupy workers or this process for long declare it: such requests have a limit of their own."""


async def _authenticate(request: Request) -> Caller:
    """Return the sender of the request.

    Raises: Unauthorized, RateLimited, Forbidden, DatabaseUnavailable.
    """
    keys: KeyCache = request.app.state.keys
    scheme, secret = get_authorization_scheme_param(request.headers.get("authorization"))
    key = secret if scheme.lower() == "bearer" and secret else None
    try:
        if not keys.is_fresh():
            await _refresh_keys(keys, key)
        caller = keys.authenticate(key)
    except Unauthorized:
        verdict = await _limits(request).take(_limits(request).failures, _address(request))
        if verdict is not None and not verdict.is_allowed:
            request.state.verdict = verdict
            raise _rate_limited(verdict, "Too many requests without a valid key came from this address.") from None
        raise
    if caller is ANYONE:
        _refuse_other_machines(request)
        _refuse_other_sites(request)
    _check_host(request, is_any_allowed=caller is not ANYONE)
    return caller


async def _refresh_keys(keys: KeyCache, key: str | None) -> None:
    """Reload the keys from the database; a key of the settings is valid without it.

    Raises: DatabaseUnavailable.
    """
    try:
        await run_in_threadpool(keys.refresh)
    except DatabaseUnavailable as error:
        try:
            keys.authenticate_env_key(digest_of(key or ""))
        except Unauthorized:
            raise error from None


async def _count(request: Request, policy: Policy | None, cost: int = 1) -> None:
    """Count a request against the caller's limit; a service without keys does not limit its own machine.

    Raises: RateLimited.
    """
    caller = caller_of(request)
    if caller is ANYONE:
        return
    verdict = await _limits(request).take(policy, caller.id, cost)
    if verdict is None:
        return
    request.state.verdict = verdict
    if not verdict.is_allowed:
        raise _rate_limited(verdict, f"More than {verdict.policy.per_minute:,} a minute ({verdict.policy.name}).")


def _rate_limited(verdict: Verdict, reason: str) -> RateLimited:
    return RateLimited(f"{reason} Retry in {verdict.retry_after} s.", verdict.retry_after)


def _refuse_other_machines(request: Request) -> None:
    """Refuse requests from other machines: a service without keys trusts everybody on its own.

    Raises: Forbidden.
    """
    if not _is_loopback(_address(request)):
        raise Forbidden("A service without keys answers only its own machine. Create a key: `rdw keys create`.")


def _check_host(request: Request, *, is_any_allowed: bool) -> None:
    """Check the header `Host`: another name that resolves to this machine may belong to a web page (DNS rebinding).

    With keys any name is allowed, unless RDW_ALLOWED_HOSTS lists some.

    Raises: Forbidden.
    """
    allowed: frozenset[str] = request.app.state.settings.allowed_host_names
    if is_any_allowed and not allowed:
        return
    name = _host_name(request.headers.get("host", ""))
    if name not in allowed and name != "localhost" and not _is_loopback(name):
        raise Forbidden("The service does not answer under this host name; RDW_ALLOWED_HOSTS can allow it.")


@lru_cache(maxsize=256)
def _host_name(header: str) -> str:
    """Return the name or address in a header `Host` without its port; empty if the header is missing or invalid."""
    match = _HOST.fullmatch(header)
    return "" if match is None else (match[1] or match[2]).lower()


def _refuse_other_sites(request: Request) -> None:
    """Refuse changes that a browser requests for a page of another site, which it does without asking its user.

    Raises: Forbidden.
    """
    if request.method in _SAFE_METHODS:
        return
    origin = request.headers.get("origin")
    if origin is None:
        is_own = request.headers.get("sec-fetch-site") in (None, "same-origin", "none")
    else:
        is_own = origin.partition("://")[2] == request.headers.get("host")
    if not is_own and origin not in request.app.state.settings.allowed_origins:
        raise Forbidden("The request comes from a page of another site; RDW_CORS_ORIGINS can allow that site.")


@lru_cache(maxsize=1024)
def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _address(request: Request) -> str:
    """Return the client's address; uvicorn takes it from a proxy only if RDW_TRUSTED_PROXIES names that proxy."""
    return request.client.host if request.client else "unknown"


def _limits(request: Request) -> RateLimits:
    limits: RateLimits = request.app.state.limits
    return limits
