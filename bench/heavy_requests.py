"""How much the slowest light requests slow down while heavy ones are computed.

The service runs under uvicorn with the options of `rdw api`, on a new SQLite database and without keys. One client
sends light requests, one after the other, in turns without and with clients that send the heaviest valid requests
without a pause, and leave at the end. The ratio is that of the 99th percentiles, over all rounds. The CPU seconds are
those of the service's processes.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil

from app.core.settings import Settings
from app.db.migrate import upgrade
from app.http.server import run

Request = tuple[str, str, Any]  # method, path, body


def baseline(stages: int, shift: int = 0) -> dict[str, Any]:
    """Return a baseline of many stages, of which no two are equal."""
    listed = [
        {
            "block": "ir",
            "repeats": 1 + i % 4,
            "channels": 128 + 13 * i + shift,
            "kernel": 3,
            "expansion": 6,
            "se_ratio": 0.25,
            "stride": 2 if i in (3, 9, 20) else 1,
        }
        for i in range(stages)
    ]
    network = {"family": "efficientnet", "resolution": 224, "stem": {"channels": 32}, "head": {"channels": 1280}}
    return {"baseline": {**network, "stages": listed}, "rules": {"divisor": 8}}


EXHAUSTIVE = {"mode": "at_most", "tolerance": 0, "movement": {"resolution": 512, "d": 2}}
LIMITS = {"max_params": 10_000_000, "max_activation_bytes": 4_000_000}


def heavy_requests(shift: int) -> dict[str, Request]:
    """Return the heaviest valid requests of each kind."""
    inline, targets = baseline(40, shift), [{"ratio": 0.3 + 0.001 * i} for i in range(100)]
    limited = {"architecture": "efficientnet_b7", "constraints": LIMITS}
    return {
        "family": ("POST", "/v1/scale/family", {"architecture": inline, "targets": targets, "budget": EXHAUSTIVE}),
        "scale": ("POST", "/v1/scale", {"architecture": inline, "target": {"ratio": 0.3}, "budget": EXHAUSTIVE}),
        "compare": ("POST", "/v1/compare", {"architecture": inline, "target": {"ratio": 0.3}, "budget": EXHAUSTIVE}),
        "constraints": ("POST", "/v1/scale/family", {**limited, "targets": targets}),
    }


def light_requests(ratio: float) -> dict[str, Request]:
    return {
        "health": ("GET", "/healthz", None),
        "scale": ("POST", "/v1/scale", {"architecture": "efficientnet_b0", "target": {"ratio": ratio}}),
        "architectures": ("GET", "/v1/architectures", None),
        "studies": ("GET", "/v1/studies", None),
    }


def encode(request: Request) -> Request:
    """Return the request with its body as bytes."""
    method, path, body = request
    return method, path, body if body is None or isinstance(body, bytes) else json.dumps(body).encode()


class Client:
    """A client with one connection."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)

    def send(self, request: Request) -> tuple[int, float]:
        """Return the status and the seconds until the whole response has arrived."""
        method, path, content = encode(request)
        headers = {} if content is None else {"Content-Type": "application/json"}
        began = time.perf_counter()
        self._connection.request(method, path, content, headers)
        response = self._connection.getresponse()
        response.read()
        return response.status, time.perf_counter() - began


@contextmanager
def heavy_load(args: argparse.Namespace) -> Iterator[None]:
    """Run the clients of heavy requests in a process of their own until the block ends; print what they were told."""
    command = [sys.executable, __file__, "--load", "--port", str(args.port), "--clients", str(args.clients)]
    clients = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert clients.stdout is not None
    clients.stdout.readline()  # they are ready
    time.sleep(5)  # until the processes of the pool run
    try:
        yield
    finally:
        print(f"heavy requests by status: {clients.communicate()[0].strip()}")


