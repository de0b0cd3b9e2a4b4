"""The whole cycle over HTTP: scale, run a study, refit, train on demand, refit again.

The program starts a service of its own at RDW_PORT, uses it like any client, and stops it at the end.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from rdw_client import Client, Event, RdwError, Recommendation, Trial
from rdw_client.states import TrialState

console = Console()

# The paper's table: ratio of the published FLOPs to EfficientNet-B0's 387M, r, d, w, MFLOPs, ImageNet top-1.
PUBLISHED = {
    "TinyNet-A": (0.873, 0.86, 1.2, 1.0, 339, 76.8),
    "TinyNet-B": (0.520, 0.84, 1.1, 0.75, 202, 75.0),
    "TinyNet-C": (0.258, 0.825, 0.85, 0.54, 100, 71.2),
    "TinyNet-D": (0.134, 0.68, 0.695, 0.54, 52, 67.0),
    "TinyNet-E": (0.063, 0.475, 0.60, 0.51, 24, 59.9),
}

# The baseline of the study: a small MBConv network for small grey images.
BASELINE = {
    "name": "small",
    "baseline": {
        "family": "efficientnet",
        "resolution": 28,
        "in_chans": 1,
        "num_classes": 10,
        "stem": {"channels": 16},
        "stages": [
            {"block": "ds", "repeats": 1, "channels": 16, "kernel": 3},
            {"block": "ir", "repeats": 2, "channels": 24, "kernel": 3, "stride": 2, "expansion": 4, "se_ratio": 0.25},
            {"block": "ir", "repeats": 2, "channels": 40, "kernel": 5, "stride": 2, "expansion": 4, "se_ratio": 0.25},
            {"block": "ir", "repeats": 2, "channels": 64, "kernel": 3, "expansion": 4, "se_ratio": 0.25},
        ],
        "head": {"channels": 256},
        "activation": "relu",
    },
    "rules": {"divisor": 4},
}
SPACE = {"r": [0.5, 1.15], "d": [0.5, 1.5], "w": [0.3, 1.6], "ratio": [0.15, 0.9]}
FIGURES = (
    "accuracy-against-multipliers",
    "accuracy-against-flops",
    "accuracy-against-latency",
    "multipliers-against-flops",
    "predictor-curve",
    "predicted-against-measured",
)


def main() -> int:
    arguments = _parse_arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    dataset = fetch()
    recipe = RECIPES[dataset]
    base = f"http://127.0.0.1:{arguments.port}"
    try:
        with service(arguments.port), Client(base, patience=120, retries=500) as rdw:
            scale_b0(rdw)
            study = run_study(rdw, dataset, recipe)
            report_study(rdw, study)
            train_on_demand(rdw, study, dataset, recipe)
            folder = save_figures(rdw, study)
            console.rule("[bold]Results")
            console.print(f"Figures: {folder}")
            console.print(
                f"While the service runs (make serve): playground {base}/docs, study {base}/v1/studies/{study}"
            )
    except KeyboardInterrupt:
        console.print("\nInterrupted; completed trainings are kept, and the next run continues from them.")
        return 130
    except (DemoFailed, RdwError) as failure:
        console.print(f"[red]{failure}")
        return 1
    return 0


RECIPES: dict[str, dict[str, Any]] = {
    "fashion-mnist": {"epochs": 4, "batch_size": 64, "lr": 0.004, "shift": 0.08, "train_images": 7_000},
    "digits": {"epochs": 20, "batch_size": 32, "lr": 0.004, "shift": 0.1},
}


class DemoFailed(Exception):
    """The demo cannot continue; the message says why."""


def fetch() -> str:
    """Get Fashion-MNIST, or the digits as a substitute; print the reason and return the name of the data set."""
    fetched = subprocess.run(
        [sys.executable, "-m", "worker.data.fetch", "fashion-mnist"], stdout=subprocess.PIPE, text=True, check=True
    )
    *messages, name = fetched.stdout.strip().splitlines()
    console.print("\n".join(messages))
    return name


@contextmanager
def service(port: int) -> Iterator[None]:
    """Run the service in its own process session, and stop it at the end in any case."""
    log_file = data_dir() / "demo-service.log"
    log_file.parent.mkdir(parents=True, exist_ok=True)
    with log_file.open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "serve"],
            env={**os.environ, "RDW_PORT": str(port)},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            time.sleep(0.5)
            if process.poll() is not None:
                raise DemoFailed(f"The service did not start:\n{log_file.read_text()}")
            console.print(f"The service runs on port {port}; its log is {log_file}")
            yield
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


def scale_b0(rdw: Client) -> None:
    console.rule("[bold]1. Scale EfficientNet-B0 to 200M FLOPs (multiply-adds)")
    found = rdw.scale("efficientnet_b0", flops=200_000_000)
    m, accuracy = found.multipliers, found.predicted_accuracy
    assert accuracy is not None
    _, r, d, w, flops, top1 = PUBLISHED["TinyNet-B"]
    widths = "equal from {:.3f} to {:.3f}".format(*m.w_interval) if m.w_interval else "one width per stage"
    table = plain_table("", "rdw", "TinyNet-B, published")
    table.add_row("resolution r", f"{m.r:.3f} ± {m.r_sd:.3f}", f"{r}")
    table.add_row("depth d", f"{m.d:.3f} ± {m.d_sd:.3f}", f"{d}")
    table.add_row("width w", f"{m.w:.3f} ({widths})", f"{w}")
    table.add_row("input px", f"{found.config['resolution']}", f"{int(224 * r)}")
    table.add_row("FLOPs", f"{found.cost.flops / 1e6:.1f}M ({found.budget_error:+.2%} of 200M)", f"{flops}M")
    table.add_row("parameters", f"{found.cost.params / 1e6:.2f}M", "3.73M")
    table.add_row("ImageNet top-1", f"{accuracy.mean:.1%} ± {accuracy.sd:.1%}, predicted", f"{top1}%")
    console.print(table)
    print_warnings(found)

    console.print("\nThe whole TinyNet family from its five ratios only, beside the [dim]published[/dim] values:")
    family = rdw.family("efficientnet_b0", ratios=[row[0] for row in PUBLISHED.values()]).items
    table = plain_table("TinyNet", "r", "d", "w", "px", "MFLOPs", "top-1")
    for (name, (_, r, d, w, flops, top1)), item in zip(PUBLISHED.items(), family, strict=True):
        m, accuracy = item.multipliers, item.predicted_accuracy
        table.add_row(
            name.removeprefix("TinyNet-"),
            beside(f"{m.r:.3f}", r),
            beside(f"{m.d:.3f}", d),
            beside(f"{m.w:.3f}", w),
            beside(item.config["resolution"], int(224 * r)),
            beside(f"{item.cost.flops / 1e6:.1f}", flops),
            beside(f"{accuracy.mean:.1%}" if accuracy else "", f"{top1}%"),
        )
    console.print(table)


def run_study(rdw: Client, dataset: str, recipe: dict[str, Any]) -> str:
    console.rule(f"[bold]2. A study: 12 random (r, d, w) around a small baseline, trained on {dataset}")
    rdw.register_architecture(BASELINE)
    study = rdw.create_study(f"demo on {dataset}", "small", dataset, recipe=recipe, space=SPACE, trials=12)
    rdw.start_study(study)
    watch(rdw, study.id)
    return study.id


def watch(rdw: Client, study: str) -> None:
    """Show a progress bar for each trial until all have ended."""
    with bars() as progress:
        tasks: dict[str, TaskID] = {}
        trials = list(rdw.trials(study=study))
        completed = sum(trial.state == TrialState.COMPLETED for trial in trials)
        if completed:
            console.print(f"{completed} of {len(trials)} networks were trained before: their results are reused")
        while True:
            trials = list(rdw.trials(study=study))
            for trial in sorted(trials, key=lambda trial: trial.flops):
                show(progress, tasks, trial)
            if all(trial.ended for trial in trials):
                break
            time.sleep(0.5)
    failed = [trial for trial in trials if trial.state != TrialState.COMPLETED]
    if failed:
        raise DemoFailed(f"{len(failed)} trials did not complete: {failed[0].error}")


def bars() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, TextColumn("{task.fields[note]}"), console=console)


def show(progress: Progress, tasks: dict[str, TaskID], trial: Trial) -> None:
    m, trained, result = trial.multipliers or {}, trial.progress or {}, trial.result
    epochs = trained.get("epochs", 1)
    if trial.id not in tasks:
        name = f"r {m['r']:.2f}  d {m['d']:.2f}  w {m['w']:.2f}  {trial.flops / 1e6:5.2f}M"
        tasks[trial.id] = progress.add_task(name, total=epochs, note="", start=False)
    task, note = tasks[trial.id], trial.state
    if trial.state != TrialState.QUEUED:
        progress.start_task(task)
    if trial.is_running and trained.get("validation_accuracy") is not None:
        note = f"{trained['validation_accuracy']:.1%}"
    if result is not None:
        note = f"[green]{result['accuracy']:.1%}[/green] in {result['seconds']:.0f} s"
        progress.stop_task(task)
    progress.update(task, total=epochs, completed=trained.get("epoch", 0), note=note)


def report_study(rdw: Client, study: str) -> None:
    console.print("\nThe front selected by NSGA-III:")
    table = plain_table("r", "d", "w", "FLOPs", "accuracy")
    for o in rdw.front(study).items:
        table.add_row(f"{o.r:.3f}", f"{o.d:.3f}", f"{o.w:.3f}", f"{o.flops / 1e6:.2f}M", f"{o.accuracy:.1%}")
    console.print(table)
    correlations = rdw.correlations(study)
    console.print("Correlation with FLOPs on the front:")
    table = plain_table("", "Pearson", "Spearman")
    for name, c in (("r", correlations.r), ("d", correlations.d), ("w", correlations.w)):
        table.add_row(name, *("not defined" if value is None else f"{value:+.2f}" for value in (c.pearson, c.spearman)))
    console.print(table)
    refit(rdw, study)


def refit(rdw: Client, study: str) -> None:
    """Fit a new predictor on the study's front; it answers requests with this study."""
    predictor = rdw.refit(study)
    quality = ", ".join(f"{name} {q['rmse']:.3f}" for name, q in predictor.quality.items())
    console.print(
        f"Predictor [bold]{predictor.id}[/bold] of the study: {predictor.observations} networks; "
        f"leave-one-out error: {quality}"
    )


