"""One run of the command: a service to talk to, the steps, and the files that are left."""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from app import report
from app.report.results import Results
from app.reproduce.client import Client, Refused, Unreachable
from app.reproduce.gather import gather
from app.reproduce.plan import Sizes
from app.reproduce.progress import Progress
from app.reproduce.service import own_service, wait_until_ready
from app.reproduce.state import State, load
from app.reproduce.steps import CannotRun, Run, read_architecture, read_recipe


def run(arguments: argparse.Namespace) -> int:
    """Go on with what is in the folder, or begin; the exit code."""
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line a request would bury the progress
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    progress = Progress()
    try:
        state = _state(arguments)
        with _client(arguments) as client:
            wait_until_ready(client)
            return _reproduce(arguments, state, client, progress)
    except KeyboardInterrupt:
        progress.say("Interrupted. What was trained is kept: the same command goes on from here.")
        return 130
    except (CannotRun, Refused, Unreachable) as why:
        progress.say(str(why))
        return 1


def _state(arguments: argparse.Namespace) -> State:
    """What an earlier run left, or a new one's. Raises: CannotRun where the folder has another reproduction."""
    choices = {
        "dataset": arguments.dataset,
        "architecture": read_architecture(arguments.architecture),
        "recipe": read_recipe(arguments.recipe),
        "url": arguments.url,
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    state = load(arguments.out) or State(choices)
    for name, value in choices.items():
        if state.choices[name] != value:
            raise CannotRun(f"{arguments.out} has a reproduction with another {name}: take another folder.")
    return state


@contextmanager
def _client(arguments: argparse.Namespace) -> Iterator[Client]:
    if arguments.url:
        client = Client(arguments.url, os.environ.get("RDW_API_KEY"))
        try:
            yield client
        finally:
            client.close()
        return
    with own_service(arguments.out.resolve()) as url:
        client = Client(url)
        try:
            yield client
        finally:
            client.close()


def _reproduce(arguments: argparse.Namespace, state: State, client: Client, progress: Progress) -> int:
    wanted = Sizes(arguments.at_one_budget, arguments.networks, arguments.compound, arguments.seeds)
    steps = Run(client, state, arguments.out, wanted, arguments.minutes, progress)
    try:
        steps.go()
    finally:
        steps.note_time()
    progress.show("writing the report")
    results = gather(client, state, steps.missing, arguments.minutes)
    for path in write_files(results, arguments.out):
        progress.say(str(path))
    for sentence in results.missing:
        progress.say(f"missing: {sentence}")
    return 0


def write_files(results: Results, folder: Path) -> list[Path]:
    """The report, the values that it was written from, and each figure as SVG, PNG and CSV; where they lie."""
    figures = folder / "figures"
    figures.mkdir(parents=True, exist_ok=True)
    for name, drawing in report.drawings(results).items():
        for format in ("svg", "png", "csv"):
            (figures / f"{name}.{format}").write_bytes(drawing.render(format))
    values, page = folder / "results.json", folder / "report.html"
    values.write_text(json.dumps(asdict(results), indent=1))
    page.write_text(report.write(results), encoding="utf-8")
    return [page.resolve(), values.resolve(), figures.resolve()]