def load(port: int, n: int) -> None:
    """Send heavy requests with `n` clients until standard input ends; one that is refused waits a little."""
    statuses: Counter[int] = Counter()
    bodies = [list(map(encode, heavy_requests(shift).values())) for shift in range(n)]

    def send(client: int) -> None:
        for request in itertools.cycle(bodies[client][client % 4 :] + bodies[client][: client % 4]):
            status, _ = Client(port).send(request)
            statuses[status] += 1
            if status != 200:
                time.sleep(0.5)

    for client in range(n):
        threading.Thread(target=send, args=(client,), daemon=True).start()
    print("ready", flush=True)
    sys.stdin.read()
    print(dict(statuses), flush=True)
    os._exit(0)  # leaves all requests


def measure(port: int, seconds: float, rng: random.Random, times: dict[str, list[float]]) -> None:
    """Send light requests for that long, and add the seconds that each took."""
    client, end = Client(port), time.monotonic() + seconds
    while time.monotonic() < end:
        for name, request in light_requests(rng.uniform(0.1, 0.9)).items():
            status, taken = client.send(request)
            if status != 200:
                raise RuntimeError(f"{request[1]} was answered with {status}")
            times[name].append(taken)
            time.sleep(0.002)


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[int(share * (len(values) - 1))]


def cpu_seconds(server: psutil.Process) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in (server, *server.children(recursive=True)))


def memory(server: psutil.Process) -> str:
    each = [process.memory_info().rss / 2**20 for process in (server, *server.children(recursive=True))]
    return f"{each[0]:.0f} MB in the API, {', '.join(f'{size:.0f}' for size in each[1:]) or 'none'} in its processes"


def compare(port: int, server: psutil.Process, args: argparse.Namespace) -> dict[str, float]:
    """Print the percentiles of each light request without and with heavy load, and return their ratios."""
    rng = random.Random(args.seed)
    times: dict[bool, dict[str, list[float]]] = {False: defaultdict(list), True: defaultdict(list)}
    measure(port, 1.0, rng, defaultdict(list))  # warm-up
    for kind, request in heavy_requests(0).items():
        before = cpu_seconds(server)
        status, taken = Client(port).send(request)
        print(f"one {kind}: {status}, {cpu_seconds(server) - before:.1f} s of CPU, {taken:.1f} s")
    for _ in range(args.rounds):
        measure(port, args.seconds, rng, times[False])
        with heavy_load(args):
            measure(port, args.seconds, rng, times[True])
            print(memory(server))
        time.sleep(1)
    ratios = {}
    for name, alone in times[False].items():
        loaded = times[True][name]
        ratios[name] = percentile(loaded, 0.99) / percentile(alone, 0.99)
        shown = "  ".join(
            f"p{round(100 * share)} {1000 * percentile(alone, share):.1f} -> {1000 * percentile(loaded, share):.1f} ms"
            for share in (0.5, 0.99)
        )
        print(f"{name}: {shown}  ratio of p99 {ratios[name]:.2f}  ({len(alone)} and {len(loaded)} requests)")
    return ratios


def serve(folder: Path, port: int) -> None:
    """Serve the API until the process is stopped."""
    settings = Settings(database_url=f"sqlite:///{folder / 'rdw.sqlite3'}", broker_url="", data_dir=folder, port=port)
    upgrade(settings.database)
    run(settings)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=12, help="that send heavy requests (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=10, help="per round, each way (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="without and with load (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8775)
    parser.add_argument("--seed", type=int, default=0, help="of the targets (default: %(default)s)")
    parser.add_argument("--load", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve is not None:
        serve(args.serve, args.port)
        return 0
    if args.load:
        load(args.port, args.clients)
    with TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--serve", folder, "--port", str(args.port)]
        server = subprocess.Popen(command, env={**os.environ, "RDW_API_KEYS": ""})
        try:
            while True:
                try:
                    Client(args.port).send(("GET", "/healthz", None))
                    break
                except OSError:
                    time.sleep(0.2)
            compare(args.port, psutil.Process(server.pid), args)
        finally:
            server.terminate()
            server.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
