"""An in-memory cache of the API keys, so that a request is authenticated without a database query.

The creation or revocation of a key takes effect at every replica within five seconds, and at once at the replica that
it was requested from.
"""

from __future__ import annotations

import hmac
import logging
import math
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from app.core.callers import ANYONE, Caller
from app.core.errors import Unauthorized
from app.core.scopes import included_scopes
from app.core.settings import Settings
from app.db.session import DatabaseUnavailable, SchemaMismatch
from app.db.tables import ApiKeyRow, utc_now
from app.db.unit_of_work import UnitOfWork
from app.services.auth.keys import CONFIGURED, ENV_ID_PREFIX, digest_of, status

log = logging.getLogger("rdw.keys")

_REFRESH_SECONDS = 2.0  # the age at which a refresh starts in the background
_EXPIRE_SECONDS = 5.0  # the age at which a request waits for the refresh
_RETRY_SECONDS = 1.0  # after a failed refresh: requests that wait for one do not each wait for the database
_WRITE_USES_SECONDS = 60.0
_PREFIX_LENGTH = 8  # of a digest, in hex digits: identifies a key from the settings, and indexes the others


_UNKNOWN = "This key does not exist."
_UNCHECKED = "The database does not answer, so API keys cannot be checked."


class KeyCache:
    """The keys from the settings and the database.

    No key is needed only if the service listens on loopback and has seen no key since it started: a table of keys that
    is emptied, or replaced by an older one, never opens the service.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._database = settings.database
        self._env_digests = settings.key_digests
        self._needs_key = bool(self._env_digests) or settings.listens_beyond_loopback
        self._rows: dict[str, list[ApiKeyRow]] | None = None  # by the first digits of the digest
        self._refreshed_at = 0.0
        self._failed_at: float | None = None
        self._refreshing = threading.Lock()
        self._refresh_thread: threading.Thread | None = None
        self._uses: dict[str, datetime] = {}
        self._written_at = clock()

    def is_fresh(self) -> bool:
        """Return whether the cache may be used; from a certain age on, also start a refresh in the background."""
        age = self.clock() - self._refreshed_at
        if self._rows is None or age >= _EXPIRE_SECONDS:
            return False
        if age >= _REFRESH_SECONDS and not self._refreshing.locked():
            self._refresh_thread = threading.Thread(target=self._refresh_in_background, name="keys", daemon=True)
            self._refresh_thread.start()
        return True

    def refresh(self) -> None:
        """Reload the keys from the database.

        Raises: DatabaseUnavailable, unless no key was needed at the last refresh.
        """
        with self._refreshing:
            if self._rows is not None and self.clock() - self._refreshed_at < _REFRESH_SECONDS:
                return
            if self._failed_at is not None and self.clock() - self._failed_at < _RETRY_SECONDS:
                raise DatabaseUnavailable(_UNCHECKED)
            started = self.clock()
            try:
                self._rows = self._read()
            except Exception as error:
                if self._is_open:
                    self._refreshed_at = self.clock()
                    return
                self._failed_at = self.clock()
                if isinstance(error, SchemaMismatch):
                    raise
                raise DatabaseUnavailable(_UNCHECKED) from error
            self._needs_key = self._needs_key or bool(self._rows)
            self._refreshed_at, self._failed_at = started, None

    def invalidate(self) -> None:
        """Let the next request reload the keys: this process has changed them."""
        with self._refreshing:
            self._refreshed_at = -math.inf

    @property
    def _is_open(self) -> bool:
        """Whether callers need no key; not before the keys have been read."""
        return self._rows is not None and not self._needs_key

    def authenticate(self, secret: str | None) -> Caller:
        """Return the caller with this secret. Call it only if `is_fresh()` or after `refresh()`.

        Raises: Unauthorized.
        """
        if self._is_open:
            return ANYONE
        if secret is None:
            raise Unauthorized("This service requires an API key. Send `Authorization: Bearer KEY`.")
        digest = digest_of(secret)
        row = next(
            (row for row in (self._rows or {}).get(digest[:_PREFIX_LENGTH], ()) if _are_equal(row.digest, digest)), None
        )
        if row is None:
            return self.authenticate_env_key(digest)
        if (state := status(row)) != "live":
            raise Unauthorized(f"This key is {state}.", invalid=True)
        self._uses[row.id] = utc_now()
        return Caller(row.id, row.name, included_scopes(row.scope))  # type: ignore[arg-type]

    def authenticate_env_key(self, digest: str) -> Caller:
        """Return the caller with a key from the settings, which needs no database.

        Raises: Unauthorized.
        """
        # The list compares with all digests, so that the time does not depend on which one matches.
        if not any([_are_equal(digest, env_digest) for env_digest in self._env_digests]):
            raise Unauthorized(_UNKNOWN, invalid=True)
        return Caller(f"{ENV_ID_PREFIX}{digest[:_PREFIX_LENGTH]}", CONFIGURED, included_scopes("admin"))

    def close(self) -> None:
        """Wait for a refresh in the background, then write the times of last use."""
        if self._refresh_thread is not None:
            self._refresh_thread.join()
        self.write_uses()

    def write_uses(self) -> None:
        """Write when each key was last used; if that fails, it is retried the next time."""
        uses, self._uses = self._uses, {}
        self._written_at = self.clock()
        if not uses:
            return
        try:
            with UnitOfWork(self._database) as work:
                work.keys.record_uses(uses)
                work.commit()
        except Exception as error:
            log.warning("could not record when keys were used: %s", error)
            self._uses = {**uses, **self._uses}

    def _refresh_in_background(self) -> None:
        with suppress(DatabaseUnavailable):  # reported by the request that has to wait for a refresh
            self.refresh()
        if self.clock() - self._written_at >= _WRITE_USES_SECONDS:
            self.write_uses()

    def _read(self) -> dict[str, list[ApiKeyRow]]:
        rows: dict[str, list[ApiKeyRow]] = {}
        with UnitOfWork(self._database, writes=False) as work:
            for row in work.keys.list_all():
                rows.setdefault(row.digest[:_PREFIX_LENGTH], []).append(row)
        return rows


def _are_equal(digest: str, other: str) -> bool:
    return hmac.compare_digest(digest, other)
