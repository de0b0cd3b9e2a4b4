"""A TCP proxy that drops connections: before the request is through, before the answer, within the answer."""

from __future__ import annotations

import random
import socket
import socketserver
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

WAYS = ("before the request is through", "before the answer", "within the answer")


class Unreliable(socketserver.ThreadingTCPServer):
    """One exchange a connection, to a port of this machine; a share of them is dropped in one of the three ways."""

    daemon_threads = False
    request_queue_size = 64

    def __init__(self, upstream: int, share: float, seed: int) -> None:
        super().__init__(("127.0.0.1", 0), _Exchange)
        self.upstream, self._share, self._chance = upstream, share, random.Random(seed)
        self._lock = threading.Lock()
        self.dropped: Counter[str] = Counter()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def way(self) -> str:
        """In which way the next exchange is dropped; empty: it is not."""
        with self._lock:
            way = self._chance.choice(WAYS) if self._chance.random() < self._share else ""
            self.dropped[way] += 1
            return way


class _Exchange(socketserver.StreamRequestHandler):
    server: Unreliable

    def handle(self) -> None:
        request = _message(self.rfile)
        if not request:
            return
        way = self.server.way()
        with socket.create_connection(("127.0.0.1", self.server.upstream)) as there:
            if way == WAYS[0]:
                there.sendall(request[: len(request) // 2])
                return
            head, _, body = request.partition(b"\r\n\r\n")
            there.sendall(head + b"\r\nConnection: close\r\n\r\n" + body)
            with there.makefile("rb") as answering:
                answer = answering.read()
        if way != WAYS[1]:
            self.wfile.write(answer[: len(answer) // 2] if way else answer)


def _message(reader: Any | BinaryIO) -> bytes:
    """A whole request, as its Content-Length has it."""
    lines = []
    while (line := reader.readline()).strip():
        lines.append(line)
    if not lines:
        return b""
    length = next((int(h.split(b":")[1]) for h in lines if h.lower().startswith(b"content-length:")), 0)
    return b"".join(lines) + b"\r\n" + reader.read(length)


@contextmanager
def unreliable(port: int, *, share: float, seed: int) -> Iterator[Unreliable]:
    """Such a proxy, in a thread."""
    with Unreliable(port, share, seed) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()
