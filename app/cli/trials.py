"""`rdw trials`: what was trained, is, and waits."""

from __future__ import annotations

import argparse
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.cli import asking
from app.cli.output import document, note, table
from app.cli.units import percent, short
from app.cli.watching import progress, show, watch

if TYPE_CHECKING:
    from rdw_client import Client, Trial

FILES = ("weights.safetensors", "model.onnx", "log.csv")


def add_command(commands: Any) -> None:
    text = "list, read, stop and fetch trainings"
    group = commands.add_parser("trials", help=text, description=text.capitalize() + ".")
    within = group.add_subparsers(required=True, metavar="command")
    listing = asking.add(within, "list", _list, "the trainings, newest first")
    listing.add_argument("--state", choices=("queued", "running", "completed", "failed", "cancelled"))
    listing.add_argument("--study", metavar="ID", help="this study's alone")
    listing.add_argument("--architecture", help="of this baseline alone")
    listing.add_argument("--limit", type=int, default=50, help="(default: %(default)s)")
    for name, run, said in (
        ("show", _show, "a training and its result"),
        ("cancel", _cancel, "stop a training; its checkpoint stays"),
        ("retry", _retry, "a failed or cancelled training waits again"),
        ("watch", _watch, "follow a training to its end; Ctrl-C stops watching only"),
    ):
        asking.add(within, name, run, said).add_argument("trial")
    download = asking.add(within, "download", _download, "fetch what a training left")
    download.add_argument("trial")
    download.add_argument("file", nargs="*", metavar="file", help=f"{', '.join(FILES)} (default: all)")
    download.add_argument("--to", type=Path, default=Path(), help="a folder (default: this one)")


def _list(rdw: Client, arguments: argparse.Namespace) -> int:
    a = arguments
    found = list(islice(rdw.trials(state=a.state, study=a.study, architecture=a.architecture), a.limit))
    if a.json:
        document([one.raw for one in found])
        return 0
    table(
        ("trial", "state", "network", "flops", "data", "seed", "accuracy", ""),
        (
            (
                one.id,
                one.state,
                one.architecture,
                short(one.flops),
                one.dataset,
                str(one.seed),
                percent(one.accuracy),
                progress(one.progress) if one.state == "running" else "",
            )
            for one in found
        ),
    )
    return 0


def _show(rdw: Client, arguments: argparse.Namespace) -> int:
    return _said(rdw.trial(arguments.trial), arguments)


def _cancel(rdw: Client, arguments: argparse.Namespace) -> int:
    return _said(rdw.cancel_trial(arguments.trial), arguments)


def _retry(rdw: Client, arguments: argparse.Namespace) -> int:
    return _said(rdw.retry_trial(arguments.trial), arguments)


def _watch(rdw: Client, arguments: argparse.Namespace) -> int:
    return watch(rdw, rdw.trial(arguments.trial), as_json=arguments.json)


def _download(rdw: Client, arguments: argparse.Namespace) -> int:
    a = arguments
    a.to.mkdir(parents=True, exist_ok=True)
    fetched = [str(rdw.download(a.trial, file, a.to / file)) for file in a.file or FILES]
    if a.json:
        document(fetched)
        return 0
    for path in fetched:
        note(path)
    return 0


def _said(trial: Trial, arguments: argparse.Namespace) -> int:
    document(trial.raw) if arguments.json else show(trial)
    return 0
