"""A relay in front of a server that can refuse, fall silent or drop its connections, as the server itself would."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from typing import Any

from tests.support import free_port


class Gate:
    """Listens on `port` of loopback and passes everything on, until it is told otherwise."""

    def __init__(self, host: str, port: int) -> None:
        self.port = free_port()
        self._to = (host, port)
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._flows = asyncio.Event()
        self._flows.set()
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.open()

    def open(self) -> None:
        """Pass everything on again."""
        self._do(self._open())

    def shut(self) -> None:
        """Refuse connections; those there are end."""
        self._do(self._shut())

    def silence(self) -> None:
        """Take connections and bytes, pass nothing on."""
        self._do(self._silence())

    def drop(self) -> None:
        """End all connections, as a restart does; new ones are welcome."""
        self._do(self._drop())

    def end(self) -> None:
        self.shut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, what: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result(10)

    async def _open(self) -> None:
        self._flows.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._relay, "127.0.0.1", self.port)

    async def _shut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        self._flows.set()
        await self._drop()

    async def _silence(self) -> None:
        self._flows.clear()

    async def _drop(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            onward_reader, onward = await asyncio.open_connection(*self._to)
        except OSError:
            writer.transport.abort()
            return
        ends = (writer, onward)
        self._writers.update(ends)
        await asyncio.gather(self._pump(reader, onward), self._pump(onward_reader, writer))
        self._writers.difference_update(ends)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(65536):
                await self._flows.wait()
                writer.write(chunk)
                await writer.drain()
        writer.close()
