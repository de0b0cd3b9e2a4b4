"""`rdw reproduce`."""

from __future__ import annotations

from typing import Any

from app.cli.local import with_settings
from app.reproduce import add_command as add


def add_command(commands: Any) -> None:
    """It logs as the service does, whose settings it passes on."""
    command = add(commands)
    run = command.get_default("run")
    command.set_defaults(run=lambda arguments: _logging(run, arguments))


def _logging(run: Any, arguments: Any) -> int:
    return with_settings(lambda _: int(run(arguments)))
