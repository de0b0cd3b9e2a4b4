"""`rdw train`: scale to a budget and train, or train the network that is given."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from app.cli import asking
from app.cli.cost import add_multipliers, multipliers_of
from app.cli.offering import DATASETS, RECIPES, offer
from app.cli.output import document, note
from app.cli.scale import RULES, add_options, add_target, options_of
from app.cli.units import duration, json_file, name_or_file
from app.cli.watching import show, watch

if TYPE_CHECKING:
    from rdw_client import Client, Estimate


def add_command(commands: Any) -> None:
    parser = asking.add(commands, "train", _train, "train the network for a budget, or one that is given")
    network = parser.add_mutually_exclusive_group(required=True)
    network.add_argument("architecture", nargs="?", type=name_or_file, help="a baseline, or a .json file with one")
    network.add_argument(
        "--config", type=json_file, metavar="FILE", help="a network, as `rdw scale --config` writes it"
    )
    add_target(parser, required=False)
    add_multipliers(parser)
    add_data(parser)
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of its weights and batches (default: 0)")
    parser.add_argument("--study", metavar="ID", help="count it as this study's")
    parser.add_argument("--priority", type=int, default=0, metavar="N", help="-10 to 10; higher goes first")
    parser.add_argument("--rule", choices=RULES, help="with --flops or --ratio (default: tiny_formula)")
    add_options(parser)
    parser.add_argument("--watch", action="store_true", help="follow it to its end; Ctrl-C stops watching only")
    parser.add_argument("--dry-run", action="store_true", help="check, and say what it would take; nothing starts")


def add_data(parser: argparse.ArgumentParser) -> None:
    offer(parser.add_argument("--dataset", required=True, metavar="NAME", help="see `rdw datasets list`"), DATASETS)
    text = f"a preset ({', '.join(RECIPES)}) or a .json file"
    offer(parser.add_argument("--recipe", type=name_or_file, metavar="NAME|FILE", help=text), RECIPES)


def _train(rdw: Client, arguments: argparse.Namespace) -> int:
    a = arguments
    if a.flops is None and a.ratio is None:
        return _as_given(rdw, a)
    if a.config is not None or multipliers_of(a):
        raise ValueError("--flops and --ratio ask for a network; --config and --r, --d, --w give one: not both")
    wanted = {
        "dataset": a.dataset,
        "recipe": a.recipe,
        "seed": a.seed,
        "study": a.study,
        "priority": a.priority,
        "validate_only": a.dry_run,
    }
    training = {name: value for name, value in wanted.items() if value is not None}
    found = rdw.scale(a.architecture, flops=a.flops, ratio=a.ratio, rule=a.rule, train=training, **options_of(a))
    if found.estimate is not None:
        document(found.raw) if a.json else _show_estimate(found.estimate)
        return 0
    assert found.trial is not None
    if a.watch:
        return watch(rdw, found.trial, as_json=a.json)
    if a.json:
        document(found.raw)
        return 0
    return _started(rdw, found.trial.id, as_json=False)


def _as_given(rdw: Client, a: argparse.Namespace) -> int:
    network = {"multipliers": multipliers_of(a), "config": a.config, "dataset": a.dataset}
    training = {"recipe": a.recipe, "seed": a.seed}
    if a.dry_run:
        estimate = rdw.estimate(a.architecture, **network, **training)
        document({"estimate": estimate.raw}) if a.json else _show_estimate(estimate)
        return 0
    trial = rdw.train(a.architecture, **network, **training, study=a.study, priority=a.priority)
    return watch(rdw, trial, as_json=a.json) if a.watch else _started(rdw, trial.id, as_json=a.json)


def _started(rdw: Client, trial: str, *, as_json: bool) -> int:
    current = rdw.trial(trial)
    if as_json:
        document(current.raw)
        return 0
    show(current)
    if not current.ended:
        note(f"Watch: rdw trials watch {trial}")
    return 0


def _show_estimate(estimate: Estimate) -> None:
    print(f"about {duration(estimate.seconds)} of one worker ({duration(estimate.low)} to {duration(estimate.high)})")
    if not estimate.trainings:
        note("A guess: no training has finished here yet.")
