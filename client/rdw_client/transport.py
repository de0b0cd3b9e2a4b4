"""The synchronous form of `async_transport.py`, generated from it by `generate_sync.py`: do not edit."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from time import monotonic, sleep
from typing import Any, TypeVar

import httpx

from rdw_client.connection import http_options, parse_response
from rdw_client.files import atomic_write, write
from rdw_client.models import Page
from rdw_client.request import Request
from rdw_client.retry import RetryPolicy, RetrySchedule

T = TypeVar("T")


class Transport:
    """Connections to the service at `url`, authenticated by `key`."""

    def __init__(self, url: str | None, key: str | None, timeout: float, policy: RetryPolicy) -> None:
        self._open(http_options(url, key, timeout), policy)

    def _open(self, options: dict[str, Any], policy: RetryPolicy) -> None:
        self._options = options
        self._policy = policy
        self._timeout: float = options["timeout"]
        self._random = random.Random()  # noqa: S311 (spreads retries)
        self._http = httpx.Client(**options)

    def __getstate__(self) -> tuple[dict[str, Any], RetryPolicy]:
        """Leave out the connections: a copy opens its own."""
        return self._options, self._policy

    def __setstate__(self, state: tuple[dict[str, Any], RetryPolicy]) -> None:
        self._open(*state)

    def close(self) -> None:
        self._http.close()

    def send(self, request: Request[T]) -> T:
        """Send a request, retry it while that may help, and parse the response.

        Raises: Problem; Unreachable; NotUnderstood.
        """
        schedule = self._schedule()
        while True:
            outcome = self._try(request)
            delay = schedule.next_delay(outcome, monotonic())
            if delay is None:
                return parse_response(request, outcome)
            sleep(delay)

    def items(self, request: Request[Page[T]]) -> Iterator[T]:
        """Iterate over the items of all pages; each page is fetched when it is needed."""
        while True:
            page = self.send(request)
            yield from page.items
            if page.next is None:
                return
            request = request.next_page(page.next)

    def stream(self, request: Request[None], read_timeout: float) -> AbstractContextManager[httpx.Response]:
        """Open a response whose body is read as it arrives. It is not retried."""
        return self._http.stream(**request.to_httpx(), timeout=httpx.Timeout(self._timeout, read=read_timeout))

    def download(self, request: Request[None], path: Path) -> None:
        """Write the body of the response to a file, which is complete or does not exist.

        Raises: Problem; Unreachable.
        """
        schedule = self._schedule()
        while True:
            outcome: httpx.Response | httpx.TransportError
            try:
                with self._http.stream(**request.to_httpx()) as outcome:
                    if outcome.is_success:
                        with atomic_write(path) as file:
                            for chunk in outcome.iter_bytes():
                                write(file, chunk)
                        return
                    outcome.read()
            except httpx.TransportError as error:
                outcome = error
            delay = schedule.next_delay(outcome, monotonic())
            if delay is None:
                return parse_response(request, outcome)
            sleep(delay)

    def _schedule(self) -> RetrySchedule:
        return RetrySchedule(self._policy, monotonic(), self._random)

    def _try(self, request: Request[Any]) -> httpx.Response | httpx.TransportError:
        try:
            return self._http.request(**request.to_httpx())
        except httpx.TransportError as error:
            return error
