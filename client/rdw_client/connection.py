"""Where the service is and who we are; what both clients do with an answer."""

from __future__ import annotations

import os
from typing import Any, TypeVar

import httpx

from rdw_client.calls import Call
from rdw_client.errors import Problem, Unreachable, problem

T = TypeVar("T")

URL, KEY = "RDW_URL", "RDW_API_KEY"
DEFAULT_URL = "http://127.0.0.1:8000"


def options(url: str | None, key: str | None, timeout: float) -> dict[str, Any]:
    """httpx's, for a service at `url` (default: RDW_URL) that knows `key` (default: RDW_API_KEY).

    Raises: ValueError where the URL is none, or the key cannot be one.
    """
    secret = _secret(key)
    headers = {"User-Agent": "rdw-client", **({"Authorization": f"Bearer {secret}"} if secret else {})}
    return {"base_url": _address(url), "timeout": timeout, "headers": headers}


def _address(url: str | None) -> str:
    """Without a /v1 at its end: calls have their own."""
    base = (url or os.environ.get(URL) or DEFAULT_URL).strip()
    try:
        parsed = httpx.URL(base)
    except httpx.InvalidURL as error:
        raise ValueError(f"{base!r} is no address of a service: {error} ({URL})") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError(f"{base!r} is no address of a service: it is like {DEFAULT_URL} ({URL})")
    return base.rstrip("/").removesuffix("/v1")


def _secret(key: str | None) -> str:
    """The key, as a header can carry it. What is wrong is said without showing it."""
    secret = (key or os.environ.get(KEY) or "").strip()
    if not (secret.isascii() and secret.isprintable()):
        raise ValueError(f"{'key' if key else KEY}: no key has line breaks or letters beyond ASCII. Copy it once more.")
    return secret


def answered(call: Call[T], outcome: httpx.Response | httpx.TransportError) -> T:
    """The answer, read.

    Raises: Problem; Unreachable; NotUnderstood.
    """
    if isinstance(outcome, httpx.TransportError):
        raise unreachable(outcome)
    if outcome.is_success or outcome.status_code in call.accepts:
        return call.read(outcome)
    raise refused(outcome)


def refused(answer: httpx.Response) -> Problem:
    """Of an answer whose body has been read."""
    return problem(answer.status_code, answer.content)


def unreachable(error: httpx.TransportError) -> Unreachable:
    """In words, with the address."""
    try:
        where = f"{error.request.url.scheme}://{error.request.url.netloc.decode()}"
    except RuntimeError:  # it never came to a request
        where = "The service"
    return Unreachable(f"{where} does not answer: {str(error) or type(error).__name__}")
