"""A relay in front of a server, which can refuse, delay or drop connections as if the server did."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from typing import Any

from tests.support import find_free_port


class Gate:
    """Listens on `port` of loopback and forwards everything until a test changes that.

    `postgres_errors` has the data from the server that reports an error, if it is PostgreSQL without TLS.
    """

    def __init__(self, host: str, port: int) -> None:
        self.port = find_free_port()
        self._target = (host, port)
        self._writers: set[asyncio.StreamWriter] = set()
        self._stranded: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._forwarding = asyncio.Event()
        self._forwarding.set()
        self._hanging_up = False
        self.hung_up = 0
        self.postgres_errors: list[bytes] = []
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.open()

    def open(self) -> None:
        """Forward everything again."""
        self._run(self._open())

    def shut(self) -> None:
        """Refuse new connections and close the open ones."""
        self._run(self._shut())

    def silence(self) -> None:
        """Accept connections and data without forwarding."""
        self._run(self._silence())

    def strand(self) -> None:
        """Let no more data, nor a close, through the open connections, as if the server had vanished; new ones work."""
        self._run(self._strand())

    def hang_up(self) -> None:
        """Accept connections and close them immediately, counted in `hung_up`."""
        self._run(self._hang_up())

    def drop(self) -> None:
        """Close all connections, as a restart does, and accept new ones."""
        self._run(self._drop())

    def close(self) -> None:
        self.shut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(60)

    async def _open(self) -> None:
        self._forwarding.set()
        self._hanging_up = False
        if self._server is None:
            self._server = await asyncio.start_server(self._relay, "127.0.0.1", self.port)

    async def _shut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        self._forwarding.set()
        await self._drop()

    async def _hang_up(self) -> None:
        self._hanging_up = True
        await self._drop()

    async def _silence(self) -> None:
        self._forwarding.clear()

    async def _strand(self) -> None:
        self._stranded |= self._writers

    async def _drop(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._hanging_up:
            self.hung_up += 1
            writer.transport.abort()
            return
        try:
            onward_reader, onward = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        ends = (writer, onward)
        self._writers.update(ends)
        await asyncio.gather(self._pump(reader, onward), self._pump(onward_reader, writer, from_server=True))
        self._writers.difference_update(ends)
        self._stranded.difference_update(ends)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, from_server: bool = False
    ) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(65536):
                if from_server and (b"VERROR\0" in chunk or b"VFATAL\0" in chunk):  # the field "severity"
                    self.postgres_errors.append(chunk)
                await self._forwarding.wait()
                if writer not in self._stranded:
                    writer.write(chunk)
                    await writer.drain()
        if writer not in self._stranded:
            writer.close()
