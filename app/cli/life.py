"""Commands on one resource: those that every kind has (rename, describe, archive, unarchive, delete), and others."""

from collections.abc import Callable
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Any, Literal

import typer

from app.cli.exits import FAILED
from app.cli.output import note
from app.cli.parameters import argument, flag
from app.cli.service_command import service_command

if TYPE_CHECKING:
    from rdw_client import Client, Dependents

Kind = Literal["study", "trial", "architecture", "dataset", "predictor"]

_TITLES: dict[Kind, str] = {"dataset": "data set", "architecture": "baseline"}
_RENAMED_WITH_ALL = ("architecture", "dataset")
_MAX_LISTED = 5  # ids of a kind


def add_actions(
    app: typer.Typer, kind: Kind, key: Any, print_result: Callable[[Any], None], actions: dict[str, tuple[str, str]]
) -> None:
    """Add commands that call a method of the client with a resource of the kind alone: the method and the help of each.

    `key` is the argument that says which resource; it is named as the kind.
    """
    parameter = Parameter(kind, Parameter.KEYWORD_ONLY, default=key, annotation=str)
    for command, (method, help) in actions.items():
        _add(app, command, help, _call_with(method, kind), [parameter], print_result)


def _call_with(method: str, kind: Kind) -> Callable[..., Any]:
    def call(rdw: "Client", **arguments: Any) -> Any:
        return getattr(rdw, method)(arguments[kind])

    return call


def add_life_commands(app: typer.Typer, kind: Kind, key: Any, print_result: Callable[[Any], None]) -> None:
    """Add the commands for resources of a kind. `key` is the argument that says which one; it is named as the kind."""
    title = _TITLES.get(kind, kind)
    rename = (
        f"Rename a registered {title} and all that refers to it; its former name goes on to stand for it."
        if kind in _RENAMED_WITH_ALL
        else f"Give a {title} a name."
    )
    parameter = Parameter(kind, Parameter.KEYWORD_ONLY, default=key, annotation=str)

    def add_change(command: str, help: str, change: dict[str, Any], value: Parameter | None = None) -> None:
        def update(rdw: "Client", **arguments: Any) -> Any:
            resource = arguments.pop(kind)
            return getattr(rdw, f"update_{kind}")(resource, **change, **arguments)

        _add(app, command, help, update, [parameter, *([value] if value else [])], print_result)

    add_change("rename", rename, {}, _text("name", "New name.", "NAME"))
    text = _text("description", "What it is for; an empty text removes the description.", "TEXT")
    add_change("describe", f"Describe a {title}.", {}, text)
    add_change("archive", f"Leave a {title} out of lists and close it to new work.", {"archived": True})
    add_change("unarchive", f"List a {title} again and open it to new work.", {"archived": False})

    def delete(rdw: "Client", force: bool, **arguments: Any) -> "Dependents":
        dependents = rdw.dependents(kind, arguments[kind])
        _note_dependents(dependents)
        if dependents.dependent_counts and not force:
            note(f"Nothing was deleted. Delete the {title} with --force if that is intended.")
            raise typer.Exit(FAILED)
        getattr(rdw, f"delete_{kind}")(arguments[kind], force=force)
        return dependents

    force = flag("--force", "Delete it although others depend on it.")
    parameters = [parameter, Parameter("force", Parameter.KEYWORD_ONLY, default=force, annotation=bool)]
    _add(app, "delete", f"Delete a {title}, after listing what depends on it.", delete, parameters, _note_deleted)


def _text(name: str, help: str, metavar: str) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, default=argument(help, metavar), annotation=str)


def _add(
    app: typer.Typer,
    command: str,
    help: str,
    function: Callable[..., Any],
    parameters: list[Parameter],
    print_result: Callable[[Any], None],
) -> None:
    """Add a command whose parameters are only known here."""
    rdw = Parameter("rdw", Parameter.POSITIONAL_OR_KEYWORD)
    function.__signature__ = Signature([rdw, *parameters])  # type: ignore[attr-defined]
    app.command(command, help=help)(service_command(print_result)(function))


def _note_dependents(dependents: "Dependents") -> None:
    for kind, count in dependents.dependent_counts.items():
        ids = dependents.dependents[kind][:_MAX_LISTED]
        note(f"{count} {kind} depend on it: {', '.join(ids)}{', …' if count > len(ids) else ''}")


def _note_deleted(_: "Dependents") -> None:
    note("Deleted.")
