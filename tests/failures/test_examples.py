"""The examples that train elsewhere, against a real service: what they print is what came of it."""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.failures.service import Service, running

EXAMPLES = Path(__file__).parents[2] / "examples"
ROOT = EXAMPLES.parent


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("examples"), RDW_WORKERS="1") as service:
        yield service


def run(example: str, *arguments: str) -> str:
    python_path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    ran = subprocess.run(
        [sys.executable, EXAMPLES / example, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": python_path},
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.fixture
def client_of(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(EXAMPLES)
    import ask_tell

    return ask_tell.Client


@pytest.fixture
def deaf() -> Iterator[tuple[str, list[bytes]]]:
    """A server that hears the first two requests and hangs up, and answers the third; its URL, and what it heard."""
    heard: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(self.rfile.read(int(self.headers["Content-Length"])))
            if len(heard) < 3:
                self.close_connection = True
                return
            answer = json.dumps({"heard": len(heard)}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", heard
        server.shutdown()
        thread.join()


def observations(service: Service, said: str) -> list[dict]:
    study = re.search(r"study ([0-9a-f]{32})", said)
    assert study is not None
    return service.get(f"/v1/studies/{study[1]}/observations")["items"]


def test_what_is_trained_elsewhere_is_told_and_recommended_from(service: Service) -> None:
    said = run("ask_tell.py", "--url", str(service.client.base_url), "--trainings", "8", "--epochs", "1")

    told = observations(service, said)
    assert len({o["flops"] for o in told}) == len(told) == 8
    assert all(o["provenance"]["source"] == "example" and o["seconds"] > 0 for o in told)
    for o in told:
        assert re.search(rf"w {o['w']:.2f} .* {o['accuracy']:.1%}$", said, re.MULTILINE)
    assert re.search(r"surrogate .*M multiply-adds +[\d.]+% ± [\d.]+% expected", said)


def test_optuna_trains_nothing_beyond_the_budget_and_its_results_teach_rdw(service: Service) -> None:
    said = run("optuna_loop.py", "--url", str(service.client.base_url), "--trainings", "8", "--epochs", "1")

    told = observations(service, said)
    answer = service.post("/v1/cost", {"architecture": "digits-net"})
    assert len(told) == 8
    assert max(o["flops"] for o in told) <= 0.6 * answer["cost"]["flops"]
    assert {o["provenance"]["source"] for o in told} == {"optuna"}
    beyond = re.search(r"^(\d+) networks were beyond", said, re.MULTILINE)
    assert beyond is not None and int(beyond[1]) > 0
    assert re.search(r"surrogate .*M multiply-adds +[\d.]+% ± [\d.]+% expected", said)


def test_what_got_no_answer_is_told_again(client_of: Any, deaf: tuple[str, list[bytes]]) -> None:
    url, heard = deaf

    assert client_of(url).post("/tell", {"accuracy": 0.5}) == {"heard": 3}
    assert heard == [b'{"accuracy": 0.5}'] * 3


def test_what_would_be_done_twice_is_not(client_of: Any, deaf: tuple[str, list[bytes]]) -> None:
    url, heard = deaf

    with pytest.raises(http.client.RemoteDisconnected):
        client_of(url).post("/v1/studies", {}, again=False)
    assert len(heard) == 1