def train_on_demand(rdw: Client, study: str, dataset: str, recipe: dict[str, Any]) -> None:
    console.rule("[bold]3. Scale with the new predictor, and train that network")
    train = {"dataset": dataset, "recipe": recipe, "study": study}
    found = rdw.scale("small", ratio=0.45, study=study, train=train)
    m, predicted = found.multipliers, found.predicted_accuracy
    assert found.trial is not None and found.predictor is not None and predicted is not None
    console.print(
        f"{found.predictor.id} recommends r {m.r:.3f}, d {m.d:.3f}, w {m.w:.3f}: {found.cost.flops / 1e6:.2f}M FLOPs "
        f"({found.budget_error:+.2%} of the target), {found.config['resolution']} px"
    )
    print_warnings(found)
    result = follow(rdw, found.trial, f"r {m.r:.2f}  d {m.d:.2f}  w {m.w:.2f}").result or {}
    error = (result["accuracy"] - predicted.mean) / predicted.sd if predicted.sd else float("nan")
    table = plain_table("accuracy predicted", "measured", "error", "on the test part")
    table.add_row(
        f"{predicted.mean:.1%} ± {predicted.sd:.1%}",
        f"{result['accuracy']:.1%}",
        f"{error:+.1f} sd",
        f"{result['test_accuracy']:.1%}",
    )
    console.print(table)
    refit(rdw, study)


