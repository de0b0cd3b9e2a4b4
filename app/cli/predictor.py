"""`rdw predictor`: the versions of r(c) and d(c), and which one is active."""

from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING

import typer

from app.cli.life import add_actions, add_life_commands
from app.cli.options import ARCHITECTURE_FILTER, ARCHIVED, LIMIT, PREDICTOR
from app.cli.output import note, print_facts, print_table
from app.cli.parameters import option
from app.cli.results import format_archived
from app.cli.service_command import service_command
from app.cli.units import format_percent

if TYPE_CHECKING:
    from rdw_client import Client, Curve, Predictor

app = typer.Typer(name="predictor", no_args_is_help=True, help="Show predictors, and activate or change a version.")


def _print_predictors(predictors: "Sequence[Predictor]") -> None:
    print_table(
        ("predictor", "baseline", "data", "version", "networks", "active"),
        (
            (p.id, p.architecture, p.dataset, str(p.version), str(p.observations), "yes" if p.active else "")
            for p in predictors
        ),
    )


@app.command("list")
@service_command(_print_predictors)
def list_predictors(
    rdw: "Client", architecture: str | None = ARCHITECTURE_FILTER, archived: bool = ARCHIVED, limit: int = LIMIT
) -> "Sequence[Predictor]":
    """List all versions, newest first."""
    return list(islice(rdw.predictors(architecture=architecture, archived=archived), limit))


def _print_predictor(predictor: "Predictor") -> None:
    print_facts(
        [
            ("predictor", predictor.id),
            ("name", predictor.name),
            ("description", predictor.description),
            ("archived", format_archived(predictor.archived_at)),
            ("baseline", f"{predictor.architecture} on {predictor.dataset}"),
            ("version", predictor.version),
            ("owner", predictor.owner),
            ("active", "yes" if predictor.active else "no"),
            ("networks", predictor.observations),
            ("source", predictor.provenance),
        ]
    )


@app.command("activate")
@service_command(_print_predictor)
def activate(rdw: "Client", predictor: str = PREDICTOR) -> "Predictor":
    """Let this version answer everybody from now on; an earlier version can be activated too."""
    current = rdw.predictor(predictor)
    return rdw.activate(current, if_match=current.etag)  # fails if another client has changed it meanwhile


_ACTIONS = {
    "show": ("predictor", "Show a version and how well it fits."),
    "deactivate": (
        "deactivate",
        "Stop using this version; the built-in predictor is used until another version is activated.",
    ),
}
add_actions(app, "predictor", PREDICTOR, _print_predictor, _ACTIONS)
add_life_commands(app, "predictor", PREDICTOR, _print_predictor)


def _print_curve(curve: "Curve") -> None:
    print_table(
        ("c", "r", "±", "d", "±", "accuracy"),
        (
            (f"{p.c:.3f}", f"{p.r:.3f}", f"{p.r_sd:.3f}", f"{p.d:.3f}", f"{p.d_sd:.3f}", format_percent(p.accuracy))
            for p in curve.items
        ),
    )
    note(f"The data covers c from {curve.min_c:.3f} to {curve.max_c:.3f}; the rest is extrapolated.")


@app.command("curve")
@service_command(_print_curve)
def curve(
    rdw: "Client",
    predictor: str = PREDICTOR,
    min_c: float | None = option("Minimum ratio (default: the minimum of the data).", "C"),
    max_c: float | None = option("Maximum ratio (default: the maximum of the data).", "C"),
    steps: int = option("Number of points.", "N", default=12),
) -> "Curve":
    """Show r(c) and d(c) with their standard deviations."""
    return rdw.curve(predictor, min_c=min_c, max_c=max_c, steps=steps)
