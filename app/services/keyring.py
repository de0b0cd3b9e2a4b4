"""The keys as last seen, in memory: who holds a secret is known without a look at the database.

A key that is made or revoked counts so at every replica within five seconds.
"""

from __future__ import annotations

import hmac
import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from app.db.session import DatabaseAway, SchemaBehind
from app.db.tables import ApiKeyRow, utc_now
from app.db.unit_of_work import UnitOfWork
from app.errors import Unauthorized
from app.scopes import Scope, covered
from app.services.keys import digest_of, standing
from app.settings import Settings

log = logging.getLogger("rdw.keys")

_RENEWED_AFTER = 2.0  # seconds: beside the request that notices
_USED_FOR = 5.0  # seconds: after that a request waits for a new look
_USES_WRITTEN_EVERY = 60.0
_SHOWN = 8  # digits of a digest that name a key of the environment, and by which candidates are found


@dataclass(frozen=True)
class Caller:
    """Who asks, and what for it is let in."""

    id: str
    name: str
    scopes: frozenset[Scope]


ANYONE = Caller("anonymous", "anonymous", covered("admin"))
"""Who asks a service that has no keys: it listens on loopback alone."""

_UNKNOWN = "This key is not known here."


class KeyRing:
    """Keys of the settings and of the database."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._database = settings.database
        self._given = settings.key_digests
        self._rows: dict[str, list[ApiKeyRow]] | None = None  # by the digest's first digits
        self._seen = 0.0
        self._looking = threading.Lock()
        self._renewal: threading.Thread | None = None
        self._uses: dict[str, datetime] = {}
        self._written = clock()

    def ready(self) -> bool:
        """Whether what was last seen may still be used; where it gets old a new look is begun beside."""
        age = self.clock() - self._seen
        if self._rows is None or age >= _USED_FOR:
            return False
        if age >= _RENEWED_AFTER and not self._looking.locked():
            self._renewal = threading.Thread(target=self._renew, name="keys", daemon=True)
            self._renewal.start()
        return True

    def look(self) -> None:
        """See which keys there are now.

        Raises: DatabaseAway, but where there were none at the last look: then nobody was asked for one.
        """
        with self._looking:
            if self._rows is None or self.clock() - self._seen >= _RENEWED_AFTER:
                began = self.clock()
                try:
                    self._rows = self._read()
                except SchemaBehind:
                    if self._rows != {}:
                        raise
                except Exception as error:
                    if self._rows != {}:
                        raise DatabaseAway("The database does not answer, so keys cannot be checked.") from error
                self._seen = began

    def holder(self, secret: str | None) -> Caller:
        """Who has this secret; call where `ready`, or after a `look`.

        Raises: Unauthorized.
        """
        if not self._given and not self._rows:
            return ANYONE
        if secret is None:
            raise Unauthorized("This service asks for a key: send `Authorization: Bearer` with one.")
        digest = digest_of(secret)
        row = next((r for r in (self._rows or {}).get(digest[:_SHOWN], ()) if _same(r.digest, digest)), None)
        if row is None:
            return self.given(digest)
        if (state := standing(row)) != "live":
            raise Unauthorized(f"This key is {state}.", invalid=True)
        self._uses[row.id] = utc_now()
        return Caller(row.id, row.name, covered(row.scope))  # type: ignore[arg-type]

    def given(self, digest: str) -> Caller:
        """The holder of a key of the settings, which needs no database.

        Raises: Unauthorized.
        """
        if not any([_same(digest, one) for one in self._given]):  # all of them, whichever it is
            raise Unauthorized(_UNKNOWN, invalid=True)
        return Caller(f"env:{digest[:_SHOWN]}", "RDW_API_KEYS", covered("admin"))

    def close(self) -> None:
        """End what goes on beside, and keep when keys were last used."""
        if self._renewal is not None:
            self._renewal.join(timeout=5)
        self.write_uses()

    def write_uses(self) -> None:
        """Keep when each key was last used; where that fails the next time has it."""
        uses, self._uses = self._uses, {}
        self._written = self.clock()
        if not uses:
            return
        try:
            with UnitOfWork(self._database) as work:
                work.keys.used(uses)
                work.commit()
        except Exception as error:
            log.warning("could not keep when keys were used: %s", error)
            self._uses = {**uses, **self._uses}

    def _renew(self) -> None:
        with suppress(DatabaseAway):  # a request that has to wait for the look says so
            self.look()
        if self.clock() - self._written >= _USES_WRITTEN_EVERY:
            self.write_uses()

    def _read(self) -> dict[str, list[ApiKeyRow]]:
        rows: dict[str, list[ApiKeyRow]] = {}
        with UnitOfWork(self._database, writes=False) as work:
            for row in work.keys.all():
                rows.setdefault(row.digest[:_SHOWN], []).append(row)
        return rows


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one, other)