def follow(rdw: Client, trial: Trial, name: str) -> Trial:
    """Show a trial's events until it has completed, and return it."""
    with bars() as progress:
        task = progress.add_task(name, total=1, note=TrialState.QUEUED)

        def update(event: Event) -> None:
            if event.kind == "state":
                progress.update(task, note=event.data["state"])
            elif event.data.get("validation_accuracy") is not None:
                note = f"{event.data['validation_accuracy']:.1%}"
                progress.update(task, total=event.data["epochs"], completed=event.data["epoch"], note=note)

        return rdw.wait(trial, update)


def save_figures(rdw: Client, study: str) -> Path:
    folder = data_dir() / "figures" / study
    folder.mkdir(parents=True, exist_ok=True)
    for name in FIGURES:
        for suffix in ("svg", "png"):
            (folder / f"{name}.{suffix}").write_bytes(rdw.figure(study, name, suffix))
    return folder


def data_dir() -> Path:
    return Path(os.environ.get("RDW_DATA_DIR", "var")).resolve()


def beside(value: object, published: object) -> str:
    short, published_short = (str(number).removeprefix("0") for number in (value, published))
    return f"{short} [dim]{published_short}[/dim]"


def plain_table(*columns: str) -> Table:
    return Table(*columns, box=SIMPLE_HEAD, pad_edge=False)


def print_warnings(found: Recommendation) -> None:
    for warning in found.warnings:
        console.print(f"[yellow]{warning.code}[/yellow]: {warning.detail}")


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=int(os.environ.get("RDW_PORT", "8000")))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
