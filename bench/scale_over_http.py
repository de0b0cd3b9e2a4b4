"""Requests per second of `POST /v1/scale`, relative to a bare FastAPI app with the same models.

Each app runs in a process of its own, under uvicorn with the options of `rdw api`; the service has a new SQLite
database and no keys. wrk (`apt-get install wrk`) loads them in turns, with a new target in every request. The bare app
validates the request and serializes a fixed answer; the service computes every answer.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fastapi import FastAPI

from app.core.settings import Settings
from app.db.migrate import upgrade
from app.http.app import create_app
from app.http.schemas.scale import ScaleRequest, ScaleResponse
from app.http.server import serve as serve_app

PATH = "/v1/scale"
ANSWER = "answer.json"
_SCRIPT = """
math.randomseed({seed})
request = function()
  local ratio = 0.05 + 0.95 * math.random()
  local body = string.format('{{"architecture": "{architecture}", "target": {{"ratio": %.9f}}}}', ratio)
  return wrk.format("POST", nil, {{["Content-Type"] = "application/json"}}, body)
end
done = function(summary)
  io.write(string.format("errors: %d\\n", summary.errors.status + summary.errors.read + summary.errors.timeout))
end
"""


def create_bare_app(answer: ScaleResponse) -> FastAPI:
    app = FastAPI()

    @app.post(PATH)
    async def scale(body: ScaleRequest) -> ScaleResponse:
        return answer

    return app


def serve(kind: str, folder: Path, port: int) -> None:
    """Serve one of the two apps until the process is stopped."""
    settings = Settings(database_url=f"sqlite:///{folder / 'rdw.sqlite3'}", broker_url="", data_dir=folder, port=port)
    if kind == "service":
        upgrade(settings.database)
        app = create_app(settings)
    else:
        app = create_bare_app(ScaleResponse.model_validate_json((folder / ANSWER).read_bytes()))
    serve_app(app, settings)


@contextmanager
def running(kind: str, folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, __file__, "--serve", kind, "--folder", str(folder), "--port", str(port)]
    server = subprocess.Popen(command, env={**os.environ, "RDW_API_KEYS": ""})
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/openapi.json")
                break
            except OSError:
                time.sleep(0.1)
        yield server
    finally:
        server.terminate()
        server.wait()


def post(port: int, body: dict[str, Any]) -> bytes:
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{PATH}", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request) as response:
        content: bytes = response.read()
    return content


def requests_per_second(port: int, script: Path, args: argparse.Namespace) -> float:
    command = ["wrk", "-t1", f"-c{args.connections}", f"-d{args.seconds}s", "-s", str(script)]
    output = subprocess.run(
        [*command, f"http://127.0.0.1:{port}{PATH}"], capture_output=True, text=True, check=True
    ).stdout
    if "errors: 0\n" not in output:
        raise RuntimeError(f"not every request was answered:\n{output}")
    match = re.search(r"Requests/sec:\s+([\d.]+)", output)
    assert match is not None, output
    return float(match[1])


def compare(folder: Path, args: argparse.Namespace) -> float:
    """Load both apps in turns, and print and return the ratio of their medians."""
    script = folder / "scale.lua"
    script.write_text(_SCRIPT.format(architecture=args.architecture, seed=args.seed))
    with running("service", folder, args.port):
        (folder / ANSWER).write_bytes(post(args.port, {"architecture": args.architecture, "target": {"ratio": 0.5}}))
        with running("bare", folder, args.port + 1):
            rates: dict[int, list[float]] = {args.port: [], args.port + 1: []}
            for port in [*rates] * 2:
                requests_per_second(port, script, args)  # warm-up: the service fills its caches
            for _ in range(args.rounds):
                for port, measured in rates.items():
                    measured.append(requests_per_second(port, script, args))
    service, bare = map(statistics.median, rates.values())
    print(f"{args.architecture}: service {service:,.0f}/s, bare app {bare:,.0f}/s, ratio {service / bare:.2f}")
    return service / bare


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architecture", default="efficientnet_b0")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--seconds", type=int, default=4, help="per round (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="of each app (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8765, help="the bare app takes the next one (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 2**31, help="of the targets (default: the time)")
    parser.add_argument("--serve", choices=("service", "bare"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve is not None:
        serve(args.serve, args.folder, args.port)
    else:
        with TemporaryDirectory() as folder:
            compare(Path(folder), args)
    return 0


if __name__ == "__main__":
    sys.exit(main())
