"""`rdw doctor`: what is usually wrong on the machine of a service, and what to do."""

from __future__ import annotations

import argparse
import os
from dataclasses import asdict
from typing import Any

from app.cli.exits import FAILED
from app.cli.output import document, paint, sentence


def add_command(commands: Any) -> None:
    text = "look for what is usually wrong on this machine, and say what to do"
    parser = commands.add_parser(
        "doctor", help=text, description=f"{sentence(text)} Exits with 1 where something fails."
    )
    parser.add_argument("--json", action="store_true", help="the findings as a JSON array")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from app.doctor import examine

    found = []
    for finding in examine(os.environ):
        found.append(finding)
        if not arguments.json:
            print(f"{paint(finding.state.ljust(4), finding.state)}  {finding.check}: {finding.detail}")
            if finding.cure:
                print(f"      {finding.cure}")
    if arguments.json:
        document([asdict(one) for one in found])
    return FAILED if any(one.state == "fail" for one in found) else 0
