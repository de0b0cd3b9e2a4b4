"""`rdw workers` and `rdw queue`: who trains, and how many trials wait."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from app.cli.ids import abbreviate
from app.cli.output import note, print_table
from app.cli.service_command import service_command
from app.cli.units import format_duration

if TYPE_CHECKING:
    from rdw_client import Client, Queue, Worker

app = typer.Typer()


def _print_workers(workers: "Sequence[Worker]") -> None:
    print_table(
        ("name", "device", "threads", "", "trial"),
        (
            (w.name, w.device, str(w.threads), "alive" if w.alive else "silent", abbreviate(w.trial) or "-")
            for w in workers
        ),
    )
    if not any(worker.alive for worker in workers):
        note("No worker is alive: start one with `rdw serve` or `rdw worker`.")


@app.command("workers")
@service_command(_print_workers)
def workers(rdw: "Client") -> "Sequence[Worker]":
    """List the workers and what they train."""
    return rdw.workers()


def _print_queue(queue: "Queue") -> None:
    wait = format_duration(queue.wait.seconds if queue.wait else None)
    counts = (queue.queued, queue.paused, queue.running, queue.workers)
    print_table(("queued", "paused", "running", "workers", "wait"), [(*map(str, counts), wait)])


@app.command("queue")
@service_command(_print_queue)
def queue(rdw: "Client") -> "Queue":
    """Show how many trials wait, and for how long a new one would."""
    return rdw.queue()
