"""The API as a program uses it: JSON in and out, pages followed, problems raised."""

from __future__ import annotations

import time
from typing import Any

import httpx

_PATIENCE = 60.0  # seconds for which a service that does not answer is asked again
_PAGE = 200


class Refused(Exception):
    """The service's problem document: `status`, and its detail as the message."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class Unreachable(Exception):
    """The service has not answered for a while."""


class Client:
    """A service at `url`. What it answers as a problem is raised as Refused.

    `key` is an API key, where it asks for one; `transport` httpx's, where it is not the network's.
    """

    def __init__(self, url: str, key: str | None = None, transport: httpx.BaseTransport | None = None) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.Client(base_url=url, timeout=60, transport=transport, headers=headers)

    def get(self, path: str, **query: Any) -> Any:
        return self._answer("GET", path, params=query)

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Only what may be asked twice: a request whose answer was lost is sent again."""
        return self._answer("POST", path, json=body)

    def every(self, path: str, **query: Any) -> list[dict[str, Any]]:
        """All items of a list, page by page."""
        found, cursor = [], None
        while True:
            page = self.get(path, limit=_PAGE, **query, **({"cursor": cursor} if cursor else {}))
            found += page["items"]
            cursor = page.get("next")
            if cursor is None:
                return found

    def ready(self) -> bool:
        """Whether database and broker answer and a worker lives."""
        try:
            return self._http.get("/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def close(self) -> None:
        self._http.close()

    def _answer(self, method: str, path: str, **request: Any) -> Any:
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                answer = self._http.request(method, path, **request)
                if answer.status_code != 503:
                    break
                why = answer.text
            except httpx.TransportError as error:
                why = str(error) or type(error).__name__
            if time.monotonic() > deadline:
                raise Unreachable(f"{self._http.base_url} does not answer: {why}")
            time.sleep(1)
        if answer.is_success:
            return answer.json()
        try:
            detail = answer.json()["detail"]
        except (ValueError, KeyError):
            detail = answer.text
        raise Refused(answer.status_code, f"{method} {path}: {detail}")
