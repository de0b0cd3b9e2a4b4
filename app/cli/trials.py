"""`rdw trials`: what was trained, is, and waits."""

from __future__ import annotations

import argparse
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.cli import asking, ids
from app.cli.offering import offer
from app.cli.output import document, note, table
from app.cli.units import percent, short, some
from app.cli.watching import share, show, watch

if TYPE_CHECKING:
    from rdw_client import Client, Trial

STATES = ("queued", "running", "completed", "failed", "cancelled")
FILES = ("weights.safetensors", "model.onnx", "log.csv")


def add_command(commands: Any) -> None:
    text = "list, read, stop and fetch trainings"
    within = asking.group(commands, "trials", text)
    listing = asking.add(within, "list", _list, "the trainings, newest first")
    listing.add_argument("--state", choices=STATES, help="in this state alone")
    listing.add_argument("--study", metavar="ID", help="this study's alone")
    listing.add_argument("--architecture", help="of this baseline alone")
    listing.add_argument("--limit", type=some, default=50, metavar="N", help="at most so many (default: %(default)s)")
    for name, run, said in (
        ("show", _show, "a training and its result"),
        ("cancel", _cancel, "stop a training; its checkpoint stays"),
        ("retry", _retry, "a failed or cancelled training waits again"),
        ("watch", _watch, "follow a training to its end; Ctrl-C stops watching only"),
    ):
        ids.argument(asking.add(within, name, run, said), "trial")
    download = asking.add(within, "download", _download, "fetch what a training left")
    ids.argument(download, "trial")
    file = download.add_argument("file", nargs="*", metavar="file", help=f"{', '.join(FILES)} (default: all)")
    offer(file, FILES)
    download.add_argument("--to", type=Path, default=Path(), help="a folder (default: this one)")


def _list(rdw: Client, arguments: argparse.Namespace) -> int:
    a = arguments
    found = list(islice(rdw.trials(state=a.state, study=a.study, architecture=a.architecture), a.limit))
    if a.json:
        document([one.raw for one in found])
        return 0
    table(
        ("trial", "state", "network", "flops", "data", "seed", "accuracy"),
        (
            (
                ids.brief(one.id),
                _state(one),
                one.architecture,
                short(one.flops),
                one.dataset,
                str(one.seed),
                percent(one.accuracy),
            )
            for one in found
        ),
        give=("network", "data"),
    )
    return 0


def _state(trial: Trial) -> str:
    """running 50%."""
    done = share(trial.progress) if trial.state == "running" else None
    return trial.state if done is None else f"{trial.state} {done:.0%}"


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
