"""Which requests are retried, and when."""

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
from rdw_client.retry import RetryPolicy, RetrySchedule
from tests.support import find_free_port

POLICY = RetryPolicy(max_retries=4, max_seconds=60, first_delay=0.5, max_delay=2)
IN_FLIGHT = {"type": "/problems/idempotency-in-flight"}


def new_schedule(policy: RetryPolicy = POLICY) -> RetrySchedule:
    return RetrySchedule(policy, 0.0, random.Random(1))


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_busy_status_is_retried_max_retries_times(status: int) -> None:
    schedule = new_schedule()
    pauses = [schedule.next_delay(httpx.Response(status), 0.0) for _ in range(5)]

    assert pauses[-1] is None
    assert all(p is not None and 0 <= p <= most for p, most in zip(pauses, (0.5, 1, 2, 2), strict=False))


def test_delays_cover_their_whole_range() -> None:
    first = [
        RetrySchedule(POLICY, 0.0, random.Random(seed)).next_delay(httpx.Response(503), 0.0) or 0 for seed in range(200)
    ]

    assert min(first) < 0.05
    assert max(first) > 0.45


@pytest.mark.parametrize("status", [400, 401, 404, 405, 409, 412, 413, 422, 431, 501])
def test_permanent_status_is_not_retried(status: int) -> None:
    assert new_schedule().next_delay(httpx.Response(status, json={"type": "/problems/conflict"}), 0.0) is None


def test_status_500_is_retried_once() -> None:
    schedule = new_schedule()
    assert schedule.next_delay(httpx.Response(500), 0.0) is not None
    assert schedule.next_delay(httpx.Response(500), 0.0) is None


def test_idempotency_conflict_in_flight_is_retried() -> None:
    assert new_schedule().next_delay(httpx.Response(409, json=IN_FLIGHT, headers={"Retry-After": "1"}), 0.0) == 1.0
    assert new_schedule().next_delay(httpx.Response(409, text="[]"), 0.0) is None


@pytest.mark.parametrize("error", [httpx.ConnectError, httpx.ReadTimeout, httpx.RemoteProtocolError, httpx.ReadError])
def test_broken_connection_is_retried(error: type[httpx.TransportError]) -> None:
    assert new_schedule().next_delay(error("it broke"), 0.0) is not None


def test_unsupported_protocol_is_not_retried() -> None:
    assert new_schedule().next_delay(httpx.UnsupportedProtocol("ftp"), 0.0) is None


def test_retry_after_may_be_number_or_date() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)

    assert new_schedule().next_delay(httpx.Response(503, headers={"Retry-After": "7"}), 0.0) == 7.0
    assert 28 < (new_schedule().next_delay(httpx.Response(503, headers={"Retry-After": date}), 0.0) or 0) < 30.1
    assert (new_schedule().next_delay(httpx.Response(503, headers={"Retry-After": "soon"}), 0.0) or 0) <= 0.5


def test_retries_end_after_max_seconds() -> None:
    assert new_schedule().next_delay(httpx.Response(503, headers={"Retry-After": "61"}), 0.0) is None
    assert new_schedule().next_delay(httpx.Response(503), 60.0) is None


class Scripted(BaseHTTPRequestHandler):
    """Sends the responses of the server's `script` in order, and records the requests in `received`."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.received.append((self.headers, body))  # type: ignore[attr-defined]
        status, headers, answer = self.server.script.pop(0)  # type: ignore[attr-defined]
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(answer))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def scripted():
    with ThreadingHTTPServer(("127.0.0.1", 0), Scripted) as server:
        server.received, server.script = [], []  # type: ignore[attr-defined]
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def to(server: ThreadingHTTPServer, **options: float) -> Client:
    return Client(f"http://127.0.0.1:{server.server_address[1]}", "the key", backoff=0.001, **options)  # type: ignore[arg-type]


TOLD_RESPONSE = (201, {}, json.dumps({"observation": 3}).encode())
BUSY = (503, {}, b'{"type": "/problems/database-unavailable", "status": 503, "detail": "later"}')


def test_retries_of_a_write_share_an_idempotency_key(scripted) -> None:
    scripted.script = [BUSY, (502, {}, b"<html>"), TOLD_RESPONSE, TOLD_RESPONSE]
    with to(scripted) as rdw:
        assert rdw.tell("s", "x", accuracy=0.5).observation == 3
        rdw.tell("s", "x", accuracy=0.5)

    keys = [headers["Idempotency-Key"] for headers, _ in scripted.received]
    assert keys[0] == keys[1] == keys[2] != keys[3]
    assert {headers["Authorization"] for headers, _ in scripted.received} == {"Bearer the key"}
    assert len({body for _, body in scripted.received}) == 1


def test_read_has_no_idempotency_key(scripted) -> None:
    scripted.script = [(200, {}, b'{"status": "ok"}')]
    with to(scripted) as rdw:
        rdw.health()

    assert "Idempotency-Key" not in scripted.received[0][0]


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
def test_last_outcome_is_raised_after_all_retries(scripted, answer, error) -> None:
    scripted.script = [answer] * 3
    with to(scripted, retries=2) as rdw, pytest.raises(error):
        rdw.queue()


def test_unreachable_error_names_the_address() -> None:
    url = f"http://127.0.0.1:{find_free_port()}"
    with Client(url, retries=1, backoff=0.001) as rdw, pytest.raises(Unreachable, match=url):
        rdw.health()


def test_unknown_fields_are_in_raw(scripted) -> None:
    scripted.script = [(200, {}, b'{"status": "ok", "mood": "good"}')]
    with to(scripted) as rdw:
        assert rdw.health().raw["mood"] == "good"
