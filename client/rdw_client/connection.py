"""The service's address, the API key, and what a response means."""

from __future__ import annotations

import os
from typing import Any, TypeVar

import httpx

from rdw_client.errors import Problem, Unreachable, parse_problem
from rdw_client.request import Request
from rdw_client.version import __version__

T = TypeVar("T")

URL_VARIABLE, KEY_VARIABLE = "RDW_URL", "RDW_API_KEY"
DEFAULT_URL = "http://127.0.0.1:8000"


def http_options(url: str | None, key: str | None, timeout: float) -> dict[str, Any]:
    """Return the options of an httpx client. The defaults of `url` and `key` are RDW_URL and RDW_API_KEY.

    Raises: ValueError if the URL or the key is malformed.
    """
    api_key = _api_key(key)
    headers = {"User-Agent": f"rdw-client/{__version__}", **({"Authorization": f"Bearer {api_key}"} if api_key else {})}
    return {"base_url": _base_url(url), "timeout": timeout, "headers": headers}


def _base_url(url: str | None) -> str:
    """Return the service's URL without a trailing `/v1`, which the paths of requests include."""
    base = (url or os.environ.get(URL_VARIABLE) or DEFAULT_URL).strip()
    try:
        parsed = httpx.URL(base)
    except httpx.InvalidURL as error:
        raise ValueError(f"{base!r} is not a valid service URL: {error} ({URL_VARIABLE})") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError(f"{base!r} is not a valid service URL: use one like {DEFAULT_URL} ({URL_VARIABLE})")
    return base.rstrip("/").removesuffix("/v1")


def _api_key(key: str | None) -> str:
    """Return the key and check that it fits into a header; error messages do not contain it."""
    secret = (key or os.environ.get(KEY_VARIABLE) or "").strip()
    if not (secret.isascii() and secret.isprintable()):
        name = "key" if key else KEY_VARIABLE
        raise ValueError(f"{name}: a key has only printable ASCII characters and no line breaks. Copy it again.")
    return secret


def parse_response(request: Request[T], outcome: httpx.Response | httpx.TransportError) -> T:
    """Parse the response to a request.

    Raises: Problem; Unreachable; NotUnderstood.
    """
    if isinstance(outcome, httpx.TransportError):
        raise _unreachable(outcome)
    if outcome.is_success or outcome.status_code in request.accepted:
        return request.parse(outcome)
    raise problem_from(outcome)


def problem_from(response: httpx.Response) -> Problem:
    """Return the error that a response describes; its body must have been read."""
    return parse_problem(response.status_code, response.content)


def _unreachable(error: httpx.TransportError) -> Unreachable:
    try:
        address = f"{error.request.url.scheme}://{error.request.url.netloc.decode()}"
    except RuntimeError:  # the error occurred before the request was created
        address = "The service"
    return Unreachable(f"{address} does not answer: {str(error) or type(error).__name__}")
