"""`rdw cost`: the exact cost of a network."""

from typing import TYPE_CHECKING

import typer

from app.cli.options import InputOptions, MultiplierOptions, Network
from app.cli.output import print_facts, print_table
from app.cli.service_command import service_command
from app.cli.units import format_count, format_px

if TYPE_CHECKING:
    from rdw_client import Client, Cost, Costed

app = typer.Typer()


def _print_cost(costed: "Costed") -> None:
    cost = costed.cost
    print_facts(
        [
            ("network", f"{costed.config['family']}, {format_px(costed.config['resolution'])} px"),
            ("classes", costed.num_classes),
            ("multiply-adds", f"{format_count(cost.flops)} ({cost.flops:,})"),
            ("fvcore's total", f"{format_count(cost.fvcore_total)} ({cost.fvcore_total:,})"),
            ("parameters", f"{format_count(cost.params)} ({cost.params:,})"),
            ("activations", format_count(cost.activations)),
            *memory_facts(cost),
        ]
    )
    print()
    print_table(
        ("stage", "flops", "params", "activations"),
        (
            (stage["stage"], *(format_count(stage[name]) for name in ("flops", "params", "activations")))
            for stage in cost.stages
        ),
    )


def memory_facts(cost: "Cost") -> list[tuple[str, str]]:
    """Return what the weights and the activations of a network occupy, in both precisions."""
    facts = (("weights", cost.weights_bytes), ("peak memory", cost.activation_bytes))
    return [
        (name, ", ".join(f"{format_count(n)}B in {precision}" for precision, n in by.items())) for name, by in facts
    ]


@app.command("cost")
@service_command(_print_cost)
def cost(rdw: "Client", network: Network, multipliers: MultiplierOptions, inputs: InputOptions) -> "Costed":
    """Count the exact cost of a network, in total and by stage."""
    return rdw.cost(
        network.baseline, multipliers=multipliers.to_request(), config=network.config, **inputs.to_request()
    )
