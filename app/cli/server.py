"""`rdw serve`, `api`, `worker`, `migrate` and `alive`: the processes of a service."""

import os
import sys
from typing import TYPE_CHECKING

import typer

from app.cli.exits import FAILED
from app.cli.local_command import local_command
from app.cli.output import note
from app.cli.parameters import flag, option

if TYPE_CHECKING:
    from app.core.settings import Settings

app = typer.Typer()


@app.command("serve")
@local_command
def serve(settings: "Settings") -> int:
    """Migrate the database, then run the API and workers until interrupted."""
    from app.doctor import startup
    from app.jobs import supervisor

    problem = startup.check_folders(settings) or _check_keys(settings) or startup.check_port(settings)
    return _report(problem) if problem else supervisor.serve(settings)


@app.command("api")
@local_command
def api(settings: "Settings") -> int:
    """Run the API only."""
    from app.doctor import startup
    from app.http.server import run

    problem = (
        startup.check_folders(settings)
        or _check_keys(settings)
        or startup.check_port(settings)
        or startup.check_schema(settings)
    )
    if problem:
        return _report(problem)
    try:
        run(settings)
    except SystemExit as ended:  # uvicorn's own codes have another meaning here
        return FAILED if ended.code else 0
    return 0


@app.command("worker")
@local_command
def worker(settings: "Settings") -> int:
    """Run one worker."""
    from app.doctor import startup

    problem = startup.check_folders(settings)
    if problem:
        return _report(problem)
    # One trial at a time, in the process itself: the death of a child of a pool would block Celery.
    celery = [sys.executable, "-m", "celery", "--quiet", "-A", "worker.celery_app"]
    options = ["--pool", "solo", "--loglevel", "INFO", "--without-gossip", "--without-mingle"]
    command = [*celery, "worker", *options, "--hostname", f"rdw-{os.getpid()}@%h"]
    os.execv(sys.executable, command)  # noqa: S606 (no shell, and nothing of it comes from outside)


@app.command("migrate")
@local_command
def migrate(
    settings: "Settings",
    down_to: str | None = option("Revert the migrations after this one instead (0012; base: all).", "REVISION"),
    discard_data: bool = flag(
        "--discard-data",
        "With --down-to: delete what those migrations added, with its data.",
    ),
) -> int:
    """Migrate the database to the schema of this version."""
    from app.db.migrate import UnknownRevision, downgrade, schema_revisions, upgrade
    from app.doctor import startup

    problem = startup.check_database_folder(settings)
    if problem:
        return _report(problem)
    if down_to is not None:
        if not discard_data:
            return _report("--down-to deletes data. Back up the database first, then add --discard-data.")
        try:
            downgrade(settings.database, down_to)
        except UnknownRevision as refused:
            return _report(str(refused))
        print(f"the schema is that of {schema_revisions(settings.database)[0] or 'an empty database'}")
        return 0
    upgrade(settings.database)
    current, required = schema_revisions(settings.database)
    print("the schema is up to date" if current == required else f"the schema is newer ({current}) than this version")
    return 0


@app.command("alive")
@local_command
def alive(settings: "Settings") -> int:
    """Exit with 0 if a worker runs on this machine. Database and broker are not asked."""
    from app.jobs import liveness

    names = liveness.list_alive(settings)
    print(f"alive: {', '.join(names) or 'none'}")
    return 0 if names else FAILED


def _report(problem: str) -> int:
    note(problem)
    return FAILED


def _check_keys(settings: "Settings") -> str | None:
    """Check that other machines need a key; None if they do, or cannot connect."""
    from app.services.auth import keys

    if not settings.listens_beyond_loopback:
        return None
    try:
        closed = keys.any_configured(settings)
    except Exception:  # the database is unavailable or has no tables yet, so it has no keys
        closed = False
    if closed:
        return None
    return (
        f"RDW_HOST={settings.host} lets other machines in: create a key first (`rdw keys create`), or set "
        "RDW_API_KEYS (see docs/settings.md)."
    )
