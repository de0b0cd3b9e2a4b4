"""Connections to PostgreSQL, directly or through PgBouncer, that survive a failover.

A primary that vanishes closes no connection: without limits a query would wait for hours. So every wait for the server
has a limit, and an idle connection that the server has closed is noticed before it is used. A session keeps no state
from one transaction to the next, as transaction pooling requires.
"""

from __future__ import annotations

import re
import select
import threading
import time
from typing import Any

import psycopg
from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import InvalidatePoolError

STATEMENT_SECONDS = 10
"""The server ends a statement after this time."""

IDLE_SECONDS = 30
"""The server ends a transaction, with its connection, that gets no statement for this time: its process hangs."""

_RESPONSE_MARGIN_SECONDS = 2.0  # the server's own error should arrive first
_POOL_RECYCLE_SECONDS = 600
_POOL_WAIT_SECONDS = 10
_RETRY_SECONDS = 1.0  # after a failed connection others fail at once for so long
# Parameters of libpq. All waits together are shorter than the default lease.
_DEFAULTS: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "prepare_threshold": None,  # PgBouncer gives each transaction any of its connections to the server
}
_STATEMENT_TIMEOUT = re.compile(r"\bstatement_timeout\s*=\s*'?(\d+)\s*(ms|s|min)?")
_IDLE_TIMEOUT = re.compile(r"\bidle_in_transaction_session_timeout\s*=")
_UNLIMITED = "BEGIN; SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0"
_UNITS = {"": 0.001, "ms": 0.001, "s": 1.0, "min": 60.0}


class BoundedConnection(psycopg.Connection[Any]):
    """A connection that is closed if the server does not answer within `response_seconds` (None: no limit).

    Keepalives notice a server that is gone. They do not notice one that hangs, or that a proxy still stands for.
    """

    response_seconds: float | None = STATEMENT_SECONDS + _RESPONSE_MARGIN_SECONDS

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        try:
            return super().wait(gen, interval, self.response_seconds if timeout is None else timeout)
        except psycopg.OperationalError as error:
            if self.info.transaction_status != psycopg.pq.TransactionStatus.ACTIVE:
                raise
            self.pgconn.finish()  # whatever arrives now would be taken for the answer to the next statement
            raise psycopg.OperationalError(f"no answer within {self.response_seconds:.0f} s") from error


def create_postgresql_engine(url: URL) -> Engine:
    """Create an engine; parameters in the URL's query take precedence over the defaults here.

    A `statement_timeout` in the parameter `options` replaces `STATEMENT_SECONDS`, and an
    `idle_in_transaction_session_timeout` there replaces `IDLE_SECONDS`.
    """
    engine = create_engine(
        url,
        connect_args={name: value for name, value in _DEFAULTS.items() if name not in url.query},
        pool_size=20,
        max_overflow=20,
        pool_recycle=_POOL_RECYCLE_SECONDS,
        pool_timeout=_POOL_WAIT_SECONDS,
        pool_use_lifo=True,  # so that connections of a peak become idle and are closed
        use_native_hstore=False,
    )
    event.listen(engine, "do_connect", _Connector().connect)
    event.listen(engine, "connect", _configure)
    event.listen(engine, "checkout", _refuse_closed)
    event.listen(engine, "begin", _Begin(url).begin)
    return engine


def _timeout_of_url(url: URL) -> float | None:
    """Return the `statement_timeout` in the URL's `options`, in seconds; None if it has none."""
    match = _STATEMENT_TIMEOUT.search(str(url.query.get("options", "")))
    return None if match is None else int(match[1]) * _UNITS[match[2] or ""]


class _Connector:
    """Opens connections. After a failure others fail at once for a moment, so that requests do not queue up."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failure: tuple[float, str] | None = None

    def connect(self, _dialect: Any, _record: Any, arguments: Any, parameters: Any) -> Any:
        with self._lock:
            failure = self._failure
        if failure is not None and time.monotonic() - failure[0] < _RETRY_SECONDS:
            raise psycopg.OperationalError(failure[1])
        try:
            return BoundedConnection.connect(*arguments, **parameters)
        except psycopg.OperationalError as error:
            with self._lock:
                self._failure = time.monotonic(), str(error)
            raise


def _configure(connection: Any, _record: Any) -> None:
    connection.autocommit = True  # `_Begin` sends BEGIN


def _refuse_closed(connection: Any, _record: Any, _proxy: Any) -> None:
    """Make the pool replace its connections if the server has closed this one; unlike a ping this sends nothing."""
    idle = select.poll()
    idle.register(connection.fileno(), select.POLLIN)
    if idle.poll(0):
        raise InvalidatePoolError


class _Begin:
    """Begins transactions, in one round trip with their limits on the time of statements and between them.

    The limits end with the transaction, so that PgBouncer gives them to no other client. With the execution option
    `unlimited`, which migrations need, a transaction may take any time.
    """

    def __init__(self, url: URL) -> None:
        seconds_of_url = _timeout_of_url(url)
        seconds = STATEMENT_SECONDS if seconds_of_url is None else seconds_of_url
        self._response_seconds = seconds + _RESPONSE_MARGIN_SECONDS if seconds else None
        self._limited = "BEGIN"
        if seconds_of_url is None:
            self._limited += f"; SET LOCAL statement_timeout = '{STATEMENT_SECONDS}s'"
        if not _IDLE_TIMEOUT.search(str(url.query.get("options", ""))):
            self._limited += f"; SET LOCAL idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'"

    def begin(self, connection: Connection) -> None:
        is_unlimited = connection.get_execution_options().get("unlimited", False)
        driver: Any = connection.connection.driver_connection
        driver.response_seconds = None if is_unlimited else self._response_seconds
        statement = _UNLIMITED if is_unlimited else self._limited
        connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
