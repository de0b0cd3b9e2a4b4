"""`rdw predictor`: the versions of r(c) and d(c), and which one is in use."""

from __future__ import annotations

import argparse
from itertools import islice
from typing import TYPE_CHECKING, Any

from app.cli import asking, ids
from app.cli.output import document, facts, note, table
from app.cli.units import number, percent, some

if TYPE_CHECKING:
    from rdw_client import Client, Predictor


def add_command(commands: Any) -> None:
    text = "predictors: versions, curves, which one is in use"
    within = asking.group(commands, "predictor", text)
    listing = asking.add(within, "list", _list, "every version, newest first")
    listing.add_argument("--architecture", help="of this baseline alone")
    listing.add_argument("--limit", type=some, default=50, metavar="N", help="at most so many (default: %(default)s)")
    ids.argument(asking.add(within, "show", _show, "a version and how well it fits"), "predictor")
    curve = asking.add(within, "curve", _curve, "r(c) and d(c) with their uncertainty")
    ids.argument(curve, "predictor")
    curve.add_argument("--least", type=number, metavar="C", help="from this ratio (default: the least it knows)")
    curve.add_argument("--most", type=number, metavar="C", help="to this ratio (default: the most it knows)")
    curve.add_argument("--steps", type=int, default=12, metavar="N", help="so many points (default: %(default)s)")
    activate = asking.add(within, "activate", _activate, "use this version from now on; also the way back")
    ids.argument(activate, "predictor")


def _list(rdw: Client, arguments: argparse.Namespace) -> int:
    a = arguments
    found = list(islice(rdw.predictors(architecture=a.architecture), a.limit))
    if a.json:
        document([one.raw for one in found])
        return 0
    table(
        ("predictor", "baseline", "data", "version", "networks", "in use"),
        (
            (p.id, p.architecture, p.dataset, str(p.version), str(p.observations), "yes" if p.active else "")
            for p in found
        ),
        give=("baseline", "data"),
    )
    return 0


def _show(rdw: Client, arguments: argparse.Namespace) -> int:
    return _said(rdw.predictor(arguments.predictor), arguments)


def _activate(rdw: Client, arguments: argparse.Namespace) -> int:
    """What we saw is what we activate: where another has changed it meanwhile, it is said."""
    seen = rdw.predictor(arguments.predictor)
    return _said(rdw.activate(seen, if_match=seen.etag), arguments)


def _curve(rdw: Client, arguments: argparse.Namespace) -> int:
    a = arguments
    curve = rdw.curve(a.predictor, least=a.least, most=a.most, steps=a.steps)
    if a.json:
        document(curve.raw)
        return 0
    table(
        ("c", "r", "±", "d", "±", "accuracy"),
        (
            (f"{p.c:.3f}", f"{p.r:.3f}", f"{p.r_sd:.3f}", f"{p.d:.3f}", f"{p.d_sd:.3f}", percent(p.accuracy))
            for p in curve.items
        ),
    )
    note(f"Known from {curve.least:.3f} to {curve.most:.3f}; beyond it is a guess.")
    return 0


def _said(predictor: Predictor, arguments: argparse.Namespace) -> int:
    if arguments.json:
        document(predictor.raw)
        return 0
    facts(
        [
            ("predictor", predictor.id),
            ("baseline", f"{predictor.architecture} on {predictor.dataset}"),
            ("version", predictor.version),
            ("in use", "yes" if predictor.active else "no"),
            ("networks", predictor.observations),
            ("from", predictor.provenance),
        ]
    )
    return 0
