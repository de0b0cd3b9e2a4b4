"""`rdw architectures`: what can be scaled; a baseline of your own can be added."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from app.cli import asking
from app.cli.output import document, table
from app.cli.units import json_file, short

if TYPE_CHECKING:
    from rdw_client import Architecture, Client


def add_command(commands: Any) -> None:
    parser = asking.add(commands, "architectures", _list, "the baselines that can be scaled; one can be added")
    parser.add_argument("--family", dest="of_family", metavar="NAME", help="of this family alone")
    within = parser.add_subparsers(metavar="command")
    add = asking.add(within, "add", _add, "keep a baseline of your own under its name", within=True)
    add.add_argument("spec", type=json_file, metavar="FILE", help="JSON with name, baseline and rules")


def _list(rdw: Client, arguments: argparse.Namespace) -> int:
    known = [one for one in rdw.architectures() if arguments.of_family in (None, one.family)]
    document([one.raw for one in known]) if arguments.json else _show(known)
    return 0


def _add(rdw: Client, arguments: argparse.Namespace) -> int:
    added = rdw.register_architecture(arguments.spec)
    document(added.raw) if arguments.json else _show([added])
    return 0


def _show(known: Sequence[Architecture]) -> None:
    table(
        ("name", "family", "px", "flops", "params", ""),
        (
            (one.name, one.family, str(one.resolution), short(one.flops), short(one.params), _own(one.built_in))
            for one in known
        ),
    )


def _own(built_in: bool) -> str:
    return "" if built_in else "registered"
