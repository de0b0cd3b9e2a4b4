"""A bounded pool of processes for heavy computations.

A thread that computes in Python holds the interpreter lock, so that every other request of the process waits. Other
processes do not. They have a lower priority than this one, start when they are first needed, and end with it.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

from app.core.lanes import Lane

_MAX_JOBS = 500  # of a process, which is then replaced, so that its memory cannot grow forever


class ComputationFailed(Exception):
    """The process of a computation has ended, or was ended since it took too long."""


class ProcessPool:
    """Runs functions in at most `processes` processes; use it from one event loop.

    There are two lanes. Long computations leave one process to the short ones, if there are several. At most
    `max_waiting` computations wait in a lane, and half as many of one caller. One that takes more than `timeout`
    seconds is ended with its process.
    """

    def __init__(self, processes: int, *, max_waiting: int, timeout: float, cache_bytes: int) -> None:
        self.processes = processes
        self._timeout = timeout
        self._cache_bytes = cache_bytes
        self._lanes = {"short": Lane(processes, max_waiting), "long": Lane(max(1, processes - 1), max_waiting)}
        self._idle: list[_Process] = []
        self._free = asyncio.Semaphore(processes)
        self._running: set[_Process] = set()
        self._threads = self._create_threads()
        self._is_closed = False

    def open(self) -> None:
        """Accept computations again after `close`, as an application may start again."""
        self._is_closed = False

    async def run(
        self,
        function: Callable[..., Iterable[Any]],
        *arguments: Any,
        is_long: bool,
        seconds: float,
        caller: str | None = None,
    ) -> list[Any]:
        """Return what the function yields; it is called in a process. `seconds` is how long that takes at the most.

        The function has to be importable; its arguments, results and exceptions are pickled. If this call is cancelled,
        so is the computation. Without a caller it is the service's own, which may always wait.
        Raises: ServiceBusy if too many computations wait; ComputationFailed; whatever the function raises.
        """
        lane = self._lanes["long" if is_long else "short"]
        async with lane.place(caller, seconds), self._free:
            if self._is_closed:
                raise ComputationFailed("The service is ending.")
            return await self._compute(function, arguments)

    async def _compute(self, function: Callable[..., Iterable[Any]], arguments: tuple[Any, ...]) -> list[Any]:
        process = self._idle.pop() if self._idle else _Process(self._cache_bytes)
        self._running.add(process)
        is_intact = False
        try:
            call = asyncio.get_running_loop().run_in_executor(self._threads, process.call, function, arguments)
            async with asyncio.timeout(self._timeout):
                error, results = await call
            is_intact = process.jobs < _MAX_JOBS
        except TimeoutError:
            raise ComputationFailed(f"The computation took more than {self._timeout:g} s.") from None
        except (EOFError, OSError):
            raise ComputationFailed("The process of the computation has ended.") from None
        finally:
            self._running.discard(process)
            if is_intact:
                self._idle.append(process)
            else:
                process.kill()
        if error is not None:
            raise error
        return results

    @property
    def is_started(self) -> bool:
        """Whether a process runs, so that a computation need not wait a second or two until one has started."""
        return bool(self._idle or self._running)

    def waiting(self) -> dict[str, int]:
        """Return how many computations wait in each lane."""
        return {name: lane.waiting for name, lane in self._lanes.items()}

    async def close(self) -> None:
        """End all processes, also those that compute."""
        self._is_closed = True
        for process in (*self._idle, *self._running):
            process.kill()
        self._idle.clear()
        threads, self._threads = self._threads, self._create_threads()
        await asyncio.to_thread(threads.shutdown)

    def _create_threads(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(max(1, self.processes), "process-pool")


class _Process:
    """A process that computes one thing at a time."""

    def __init__(self, cache_bytes: int) -> None:
        self.jobs = 0
        self._connection, other = Pipe()
        with other:
            descriptor = other.fileno()
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "app.core.pool_process", str(descriptor), str(cache_bytes)],
                pass_fds=[descriptor],
                stdin=subprocess.DEVNULL,
                env={**_environment(), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )

    def call(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[Exception | None, list[Any]]:
        """Return the exception of the function, if any, and what it has yielded.

        Raises: EOFError, OSError if the process has ended.
        """
        self.jobs += 1
        self._connection.send((function, arguments))
        results: list[Any] = []
        while True:
            is_last, value = self._connection.recv()  # one at a time, since unpickling holds the interpreter lock
            if is_last:
                return value, results
            results.append(value)

    def kill(self) -> None:
        """End the process at once; a thread that waits for its result then gets an EOFError."""
        self._process.kill()
        self._process.wait()


def call(function: Callable[..., Any], *arguments: Any) -> Iterator[Any]:
    """Yield what the function returns, for functions that return one result."""
    yield function(*arguments)


def _environment() -> dict[str, str]:
    """Return the environment without settings, which may be secret; one core is a process's share."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("RDW_")}
    return {**plain, "OPENBLAS_NUM_THREADS": "1"}


def connect(descriptor: int) -> Connection:
    """Return a process's end of its connection to the pool."""
    return Connection(descriptor)
