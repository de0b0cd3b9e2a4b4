"""Short forms of `typer.Option` and `typer.Argument` for the defaults of a command's parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer

REQUIRED: Any = ...


def option(
    help: str,
    metavar: str,
    *,
    default: Any = None,
    parse: Callable[[str], Any] | None = None,
    complete: Callable[..., Any] | None = None,
    minimum: float | None = None,
    panel: str | None = None,
    names: tuple[str, ...] = (),
) -> Any:
    """Return an option with a value; `default` is REQUIRED if it has no default.

    `names` are needed only for an option that has several.
    """
    return typer.Option(
        default,
        *names,
        help=help,
        metavar=metavar,
        parser=parse,
        autocompletion=complete,
        min=minimum,
        rich_help_panel=panel,
        show_default=default is not None,
    )


def flag(name: str, help: str, *, panel: str | None = None) -> Any:
    """Return an option without a value."""
    return typer.Option(False, name, help=help, rich_help_panel=panel)


def argument(
    help: str,
    metavar: str,
    *,
    default: Any = REQUIRED,
    parse: Callable[[str], Any] | None = None,
    complete: Callable[..., Any] | None = None,
) -> Any:
    """Return an argument; it is required unless it has a default."""
    return typer.Argument(
        default, help=help, metavar=metavar, parser=parse, autocompletion=complete, show_default=False
    )
