"""What has to be before a process of the service starts: each look says in a line why it is not, or nothing."""

from __future__ import annotations

from contextlib import suppress
from threading import Thread

from app.db.migrate import behind
from app.settings import Settings

_SECONDS = 5.0


def schema(settings: Settings) -> str | None:
    """Nothing, too, where the database does not say so soon: the service waits for it, and says what is wrong."""
    found: list[str | None] = []

    def look() -> None:
        with suppress(Exception):
            found.append(behind(settings.database))

    looking = Thread(target=look, daemon=True)
    looking.start()
    looking.join(_SECONDS)
    return f"The database {found[0]}: run `rdw migrate`." if found and found[0] else None
