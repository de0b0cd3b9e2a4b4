"""One run of the command: a service, the steps, and the files that it writes."""

from __future__ import annotations

import json
import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from app import report
from app.report.results import Results
from app.reproduce.collect import collect_results
from app.reproduce.design import EXPERIMENT_RECIPE, RECIPE
from app.reproduce.experiment import Design, Experiment, InvalidDesign
from app.reproduce.experiment_report import write_report
from app.reproduce.local_service import ServiceNotReady, run_service, wait_until_ready
from app.reproduce.options import ExperimentOptions, Options
from app.reproduce.prepare import CannotRun
from app.reproduce.progress import ProgressLine
from app.reproduce.records import InvalidRecords, read_records
from app.reproduce.state import RunState, load_state
from app.reproduce.steps import Reproduction
from rdw_client import Client, RdwError

_MAX_RETRIES, _MAX_RETRY_SECONDS = 100, 60.0  # the service may restart while hours of trainings run


def run(options: Options) -> int:
    """Start a reproduction, or resume the one in the folder; return the exit code."""

    def work(progress: ProgressLine) -> None:
        state = _load_or_create_state(options)
        with _connect(options.url, options.out) as client:
            _reproduce(options, state, client, progress)

    return _run(work)


def run_experiment(options: ExperimentOptions) -> int:
    """Run the experiment on each data set with each recipe, or resume it; return the exit code."""

    def work(progress: ProgressLine) -> None:
        designs = [
            create_design(options, dataset, _name_or_file(recipe) or EXPERIMENT_RECIPE)
            for dataset in options.datasets
            for recipe in options.recipes or (None,)
        ]
        with _connect(options.url, options.out) as client:
            for design in designs:
                experiment = Experiment(client, design, options.records, progress)
                experiment.run()
                if experiment.path is not None:
                    for path in write_report(
                        read_records([experiment.path]), options.out / experiment.path.stem, experiment.missing
                    ):
                        progress.print(str(path))
                for sentence in experiment.missing:
                    progress.print(f"missing: {sentence}")

    return _run(work)


def create_design(options: ExperimentOptions, dataset: str, recipe: Any) -> Design:
    """Create the design of the experiment on a data set with a recipe.

    Raises: InvalidDesign; CannotRun if the baseline's file cannot be read.
    """
    design = Design(
        dataset,
        recipe,
        _name_or_file(options.architecture),
        studies=options.studies,
        networks=options.networks,
        seeds=options.seeds,
        from_studies=options.from_studies,
    )
    return replace(design, budgets=options.budgets or design.budgets, rules=options.rules or design.rules)


def _run(work: Callable[[ProgressLine], None]) -> int:
    """Do the work; report an interruption or a known error in a sentence; return the exit code."""
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs each request, which would hide the progress
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    progress = ProgressLine()
    try:
        work(progress)
        return 0
    except KeyboardInterrupt:
        progress.print("Interrupted. Finished trainings are kept: the same command resumes from here.")
        return 130
    except (CannotRun, InvalidDesign, InvalidRecords, ServiceNotReady, RdwError) as error:
        progress.print(str(error))
        return 1


def _load_or_create_state(options: Options) -> RunState:
    """Load the state of an earlier run, or create one.

    Raises: CannotRun if the folder contains another reproduction.
    """
    choices = {
        "dataset": options.dataset,
        "architecture": _name_or_file(options.architecture),
        "recipe": _name_or_file(options.recipe) or RECIPE,
        "url": options.url,
    }
    options.out.mkdir(parents=True, exist_ok=True)
    state = load_state(options.out) or RunState(choices)
    for name, value in choices.items():
        if state.choices[name] != value:
            raise CannotRun(f"{options.out} contains a reproduction with another {name}. Choose another folder.")
    return state


def _name_or_file(value: str | None) -> Any:
    """Return the content of a .json file, or the name itself.

    Raises: CannotRun.
    """
    if value is None or not value.endswith(".json"):
        return value
    try:
        return json.loads(Path(value).read_text())
    except (OSError, ValueError) as error:
        raise CannotRun(f"{value} cannot be read: {error}") from error


@contextmanager
def _connect(url: str | None, out: Path) -> Iterator[Client]:
    """Connect to the service at the URL, or to one that is started with its data in the folder."""
    with (
        _service_url(url, out) as address,
        Client(address, retries=_MAX_RETRIES, patience=_MAX_RETRY_SECONDS) as client,
    ):
        yield client


@contextmanager
def _service_url(url: str | None, out: Path) -> Iterator[str]:
    if url:
        wait_until_ready(url)
        yield url
    else:
        out.mkdir(parents=True, exist_ok=True)
        with run_service(out / "data") as service:
            yield service.url


def _reproduce(options: Options, state: RunState, client: Client, progress: ProgressLine) -> None:
    reproduction = Reproduction(client, state, options.out, options.sizes, options.minutes, progress)
    reproduction.run()
    progress.update("writing the report")
    results = collect_results(client, state, reproduction.missing, options.minutes)
    for path in write_files(results, options.out):
        progress.print(str(path))
    for sentence in results.missing:
        progress.print(f"missing: {sentence}")


def write_files(results: Results, folder: Path) -> list[Path]:
    """Write the report, its values, and each figure as SVG, PNG and CSV; return their paths."""
    figures = folder / "figures"
    figures.mkdir(parents=True, exist_ok=True)
    drawings = report.draw_figures(results)
    for name, drawing in drawings.items():
        for format in ("svg", "png", "csv"):
            (figures / f"{name}.{format}").write_bytes(drawing.render(format))
    values, page = folder / "results.json", folder / "report.html"
    values.write_text(json.dumps(asdict(results), indent=1))
    page.write_text(report.render_html(results, drawings), encoding="utf-8")
    return [page.resolve(), values.resolve(), figures.resolve()]
