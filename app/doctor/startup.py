"""Checks before a process of the service starts: each returns a line about the problem, or None."""

from __future__ import annotations

import errno
import os
import socket
import tempfile
from contextlib import suppress
from pathlib import Path
from threading import Thread

from app.core.settings import Settings
from app.db.migrate import schema_problem

_SECONDS = 5.0
_SQLITE = "sqlite:///"


def check_folders(settings: Settings) -> str | None:
    """Check that the data directory and the folder of a SQLite database are writable."""
    problem = unwritable_reason(settings.data_dir)
    return f"RDW_DATA_DIR: {problem}" if problem else check_database_folder(settings)


def check_database_folder(settings: Settings) -> str | None:
    """Check that the folder of a SQLite database is writable; None if the database is a server."""
    if not settings.database.startswith(_SQLITE):
        return None
    problem = unwritable_reason(Path(settings.database.removeprefix(_SQLITE)).parent)
    return f"{'RDW_DATABASE_URL' if settings.database_url else 'RDW_DATA_DIR'}: {problem}" if problem else None


def unwritable_reason(folder: Path) -> str | None:
    """Create the folder if it is missing and write to it; say why that fails, or return None."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"rdw")
    except FileExistsError:
        return f"{folder} cannot be written: {os.strerror(errno.ENOTDIR)}"
    except OSError as error:
        return f"{folder} cannot be written: {error.strerror}"
    return None


def check_port(settings: Settings) -> str | None:
    with socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return f"port {settings.port} is taken: set RDW_PORT (make: PORT=…) to another one"
            return f"RDW_HOST, RDW_PORT: {settings.host}:{settings.port} cannot be listened on: {error.strerror}"
    return None


def check_schema(settings: Settings) -> str | None:
    """Check the schema; None also if the database does not answer soon, since the service then waits for it."""
    problems: list[str | None] = []

    def check() -> None:
        with suppress(Exception):
            problems.append(schema_problem(settings.database))

    thread = Thread(target=check, daemon=True)
    thread.start()
    thread.join(_SECONDS)
    return f"The database {problems[0]}: run `rdw migrate`." if problems and problems[0] else None
