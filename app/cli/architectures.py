"""`rdw architectures`: the baselines that can be scaled."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from app.cli.life import add_life_commands
from app.cli.options import ARCHIVED, REGISTERED
from app.cli.output import print_json, print_table
from app.cli.parameters import argument, option
from app.cli.service_command import service_command
from app.cli.units import format_count, format_px, parse_json_file

if TYPE_CHECKING:
    from rdw_client import Architecture, Client

app = typer.Typer(name="architectures")


def _print_architectures(architectures: "Sequence[Architecture]") -> None:
    print_table(
        ("name", "family", "px", "flops", "params", ""),
        (
            (
                one.name,
                one.family,
                format_px(one.resolution),
                format_count(one.flops),
                format_count(one.params),
                "" if one.built_in else "registered",
            )
            for one in architectures
        ),
    )


@app.callback(invoke_without_command=True)
@service_command()
def list_architectures(
    rdw: "Client",
    as_json: bool,
    context: typer.Context,
    family: str | None = option("Only those of this family.", "NAME"),
    archived: bool = ARCHIVED,
) -> None:
    """List the baselines that can be scaled, or register and change one of your own."""
    if context.invoked_subcommand:
        return
    architectures = [one for one in rdw.architectures(archived=archived) if family in (None, one.family)]
    print_json([one.raw for one in architectures]) if as_json else _print_architectures(architectures)


@app.command("add")
@service_command(lambda added: _print_architectures([added]))
def add(rdw: "Client", spec: str = argument("JSON file with a name, a baseline and rules.", "FILE")) -> "Architecture":
    """Register a baseline of your own under its name."""
    return rdw.register_architecture(parse_json_file(spec))


add_life_commands(app, "architecture", REGISTERED, lambda changed: _print_architectures([changed]))
