"""`rdw cost`: what a network costs, in all and by stage."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from app.cli import asking
from app.cli.output import document, facts, table
from app.cli.units import json_file, name_or_file, number, short

if TYPE_CHECKING:
    from rdw_client import Client


def add_command(commands: Any) -> None:
    parser = asking.add(commands, "cost", _cost, "exact cost of a network, in all and by stage")
    network = parser.add_mutually_exclusive_group(required=True)
    network.add_argument("architecture", nargs="?", type=name_or_file, help="a baseline, or a .json file with one")
    network.add_argument(
        "--config", type=json_file, metavar="FILE", help="a network, as `rdw scale --config` writes it"
    )
    add_multipliers(parser)


def add_multipliers(parser: argparse.ArgumentParser) -> None:
    for name, what in (("r", "resolution"), ("d", "depth"), ("w", "width")):
        parser.add_argument(f"--{name}", type=number, metavar="X", help=f"{what} relative to the baseline (default: 1)")


def multipliers_of(arguments: argparse.Namespace) -> dict[str, float] | None:
    given = {name: getattr(arguments, name) for name in "rdw"}
    return {name: value for name, value in given.items() if value is not None} or None


def _cost(rdw: Client, arguments: argparse.Namespace) -> int:
    a = arguments
    found = rdw.cost(a.architecture, multipliers=multipliers_of(a), config=a.config)
    if a.json:
        document(found.raw)
        return 0
    cost = found.cost
    facts(
        [
            ("network", f"{found.config['family']}, {found.config['resolution']} px"),
            ("multiply-adds", f"{short(cost.flops)} ({cost.flops:,})"),
            ("fvcore's total", f"{short(cost.fvcore_total)} ({cost.fvcore_total:,})"),
            ("parameters", f"{short(cost.params)} ({cost.params:,})"),
            ("activations", short(cost.activations)),
            ("peak memory", f"{short(cost.peak_activation_bytes)}B of activations"),
        ]
    )
    print()
    table(
        ("stage", "flops", "params", "activations"),
        ((s["stage"], short(s["flops"]), short(s["params"]), short(s["activations"])) for s in cost.stages),
    )
    return 0
