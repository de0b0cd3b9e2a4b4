"""The `rdw` command."""

from __future__ import annotations

import argparse
import os
import socket
import sys

from pydantic import ValidationError

from app.db.session import DatabaseAway
from app.key_commands import add_command as add_keys
from app.logs import configure, redacted
from app.reproduce import add_command as add_reproduce
from app.settings import Settings, get_settings


def main(arguments: list[str] | None = None) -> int:
    """Run a subcommand; its exit code."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    try:
        configure(get_settings().log_format)
        return chosen.run(chosen)
    except KeyboardInterrupt:
        return 130
    except ValidationError as error:
        for wrong in error.errors():
            print(f"RDW_{str(wrong['loc'][0]).upper()}: {wrong['msg']}", file=sys.stderr)
        return 2
    except DatabaseAway as error:
        print(redacted(f"{error} (RDW_DATABASE_URL)"), file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rdw",
        description="Scale a network to a FLOPs budget. Settings come from the environment (RDW_*), see the README.",
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    for name, run, text in (
        ("serve", _serve, "migrate, then run API and workers together and stay up"),
        ("api", _api, "run the API alone"),
        ("worker", _worker, "run one worker"),
        ("migrate", _migrate, "bring the database's schema up to date"),
        ("alive", _alive, "exit with 0 if a worker on this host sent a heartbeat lately"),
    ):
        command = commands.add_parser(name, help=text, description=text.capitalize() + ".")
        command.set_defaults(run=lambda _, run=run: run())
    add_keys(commands)
    add_reproduce(commands)
    return parser


def _serve() -> int:
    from app.supervisor import serve

    settings = get_settings()
    return 1 if _refused(settings) else serve(settings)


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


def _api() -> int:
    from app.serving import run

    settings = get_settings()
    if _refused(settings):
        return 1
    run(settings)
    return 0


def _worker() -> int:
    """Becomes Celery's own worker: one trial at a time, in the process itself (a pool child's death would block it)."""
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


def _migrate() -> int:
    from app.db.migrate import upgrade

    upgrade(get_settings().database)
    print("the schema is up to date")
    return 0


def _alive() -> int:
    from app.db.unit_of_work import UnitOfWork

    settings = get_settings()
    with UnitOfWork(settings.database, writes=False) as work:
        here = [
            w.name for w in work.workers.alive(settings.lease_seconds) if w.name.startswith(f"{socket.gethostname()}:")
        ]
    print(f"alive: {', '.join(here) or 'none'}")
    return 0 if here else 1


if __name__ == "__main__":
    raise SystemExit(main())
