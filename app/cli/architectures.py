"""`rdw architectures`: what can be scaled."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from app.cli import asking
from app.cli.output import document, table
from app.cli.units import short

if TYPE_CHECKING:
    from rdw_client import Client


def add_command(commands: Any) -> None:
    parser = asking.add(commands, "architectures", _list, "the baselines that can be scaled")
    parser.add_argument("--family", dest="of_family", metavar="NAME", help="of this family alone")


def _list(rdw: Client, arguments: argparse.Namespace) -> int:
    known = [one for one in rdw.architectures() if arguments.of_family in (None, one.family)]
    if arguments.json:
        document([one.raw for one in known])
        return 0
    table(
        ("name", "family", "px", "flops", "params", ""),
        (
            (one.name, one.family, str(one.resolution), short(one.flops), short(one.params), _own(one.built_in))
            for one in known
        ),
    )
    return 0


def _own(built_in: bool) -> str:
    return "" if built_in else "registered"
