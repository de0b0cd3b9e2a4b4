"""What is sent again, after how long, and what is not."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import httpx
import pytest

from rdw_client import Client, Conflict, NotUnderstood, Problem, RateLimited, Unavailable, Unreachable
from rdw_client.retrying import Attempts, Patience
from tests.support import free_port

PATIENCE = Patience(retries=4, seconds=60, first=0.5, longest=2)
IN_FLIGHT = {"type": "/problems/idempotency-in-flight"}


def attempts(patience: Patience = PATIENCE) -> Attempts:
    return Attempts(patience, 0.0, random.Random(1))


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_what_is_busy_is_asked_again_so_often(status: int) -> None:
    made = attempts()
    pauses = [made.pause(httpx.Response(status), 0.0) for _ in range(5)]

    assert pauses[-1] is None
    assert all(p is not None and 0 <= p <= most for p, most in zip(pauses, (0.5, 1, 2, 2), strict=False))


def test_pauses_are_spread_over_their_whole_range() -> None:
    first = [Attempts(PATIENCE, 0.0, random.Random(seed)).pause(httpx.Response(503), 0.0) or 0 for seed in range(200)]

    assert min(first) < 0.05
    assert max(first) > 0.45


@pytest.mark.parametrize("status", [400, 401, 404, 405, 409, 412, 413, 422, 431, 501])
def test_what_would_go_the_same_way_is_not_asked_again(status: int) -> None:
    assert attempts().pause(httpx.Response(status, json={"type": "/problems/conflict"}), 0.0) is None


def test_an_error_of_the_service_may_be_an_accident_once() -> None:
    made = attempts()
    assert made.pause(httpx.Response(500), 0.0) is not None
    assert made.pause(httpx.Response(500), 0.0) is None


def test_the_first_request_with_the_same_key_is_waited_for() -> None:
    assert attempts().pause(httpx.Response(409, json=IN_FLIGHT, headers={"Retry-After": "1"}), 0.0) == 1.0
    assert attempts().pause(httpx.Response(409, text="[]"), 0.0) is None


@pytest.mark.parametrize("error", [httpx.ConnectError, httpx.ReadTimeout, httpx.RemoteProtocolError, httpx.ReadError])
def test_a_connection_that_breaks_is_made_again(error: type[httpx.TransportError]) -> None:
    assert attempts().pause(error("it broke"), 0.0) is not None


def test_our_own_mistakes_are_not_repeated() -> None:
    assert attempts().pause(httpx.UnsupportedProtocol("ftp"), 0.0) is None


def test_retry_after_is_a_number_or_a_date() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)

    assert attempts().pause(httpx.Response(503, headers={"Retry-After": "7"}), 0.0) == 7.0
    assert 28 < (attempts().pause(httpx.Response(503, headers={"Retry-After": date}), 0.0) or 0) < 30.1
    assert (attempts().pause(httpx.Response(503, headers={"Retry-After": "soon"}), 0.0) or 0) <= 0.5


def test_all_of_it_takes_so_long_at_the_most() -> None:
    assert attempts().pause(httpx.Response(503, headers={"Retry-After": "61"}), 0.0) is None
    assert attempts().pause(httpx.Response(503), 60.0) is None


class Scripted(BaseHTTPRequestHandler):
    """Answers what the server's `script` says, one after the other, and keeps what was asked."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append((self.headers, body))  # type: ignore[attr-defined]
        status, headers, answer = self.server.script.pop(0)  # type: ignore[attr-defined]
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(answer))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def scripted():
    with ThreadingHTTPServer(("127.0.0.1", 0), Scripted) as server:
        server.asked, server.script = [], []  # type: ignore[attr-defined]
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def to(server: ThreadingHTTPServer, **options: float) -> Client:
    return Client(f"http://127.0.0.1:{server.server_address[1]}", "the key", backoff=0.001, **options)  # type: ignore[arg-type]


HEARD = (201, {}, json.dumps({"observation": 3}).encode())
BUSY = (503, {}, b'{"type": "/problems/database-unavailable", "status": 503, "detail": "later"}')


def test_a_write_has_the_same_key_however_often_it_is_sent_and_another_has_another(scripted) -> None:
    scripted.script = [BUSY, (502, {}, b"<html>"), HEARD, HEARD]
    with to(scripted) as rdw:
        assert rdw.tell("s", "x", accuracy=0.5).observation == 3
        rdw.tell("s", "x", accuracy=0.5)

    keys = [headers["Idempotency-Key"] for headers, _ in scripted.asked]
    assert keys[0] == keys[1] == keys[2] != keys[3]
    assert {headers["Authorization"] for headers, _ in scripted.asked} == {"Bearer the key"}
    assert len({body for _, body in scripted.asked}) == 1


def test_a_read_has_no_key(scripted) -> None:
    scripted.script = [(200, {}, b'{"status": "ok"}')]
    with to(scripted) as rdw:
        rdw.health()

    assert "Idempotency-Key" not in scripted.asked[0][0]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (BUSY, Unavailable),
        ((429, {}, b"{}"), RateLimited),
        ((409, {}, json.dumps({**IN_FLIGHT, "detail": "wait"}).encode()), Conflict),
        ((500, {}, b"oh"), Problem),
        ((200, {}, b"<html>hello</html>"), NotUnderstood),
        ((200, {}, b'{"hello": 1}'), NotUnderstood),
    ],
    ids=["busy", "limited", "in flight", "broken", "a page", "another service"],
)
def test_in_the_end_it_is_said(scripted, answer, error) -> None:
    scripted.script = [answer] * 3
    with to(scripted, retries=2) as rdw, pytest.raises(error):
        rdw.queue()


def test_nobody_there_is_said_with_the_address() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with Client(url, retries=1, backoff=0.001) as rdw, pytest.raises(Unreachable, match=url):
        rdw.health()


def test_fields_that_come_later_are_in_the_raw_answer(scripted) -> None:
    scripted.script = [(200, {}, b'{"status": "ok", "mood": "good"}')]
    with to(scripted) as rdw:
        assert rdw.health().raw["mood"] == "good"
