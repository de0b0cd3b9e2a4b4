"""`rdw workers`: who trains, and how long the line is."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from app.cli import asking, ids
from app.cli.output import document, note, table
from app.cli.units import duration

if TYPE_CHECKING:
    from rdw_client import Client


def add_command(commands: Any) -> None:
    asking.add(commands, "workers", _workers, "who trains")
    asking.add(commands, "queue", _queue, "how many trials wait, and for how long")


def _workers(rdw: Client, arguments: argparse.Namespace) -> int:
    known = rdw.workers()
    if arguments.json:
        document([one.raw for one in known])
        return 0
    table(
        ("name", "device", "threads", "", "trains"),
        ((w.name, w.device, str(w.threads), "alive" if w.alive else "silent", ids.brief(w.trial)) for w in known),
    )
    if not any(worker.alive for worker in known):
        note("Nobody trains: start workers with `rdw serve` or `rdw worker`.")
    return 0


def _queue(rdw: Client, arguments: argparse.Namespace) -> int:
    queue = rdw.queue()
    if arguments.json:
        document(queue.raw)
        return 0
    table(
        ("queued", "paused", "running", "workers", "wait"),
        [
            (
                str(queue.queued),
                str(queue.paused),
                str(queue.running),
                str(queue.workers),
                duration(queue.wait.seconds if queue.wait else None),
            )
        ],
    )
    return 0
