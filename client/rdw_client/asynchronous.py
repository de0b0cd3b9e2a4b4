"""The same client for asyncio: its methods are awaited, its lists gone through with `async for`."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import update_wrapper
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, ParamSpec, Self, TypeVar, overload

import httpx

from rdw_client import calls, files
from rdw_client.answers import Page, Study, Trial
from rdw_client.calls import Call, Ref
from rdw_client.connection import answered, options, refused
from rdw_client.events import Event, Following, Reader, asked, outcome
from rdw_client.retrying import Attempts, Patience
from rdw_client.waiting import Deadline, pauses, study_outcome

P = ParamSpec("P")
T = TypeVar("T")


class Sent(Generic[P, T]):
    """A method that sends the call which `build` describes."""

    def __init__(self, build: Callable[P, Call[T]]) -> None:
        self._build = build
        update_wrapper(self, build)  # type: ignore[arg-type]

    @overload
    def __get__(self, client: None, owner: type[AsyncClient]) -> Self: ...
    @overload
    def __get__(self, client: AsyncClient, owner: type[AsyncClient]) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(
        self, client: AsyncClient | None, owner: type[AsyncClient]
    ) -> Self | Callable[P, Coroutine[Any, Any, T]]:
        if client is None:
            return self

        async def method(*args: P.args, **kwargs: P.kwargs) -> T:
            return await client.send(self._build(*args, **kwargs))

        return update_wrapper(method, self._build)


class Paged(Generic[P, T]):
    """A method that goes through the list which `build` describes, page after page."""

    def __init__(self, build: Callable[P, Call[Page[T]]]) -> None:
        self._build = build
        update_wrapper(self, build)  # type: ignore[arg-type]

    @overload
    def __get__(self, client: None, owner: type[AsyncClient]) -> Self: ...
    @overload
    def __get__(self, client: AsyncClient, owner: type[AsyncClient]) -> Callable[P, AsyncIterator[T]]: ...
    def __get__(self, client: AsyncClient | None, owner: type[AsyncClient]) -> Self | Callable[P, AsyncIterator[T]]:
        if client is None:
            return self

        def method(*args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
            return client.each(self._build(*args, **kwargs))

        return update_wrapper(method, self._build)


class AsyncClient:
    """rdw at `url` (default: RDW_URL, or this machine), known by `key` (default: RDW_API_KEY).

    `timeout`: seconds of silence after which an attempt has failed. What fails by accident is sent again, at most
    `retries` times and for `patience` seconds in all, after at most `backoff` seconds, then twice that, and so on.
    Its methods are described in `rdw_client.calls`.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        timeout: float = 60.0,
        retries: int = 6,
        patience: float = 60.0,
        backoff: float = 0.25,
    ) -> None:
        self._timeout = timeout
        self._patience = Patience(retries, patience, backoff)
        self._chance = random.Random()
        self._http = httpx.AsyncClient(**options(url, key, timeout))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close its connections."""
        await self._http.aclose()

    architecture = Sent(calls.architecture)
    register_architecture = Sent(calls.register_architecture)
    architectures = Sent(calls.architectures)
    cost = Sent(calls.cost)
    scale = Sent(calls.scale)
    family = Sent(calls.family)
    compare = Sent(calls.compare)
    datasets = Sent(calls.datasets)
    register_dataset = Sent(calls.register_dataset)
    train = Sent(calls.train)
    estimate = Sent(calls.estimate)
    trial = Sent(calls.trial)
    cancel_trial = Sent(calls.cancel_trial)
    retry_trial = Sent(calls.retry_trial)
    create_study = Sent(calls.create_study)
    study = Sent(calls.study)
    start_study = Sent(calls.start_study)
    pause_study = Sent(calls.pause_study)
    resume_study = Sent(calls.resume_study)
    cancel_study = Sent(calls.cancel_study)
    ask = Sent(calls.ask)
    tell = Sent(calls.tell)
    observations_csv = Sent(calls.observations_csv)
    import_observations = Sent(calls.import_observations)
    import_csv = Sent(calls.import_csv)
    retract = Sent(calls.retract)
    front = Sent(calls.front)
    correlations = Sent(calls.correlations)
    calibration = Sent(calls.calibration)
    figure = Sent(calls.figure)
    refit = Sent(calls.refit)
    train_family = Sent(calls.train_family)
    trained_family = Sent(calls.trained_family)
    predictor = Sent(calls.predictor)
    curve = Sent(calls.curve)
    predictor_calibration = Sent(calls.predictor_calibration)
    activate = Sent(calls.activate)
    workers = Sent(calls.workers)
    queue = Sent(calls.queue)
    health = Sent(calls.health)
    ready = Sent(calls.ready)

    trials = Paged(calls.trials)
    studies = Paged(calls.studies)
    observations = Paged(calls.observations)
    predictors = Paged(calls.predictors)

    async def send(self, call: Call[T]) -> T:
        """The call's answer, after as many attempts as it takes.

        Raises: Problem; Unreachable; NotUnderstood.
        """
        attempts = self._attempts()
        while True:
            came = await self._attempt(call)
            wait = attempts.pause(came, time.monotonic())
            if wait is None:
                return answered(call, came)
            await asyncio.sleep(wait)

    async def each(self, call: Call[Page[T]]) -> AsyncIterator[T]:
        """The items of all pages; a page is asked for when it is needed."""
        while True:
            page = await self.send(call)
            for item in page.items:
                yield item
            if page.next is None:
                return
            call = call.after(page.next)

    async def events(self, trial: Ref, *, last_event_id: int = 0) -> AsyncIterator[Event]:
        """A trial's events from the start, or after one of them, as they come and until it has ended; over drops."""
        async for event in self._follow(trial, Following(last_event_id, every=True), Deadline(None, time.monotonic())):
            if event.id is not None:
                yield event

    async def wait(
        self, trial: Ref, progress: Callable[[Event], object] | None = None, *, timeout: float | None = None
    ) -> Trial:
        """The trial, once it has completed; `progress` is called with each event.

        Raises: TrialFailed; TrialCancelled; WaitedTooLong; what a call raises.
        """
        async for event in self._follow(trial, Following(0, every=False), Deadline(timeout, time.monotonic())):
            if progress is not None:
                progress(event)
        return outcome(await self.trial(trial))

    async def wait_for_study(
        self, study: Ref, progress: Callable[[Study], object] | None = None, *, timeout: float | None = None
    ) -> Study:
        """The study, once it has completed; `progress` is called with it now and then.

        Raises: StudyCancelled; WaitedTooLong; what a call raises; RdwError, at once, where it was not started.
        """
        deadline = Deadline(timeout, time.monotonic())
        for pause in pauses():
            current = await self.study(study)
            if progress is not None:
                progress(current)
            if study_outcome(current):
                return current
            await asyncio.sleep(deadline.within(pause, time.monotonic()))
        raise AssertionError("pauses never end")

    async def download(self, trial: Ref, file: str, to: str | Path) -> Path:
        """Fetch what a training left (`weights.safetensors`, …) to a file or into a folder; whole, or not at all."""
        target = files.target(to, file)
        call, attempts = calls.artifact(trial, file), self._attempts()
        while True:
            came: httpx.Response | httpx.TransportError
            try:
                async with self._http.stream(**call.request()) as came:
                    if came.is_success:
                        with files.whole(target) as part:
                            async for chunk in came.aiter_bytes():
                                await asyncio.to_thread(part.write, chunk)
                        return target
                    await came.aread()
            except httpx.TransportError as error:
                came = error
            wait = attempts.pause(came, time.monotonic())
            if wait is None:
                answered(call, came)
            await asyncio.sleep(wait or 0)

    def _attempts(self) -> Attempts:
        return Attempts(self._patience, time.monotonic(), self._chance)

    async def _attempt(self, call: Call[Any]) -> httpx.Response | httpx.TransportError:
        try:
            return await self._http.request(**call.request())
        except httpx.TransportError as error:
            return error

    async def _follow(self, trial: Ref, following: Following, deadline: Deadline) -> AsyncIterator[Event]:
        """Events as they come; after a connection has ended the trial is asked for, and what it says is one more."""
        while True:
            whole = False
            call, silence = calls.events(trial, following.last), deadline.silence(time.monotonic())
            try:
                async with self._http.stream(
                    **call.request(), timeout=httpx.Timeout(self._timeout, read=silence)
                ) as answer:
                    if 400 <= answer.status_code < 500 and answer.status_code != 429:
                        await answer.aread()
                        raise refused(answer)
                    reader = Reader()
                    async for line in answer.aiter_lines() if answer.is_success else _none():
                        event = reader.take(line)
                        if event is not None and following.take(event):
                            yield event
                        if deadline.nears(silence, time.monotonic()):
                            break
                    else:
                        whole = answer.is_success
            except httpx.TransportError:
                pass  # whether the service is gone for good shows in the next lines
            current = await self.trial(trial)
            if following.over(current, whole=whole):
                return
            if not whole:
                yield asked(current)
            await asyncio.sleep(deadline.within(following.pause(), time.monotonic()))


async def _none() -> AsyncIterator[str]:
    """No lines."""
    for line in list[str]():
        yield line
