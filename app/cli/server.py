"""`rdw serve`, `api`, `worker`, `migrate`, `alive`: what runs the service. Settings come from the environment."""

from __future__ import annotations

import os
import socket
import sys
from typing import TYPE_CHECKING, Any

from app.cli.exits import FAILED
from app.cli.local import with_settings
from app.cli.output import sentence

if TYPE_CHECKING:
    from app.settings import Settings


def add_command(commands: Any) -> None:
    for name, run, text in (
        ("serve", _serve, "migrate, then run API and workers together and stay up"),
        ("api", _api, "run the API alone"),
        ("worker", _worker, "run one worker"),
        ("migrate", _migrate, "bring the database's schema up to date"),
        ("alive", _alive, "exit with 0 if a worker on this host sent a heartbeat lately"),
    ):
        command = commands.add_parser(name, help=text, description=sentence(text))
        command.set_defaults(run=lambda _, run=run: with_settings(run))


def _serve(settings: Settings) -> int:
    from app import startup
    from app.supervisor import serve

    if _said(startup.folders(settings)) or _refused(settings) or _said(startup.port(settings)):
        return FAILED
    return serve(settings)


def _said(why_not: str | None) -> bool:
    """Whether there is a reason not to start, which is then said."""
    if why_not:
        print(why_not, file=sys.stderr)
    return why_not is not None


def _refused(settings: Settings) -> bool:
    """Whether the service would be open to other machines without a key; says what to do about it."""
    from app.services import keys

    try:
        refused = settings.beyond_loopback and not keys.any_there(settings)
    except Exception:  # the database is away, or has no tables yet: no key is known that would keep others out
        refused = True
    if refused:
        print(
            f"RDW_HOST={settings.host} lets other machines in: make a key first (`rdw keys create`), or set "
            "RDW_API_KEYS (see the README).",
            file=sys.stderr,
        )
    return refused


def _api(settings: Settings) -> int:
    from app import startup
    from app.serving import run

    if _said(startup.folders(settings)) or _refused(settings) or _said(startup.port(settings)):
        return FAILED
    if _said(startup.schema(settings)):
        return FAILED
    try:
        run(settings)
    except SystemExit as ended:  # uvicorn's own codes mean other things here
        return FAILED if ended.code else 0
    return 0


def _worker(settings: Settings) -> int:
    """Becomes Celery's own worker: one trial at a time, in the process itself (a pool child's death would block it)."""
    from app import startup

    if _said(startup.folders(settings)):
        return FAILED
    command = [
        sys.executable,
        "-m",
        "celery",
        "--quiet",
        "-A",
        "worker.celery_app",
        "worker",
        "--pool",
        "solo",
        "--loglevel",
        "INFO",
    ]
    command += ["--without-gossip", "--without-mingle", "--hostname", f"rdw-{os.getpid()}@%h"]
    os.execv(sys.executable, command)


def _migrate(settings: Settings) -> int:
    from app import startup
    from app.db.migrate import upgrade

    if _said(startup.database_folder(settings)):
        return FAILED
    upgrade(settings.database)
    print("the schema is up to date")
    return 0


def _alive(settings: Settings) -> int:
    from app.db.unit_of_work import UnitOfWork

    with UnitOfWork(settings.database, writes=False) as work:
        here = [
            w.name for w in work.workers.alive(settings.lease_seconds) if w.name.startswith(f"{socket.gethostname()}:")
        ]
    print(f"alive: {', '.join(here) or 'none'}")
    return 0 if here else FAILED
