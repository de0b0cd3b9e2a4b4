"""A service without keys answers its own machine only, under its own names: a real server, and bytes as they come."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import uvicorn
from sqlalchemy import delete

from app.core.settings import Settings
from app.db.migrate import upgrade
from app.db.session import engine_for
from app.db.tables import ApiKeyRow
from app.db.unit_of_work import UnitOfWork
from app.http.app import create_app
from app.http.server import options
from app.services.auth import keys
from tests.failures.service import wait_for
from tests.support import find_free_port, skip_without

LOOPBACK = "127.0.0.1"
WRITE = "POST /v1/predictors/none/activate"  # 404 if it is allowed, since there is no such predictor


@contextmanager
def serve(folder: Path, listen: str = "0.0.0.0", **settings: str) -> Iterator[int]:
    """Serve on all addresses, as no command of rdw does without keys; yield the port."""
    configured = Settings(data_dir=folder, database_url="", broker_url="", port=find_free_port(), **settings)
    upgrade(configured.database)
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(configured), **{**options(configured), "host": listen, "timeout_graceful_shutdown": 1}
        )
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.02)
        yield configured.port
    finally:
        server.should_exit = True
        thread.join()
        engine_for(configured.database).dispose()


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with serve(tmp_path_factory.mktemp("service")) as port:
        send(port, "GET /v1/queue", f"Host: {LOOPBACK}")  # starts the thread that serves all tests
        yield port


def other_address() -> str:
    """An address of this machine that is not loopback."""
    for addresses in psutil.net_if_addrs().values():
        for address in addresses:
            if address.family is socket.AF_INET and not address.address.startswith("127."):
                return address.address
    skip_without("an address other than loopback")


def send(port: int, line: str, *headers: str, address: str = LOOPBACK, version: str = "1.1") -> int:
    """Send a request line and headers as they are; return the status."""
    request = "\r\n".join([f"{line} HTTP/{version}", *headers, "Connection: close", "Content-Length: 0", "", ""])
    with socket.create_connection((address, port), 30) as connection:
        connection.sendall(request.encode("latin-1"))
        return int(connection.makefile("rb").readline().split()[1])


def test_other_machines_are_refused(port: int) -> None:
    address = other_address()

    for host in (address, LOOPBACK, "localhost"):
        assert send(port, "GET /v1/queue", f"Host: {host}", address=address) == 403
        assert send(port, "GET /metrics", f"Host: {host}", address=address) == 403
    assert send(port, "GET /v1/queue", f"Host: {LOOPBACK}") == 200


@pytest.mark.parametrize(
    "host", ["localhost", "LocalHost:8000", "localhost.", "127.0.0.1", "127.0.0.1:1", "127.9.9.9", "[::1]", "[::1]:80"]
)
def test_names_of_loopback_are_answered(port: int, host: str) -> None:
    assert send(port, "GET /v1/queue", f"Host: {host}") == 200
    assert send(port, WRITE, f"host:{host}", f"Origin: http://{host}", "Sec-Fetch-Site: same-origin") == 404


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "EVIL.example:8000", "evil.example.", "localhost.evil.example", "127.0.0.1.evil.example",
        "localhost..", "0.0.0.0", "[::]", "127.1", "2130706433", "0x7f000001", "10.0.0.1", "[::ffff:10.0.0.1]", "",
        ":8000", "user@localhost", "localhost, evil.example", "localhost/evil.example", "[localhost]", "[::1", "::1",
    ],
)  # fmt: skip
def test_other_names_are_refused(port: int, host: str) -> None:
    assert send(port, "GET /v1/queue", f"Host: {host}") in (400, 403)
    own = f"Origin: http://{host}", "Sec-Fetch-Site: same-origin"
    assert send(port, WRITE, f"Host: {host}", *own) in (400, 403)


def test_host_must_be_one_name(port: int) -> None:
    assert send(port, "GET /v1/queue") == 400
    assert send(port, "GET /v1/queue", version="1.0") == 403
    assert send(port, "GET /v1/queue", f"Host: {LOOPBACK}", "Host: evil.example") == 400
    # The host of an absolute URL counts, and the header does not (RFC 9112, section 3.2.2).
    assert send(port, "GET http://evil.example/v1/queue", f"Host: {LOOPBACK}") in (400, 403, 404)
    assert send(port, "GET http://evil.example/v1/queue", "Host: evil.example") in (400, 403, 404)


@pytest.mark.parametrize(
    "headers",
    [
        ["Origin: https://evil.example"],
        ["Origin: null"],
        ["Origin: http://127.0.0.1:1"],
        ["Origin: http://["],
        ["Origin: evil"],
        ["Sec-Fetch-Site: cross-site"],
        ["Sec-Fetch-Site: same-site"],
    ],
)
def test_pages_of_other_sites_change_nothing(port: int, headers: list[str]) -> None:
    assert send(port, WRITE, f"Host: {LOOPBACK}:{port}", *headers) == 403


def test_forwarded_address_counts_only_from_named_proxies(port: int, tmp_path: Path) -> None:
    host, address = f"Host: {LOOPBACK}", other_address()

    assert send(port, "GET /v1/queue", host, "X-Forwarded-For: 127.0.0.1", address=address) == 403
    assert send(port, "GET /v1/queue", host, "X-Forwarded-For: 10.0.0.9") == 200, "its peer is on this machine"
    with serve(tmp_path, trusted_proxies=LOOPBACK) as proxied:
        assert send(proxied, "GET /v1/queue", host, "X-Forwarded-For: 10.0.0.9") == 403
        assert send(proxied, "GET /v1/queue", host, "X-Forwarded-For: 127.0.0.1, 10.0.0.9") == 403
        assert send(proxied, "GET /v1/queue", host, "X-Forwarded-For: 127.0.0.1", address=address) == 403


def test_allowed_hosts_are_answered(tmp_path: Path) -> None:
    with serve(tmp_path, allowed_hosts="Rdw.example, 10.0.0.7") as port:
        for host in ("rdw.example", "RDW.example:80", "10.0.0.7", "localhost"):
            assert send(port, "GET /v1/queue", f"Host: {host}") == 200
        assert send(port, "GET /v1/queue", "Host: evil.example") == 403


@pytest.mark.parametrize("listen", ["0.0.0.0", LOOPBACK])
def test_emptied_key_table_does_not_open_the_service(tmp_path: Path, listen: str) -> None:
    database = f"sqlite:///{tmp_path / 'rdw.sqlite3'}"
    upgrade(database)
    with UnitOfWork(database) as work:
        _, secret = keys.create(work, "ci", "read", None)
    host, bearer = f"Host: {LOOPBACK}", f"Authorization: Bearer {secret}"
    with serve(tmp_path, listen, host=listen) as port:
        assert send(port, "GET /v1/queue", host, bearer) == 200

        with UnitOfWork(database) as work:
            work.session.execute(delete(ApiKeyRow))
            work.commit()

        wait_for(lambda: send(port, "GET /v1/queue", host, bearer) == 401, lambda: "the key still works")
        assert send(port, "GET /v1/queue", host) == 401


def test_service_for_others_starts_closed_with_an_empty_table(tmp_path: Path) -> None:
    with serve(tmp_path, host="0.0.0.0") as port:
        assert send(port, "GET /v1/queue", f"Host: {LOOPBACK}") == 401
