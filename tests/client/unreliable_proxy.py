"""A TCP proxy that drops connections: within the request, before the response, or within the response."""

from __future__ import annotations

import random
import socket
import socketserver
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

WAYS = ("within the request", "before the response", "within the response")


class Unreliable(socketserver.ThreadingTCPServer):
    """A proxy to a local port, with one request per connection; it drops a `share` of them, in random ways."""

    daemon_threads = False
    request_queue_size = 64

    def __init__(self, upstream: int, share: float, seed: int) -> None:
        super().__init__(("127.0.0.1", 0), _Exchange)
        self.upstream, self._share, self._random = upstream, share, random.Random(seed)
        self._lock = threading.Lock()
        self.dropped: Counter[str] = Counter()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def choose_drop(self) -> str:
        """How the next connection is dropped, or an empty string if it is not."""
        with self._lock:
            drop = self._random.choice(WAYS) if self._random.random() < self._share else ""
            self.dropped[drop] += 1
            return drop


class _Exchange(socketserver.StreamRequestHandler):
    server: Unreliable

    def handle(self) -> None:
        request = _read_request(self.rfile)
        if not request:
            return
        drop = self.server.choose_drop()
        with socket.create_connection(("127.0.0.1", self.server.upstream)) as upstream:
            if drop == WAYS[0]:
                upstream.sendall(request[: len(request) // 2])
                return
            head, _, body = request.partition(b"\r\n\r\n")
            upstream.sendall(head + b"\r\nConnection: close\r\n\r\n" + body)
            with upstream.makefile("rb") as reader:
                response = reader.read()
        if drop != WAYS[1]:
            self.wfile.write(response[: len(response) // 2] if drop else response)


def _read_request(reader: Any | BinaryIO) -> bytes:
    """Read a request up to its Content-Length."""
    lines = []
    while (line := reader.readline()).strip():
        lines.append(line)
    if not lines:
        return b""
    length = next((int(h.split(b":")[1]) for h in lines if h.lower().startswith(b"content-length:")), 0)
    return b"".join(lines) + b"\r\n" + reader.read(length)


@contextmanager
def unreliable(port: int, *, share: float, seed: int) -> Iterator[Unreliable]:
    """Run the proxy in a thread."""
    with Unreliable(port, share, seed) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()
