"""What has to be before a process of the service starts: each look says in a line why it is not, or nothing."""

from __future__ import annotations

import errno
import os
import socket
import tempfile
from contextlib import suppress
from pathlib import Path
from threading import Thread

from app.db.migrate import behind
from app.settings import Settings

_SECONDS = 5.0
_SQLITE = "sqlite:///"


def folders(settings: Settings) -> str | None:
    """The data directory's look, and that of the folder of SQLite's file."""
    why_not = unwritable(settings.data_dir)
    return f"RDW_DATA_DIR: {why_not}" if why_not else database_folder(settings)


def database_folder(settings: Settings) -> str | None:
    """Nothing where the database is a server: who only migrates that needs no folder."""
    if not settings.database.startswith(_SQLITE):
        return None
    why_not = unwritable(Path(settings.database.removeprefix(_SQLITE)).parent)
    return f"{'RDW_DATABASE_URL' if settings.database_url else 'RDW_DATA_DIR'}: {why_not}" if why_not else None


def unwritable(folder: Path) -> str | None:
    """Why nothing can be kept in it, by writing something; makes it where it is not there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"rdw")
    except FileExistsError:
        return f"{folder} cannot be written: {os.strerror(errno.ENOTDIR)}"
    except OSError as error:
        return f"{folder} cannot be written: {error.strerror}"
    return None


def port(settings: Settings) -> str | None:
    with socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return f"port {settings.port} is taken: set RDW_PORT (make: PORT=…) to another one"
            return f"RDW_HOST, RDW_PORT: {settings.host}:{settings.port} cannot be listened on: {error.strerror}"
    return None


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
