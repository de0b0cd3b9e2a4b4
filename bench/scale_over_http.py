"""Requests a second of `POST /v1/scale`, with targets never seen before, and of an empty endpoint; side by side.

One process serves both: the service, with one route more that takes the same request, answers the same model and does
nothing between. Another one asks, in turns, over several connections. The database is a SQLite file of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import uvicorn

from app.db.migrate import upgrade
from app.main import create_app
from app.schemas.scale import ScaleAnswer, ScaleRequest
from app.settings import Settings

EMPTY = "/empty"
CONNECTIONS = 8


def served(port: int, folder: Path) -> None:
    """Serves the application and the empty endpoint, until the process ends."""
    settings = Settings(database_url=f"sqlite:///{folder / 'rdw.db'}", data_dir=folder)
    upgrade(settings.database)
    app = create_app(settings)
    answer: list[ScaleAnswer] = []

    @app.post(EMPTY)
    async def empty(body: ScaleRequest) -> ScaleAnswer:
        return answer[0]

    @app.put(EMPTY)
    async def prepare(body: ScaleAnswer) -> None:
        answer[:] = [body]

    uvicorn.run(app, port=port, log_level="warning", access_log=False)


class Client(asyncio.Protocol):
    """One connection that sends a request as soon as the answer to the one before is there."""

    def __init__(self, requests: Any, done: asyncio.Future[None]) -> None:
        self.requests, self.done, self.received, self.answers = requests, done, b"", 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self._next()

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, separator, body = self.received.partition(b"\r\n\r\n")
        if not separator:
            return
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        if len(body) >= length:
            if not head.startswith(b"HTTP/1.1 200"):
                self.done.set_exception(RuntimeError(self.received.decode()[:500]))
                return
            self.received = b""
            self.answers += 1
            self._next()

    def _next(self) -> None:
        request = next(self.requests, None)
        if request is None:
            self.transport.close()
            if not self.done.done():
                self.done.set_result(None)
        else:
            self.transport.write(request)


def request(path: str, body: dict[str, Any], method: str = "POST") -> bytes:
    raw = json.dumps(body).encode()
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(raw)}\r\n\r\n"
    )
    return head.encode() + raw


async def per_second(port: int, requests: list[bytes]) -> float:
    """Requests a second over all connections."""
    loop, waiting, shared = asyncio.get_running_loop(), [], iter(requests)
    began = time.perf_counter()
    for _ in range(CONNECTIONS):
        done: asyncio.Future[None] = loop.create_future()
        await loop.create_connection(lambda done=done: Client(shared, done), "127.0.0.1", port)
        waiting.append(done)
    await asyncio.gather(*waiting)
    return len(requests) / (time.perf_counter() - began)


def bodies(n: int, rng: random.Random, architecture: str) -> list[bytes]:
    return [
        request("/v1/scale", {"architecture": architecture, "target": {"ratio": rng.uniform(0.05, 1.0)}})
        for _ in range(n)
    ]


async def asked(port: int, args: argparse.Namespace) -> float:
    """Alternates between the two, and prints and gives the ratio of their medians."""
    rng = random.Random(args.seed)
    example = {"architecture": args.architecture, "target": {"ratio": 0.5}}
    await per_second(port, bodies(args.requests, rng, args.architecture))  # what is made once is made
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request("/v1/scale", example))
    head = await reader.readuntil(b"\r\n\r\n")
    answer = json.loads(await reader.readexactly(int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])))
    writer.write(request(EMPTY, answer, "PUT"))
    await reader.readuntil(b"\r\n\r\n")
    rates: dict[str, list[float]] = {"/v1/scale": [], EMPTY: []}
    for _ in range(args.rounds):
        rates[EMPTY].append(await per_second(port, [request(EMPTY, example)] * args.requests))
        rates["/v1/scale"].append(await per_second(port, bodies(args.requests, rng, args.architecture)))
    scale, empty = statistics.median(rates["/v1/scale"]), statistics.median(rates[EMPTY])
    print(f"{args.architecture}: /v1/scale {scale:,.0f}/s, empty {empty:,.0f}/s, ratio {scale / empty:.2f}")
    return scale / empty


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architecture", default="efficientnet_b0")
    parser.add_argument("--requests", type=int, default=2000, help="a round (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="of each endpoint (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8765)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 2**32, help="of the targets (default: the time)")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve is not None:
        served(args.port, args.serve)
        return 0
    return _with_server(args)


def _with_server(args: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen([sys.executable, __file__, "--serve", folder, "--port", str(args.port)])
        try:
            for _ in range(300):
                try:
                    asyncio.run(per_second(args.port, []))
                    break
                except OSError:
                    time.sleep(0.1)
            asyncio.run(asked(args.port, args))
        finally:
            server.terminate()
            server.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
