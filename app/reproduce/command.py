"""The subcommand and its options."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from app.reproduce.plan import Sizes

_DESCRIPTION = """\
Reproduce the paper's method on images of yours or built-in ones, through the HTTP API alone, and write a report:

  1. random networks at one budget (half the baseline's multiply-adds), compound shrinking beside them;
  2. random networks over a range (8 to 100 %), and compound-shrunk ones;
  3. NSGA-III's selection of them, and how r, d and w go with FLOPs along it;
  4. the Gaussian processes r(c), d(c) on the selection;
  5. the family: three budgets, the rules tiny_formula, compound and surrogate, several seeds, with and without
     RandAugment;
  6. predicted against measured accuracy.

Interrupted in any way, the same command goes on where it was; nothing that was trained is trained again.
Settings of the service that it starts come from the environment (RDW_WORKERS, RDW_THREADS, ...).
"""


def add_command(commands: Any) -> argparse.ArgumentParser:
    """Add `reproduce` to the subparsers; the parser, whose `run` default takes the parsed arguments."""
    usual = Sizes()
    parser = commands.add_parser(
        "reproduce",
        help="run the paper's steps on a data set and write a report",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--dataset", required=True, help="typefaces, fashion-mnist, digits, or one registered at --url")
    parser.add_argument("--out", required=True, type=Path, help="folder for report, figures, data and what is resumed")
    parser.add_argument(
        "--minutes", type=_positive, help="bound of the working time of all runs together: sizes shrink to fit it"
    )
    parser.add_argument(
        "--networks", type=_count, default=usual.networks, help="random networks over the range (%(default)s)"
    )
    parser.add_argument(
        "--at-one-budget", type=_count, default=usual.at_one_budget, help="random networks there (%(default)s)"
    )
    parser.add_argument(
        "--compound", type=int, default=usual.compound, help="compound-shrunk networks over the range (%(default)s)"
    )
    parser.add_argument("--seeds", type=_count, default=usual.seeds, help="of each network of the family (%(default)s)")
    parser.add_argument("--architecture", help="a baseline's name, or a .json file with one; else a small MBConv")
    parser.add_argument("--recipe", help="a preset's name, or a .json file with a recipe; else 6 short epochs")
    parser.add_argument(
        "--url", help="a service that runs already (its key: RDW_API_KEY); else one is started with its data in --out"
    )
    parser.set_defaults(run=_run)
    return parser


def _run(arguments: argparse.Namespace) -> int:
    from app.reproduce.run import run  # it draws: the other commands need not wait for what that takes to import

    return run(arguments)


def _positive(text: str) -> float:
    value = float(text)
    if value <= 0:
        raise argparse.ArgumentTypeError("more than 0, please")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("1 or more, please")
    return value
