"""The main job, end to end, over HTTP: scale, study, refit, train on demand, refit again.

Starts the embedded service, talks to it as any client would, and stops it at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

console = Console()

# The paper's table: ratio of the published flops to EfficientNet-B0's 387M, r, d, w, flops, ImageNet top-1.
PUBLISHED = {
    "TinyNet-A": (0.873, 0.86, 1.2, 1.0, 339, 76.8),
    "TinyNet-B": (0.520, 0.84, 1.1, 0.75, 202, 75.0),
    "TinyNet-C": (0.258, 0.825, 0.85, 0.54, 100, 71.2),
    "TinyNet-D": (0.134, 0.68, 0.695, 0.54, 52, 67.0),
    "TinyNet-E": (0.063, 0.475, 0.60, 0.51, 24, 59.9),
}

# A small MBConv network for small grey images: the baseline that the demo's study scales.
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
    arguments = _arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    dataset = fetch()
    recipe = RECIPES[dataset]
    base = f"http://127.0.0.1:{arguments.port}"
    try:
        with service(arguments.port), httpx.Client(base_url=base, timeout=30) as client:
            wait_until_ready(client)
            scale_b0(client)
            study = run_study(client, dataset, recipe)
            report_study(client, study)
            train_on_demand(client, study, dataset, recipe)
            folder = save_figures(client, study)
            console.rule("[bold]Where it lies")
            console.print(f"Figures: {folder}")
            console.print(
                f"While the service runs (make serve): playground {base}/docs, study {base}/v1/studies/{study}"
            )
    except KeyboardInterrupt:
        console.print("\nInterrupted; what was trained is kept, and the next run goes on from there.")
        return 130
    except DemoFailed as failure:
        console.print(f"[red]{failure}")
        return 1
    return 0


RECIPES: dict[str, dict[str, Any]] = {
    "fashion-mnist": {"epochs": 4, "batch_size": 64, "lr": 0.004, "shift": 0.08, "train_images": 7_000},
    "digits": {"epochs": 20, "batch_size": 32, "lr": 0.004, "shift": 0.1},
}


class DemoFailed(Exception):
    """The demo cannot go on; the message says why."""


def fetch() -> str:
    """Get Fashion-MNIST, or say why it is another set; the data set's name."""
    fetched = subprocess.run(
        [sys.executable, "-m", "worker.fetch", "fashion-mnist"], stdout=subprocess.PIPE, text=True, check=True
    )
    *why, name = fetched.stdout.strip().splitlines()
    console.print("\n".join(why))
    return name


@contextmanager
def service(port: int) -> Iterator[None]:
    """The embedded service, in a session of its own, stopped whatever happens."""
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
            console.print(f"The service runs on port {port}, its log is {log_file}")
            yield
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


def wait_until_ready(client: httpx.Client, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    with console.status("waiting for the service to be ready"):
        while time.monotonic() < deadline:
            try:
                if client.get("/readyz").status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.3)
    raise DemoFailed(f"The service was not ready within {seconds:.0f} s; its log says why.")


def scale_b0(client: httpx.Client) -> None:
    console.rule("[bold]1. Scale EfficientNet-B0 to 200M FLOPs (multiply-adds)")
    answer = post(client, "/v1/scale", {"architecture": "efficientnet_b0", "target": {"flops": 200_000_000}})
    m, accuracy = answer["multipliers"], answer["predicted_accuracy"]
    _, r, d, w, flops, top1 = PUBLISHED["TinyNet-B"]
    alike = "alike: {:.3f} to {:.3f}".format(*m["w_interval"]) if m["w_interval"] else "stages a step apart"
    table = plain_table("", "rdw", "TinyNet-B, published")
    table.add_row("resolution r", f"{m['r']:.3f} ± {m['r_sd']:.3f}", f"{r}")
    table.add_row("depth d", f"{m['d']:.3f} ± {m['d_sd']:.3f}", f"{d}")
    table.add_row("width w", f"{m['w']:.3f} ({alike})", f"{w}")
    table.add_row("input px", f"{answer['config']['resolution']}", f"{int(224 * r)}")
    table.add_row("FLOPs", f"{answer['cost']['flops'] / 1e6:.1f}M ({answer['budget_error']:+.2%} of 200M)", f"{flops}M")
    table.add_row("parameters", f"{answer['cost']['params'] / 1e6:.2f}M", "3.73M")
    table.add_row("ImageNet top-1", f"{accuracy['mean']:.1%} ± {accuracy['sd']:.1%}, predicted", f"{top1}%")
    console.print(table)
    print_warnings(answer)

    console.print("\nThe whole TinyNet family from its five ratios alone; [dim]published[/dim] beside it:")
    ratios = [{"ratio": row[0]} for row in PUBLISHED.values()]
    family = post(client, "/v1/scale/family", {"architecture": "efficientnet_b0", "targets": ratios})["items"]
    table = plain_table("TinyNet", "r", "d", "w", "px", "MFLOPs", "top-1")
    for (name, (_, r, d, w, flops, top1)), item in zip(PUBLISHED.items(), family, strict=True):
        m = item["multipliers"]
        table.add_row(
            name.removeprefix("TinyNet-"),
            beside(f"{m['r']:.3f}", r),
            beside(f"{m['d']:.3f}", d),
            beside(f"{m['w']:.3f}", w),
            beside(item["config"]["resolution"], int(224 * r)),
            beside(f"{item['cost']['flops'] / 1e6:.1f}", flops),
            beside(f"{item['predicted_accuracy']['mean']:.1%}", f"{top1}%"),
        )
    console.print(table)


def run_study(client: httpx.Client, dataset: str, recipe: dict[str, Any]) -> str:
    console.rule(f"[bold]2. A study: 12 random (r, d, w) around a small baseline, trained on {dataset}")
    post(client, "/v1/architectures", BASELINE)
    study = post(
        client,
        "/v1/studies",
        {
            "name": f"demo on {dataset}",
            "architecture": "small",
            "dataset": dataset,
            "recipe": recipe,
            "space": SPACE,
            "trials": 12,
        },
    )
    post(client, f"/v1/studies/{study['id']}/start")
    watch(client, study["id"])
    return study["id"]


def watch(client: httpx.Client, study: str) -> None:
    """A bar a trial, until the study has completed."""
    with bars() as progress:
        shown: dict[str, TaskID] = {}
        trials = get(client, "/v1/trials", study=study, limit=200)["items"]
        before = sum(trial["state"] == "completed" for trial in trials)
        if before:
            console.print(
                f"{before} of {len(trials)} networks were trained before: their results are taken as they are"
            )
        while True:
            trials = get(client, "/v1/trials", study=study, limit=200)["items"]
            for trial in sorted(trials, key=lambda t: t["flops"]):
                show(progress, shown, trial)
            if all(trial["state"] in ("completed", "failed", "cancelled") for trial in trials):
                break
            time.sleep(0.5)
    failed = [t for t in trials if t["state"] != "completed"]
    if failed:
        raise DemoFailed(f"{len(failed)} trials did not complete: {failed[0]['error']}")


def bars() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, TextColumn("{task.fields[note]}"), console=console)


def show(progress: Progress, shown: dict[str, TaskID], trial: dict[str, Any]) -> None:
    m, done = trial["multipliers"], trial["progress"] or {}
    epochs = done.get("epochs", 1)
    if trial["id"] not in shown:
        name = f"r {m['r']:.2f}  d {m['d']:.2f}  w {m['w']:.2f}  {trial['flops'] / 1e6:5.2f}M"
        shown[trial["id"]] = progress.add_task(name, total=epochs, note="", start=False)
    task = shown[trial["id"]]
    note = trial["state"]
    if trial["state"] != "queued":
        progress.start_task(task)
    if trial["state"] == "running" and done.get("validation_accuracy") is not None:
        note = f"{done['validation_accuracy']:.1%}"
    if trial["state"] == "completed":
        note = f"[green]{trial['result']['accuracy']:.1%}[/green] in {trial['result']['seconds']:.0f} s"
        progress.stop_task(task)
    progress.update(task, total=epochs, completed=done.get("epoch", 0), note=note)


def report_study(client: httpx.Client, study: str) -> None:
    front = get(client, f"/v1/studies/{study}/front")
    console.print("\nThe front that NSGA-III keeps:")
    table = plain_table("r", "d", "w", "FLOPs", "accuracy")
    for o in front["items"]:
        row = (f"{o['r']:.3f}", f"{o['d']:.3f}", f"{o['w']:.3f}", f"{o['flops'] / 1e6:.2f}M", f"{o['accuracy']:.1%}")
        table.add_row(*row)
    console.print(table)
    found = get(client, f"/v1/studies/{study}/correlations")
    console.print("Correlation with FLOPs on the front:")
    table = plain_table("", "Pearson", "Spearman")
    for name in "rdw":
        table.add_row(name, *(_number(found[name][kind]) for kind in ("pearson", "spearman")))
    console.print(table)
    refit(client, study)


def refit(client: httpx.Client, study: str) -> dict[str, Any]:
    """Refit the GPs on the study's front and use them from now on."""
    predictor = post(client, f"/v1/studies/{study}/predictors")
    post(client, f"/v1/predictors/{predictor['id']}/activate")
    quality = ", ".join(f"{name} {q['rmse']:.3f}" for name, q in predictor["quality"].items())
    console.print(
        f"Predictor [bold]{predictor['id']}[/bold] is in use: {predictor['observations']} networks; "
        f"leave-one-out error: {quality}"
    )
    return predictor


def train_on_demand(client: httpx.Client, study: str, dataset: str, recipe: dict[str, Any]) -> None:
    console.rule("[bold]3. Scale with the new predictor, and train that very network")
    request = {
        "architecture": "small",
        "target": {"ratio": 0.45},
        "train": {"dataset": dataset, "recipe": recipe, "study": study},
    }
    answer = post(client, "/v1/scale", request)
    m, trial, predicted = answer["multipliers"], answer["trial"], answer["predicted_accuracy"]
    console.print(
        f"{answer['predictor']['id']} says r {m['r']:.3f}, d {m['d']:.3f}, w {m['w']:.3f}: "
        f"{answer['cost']['flops'] / 1e6:.2f}M FLOPs ({answer['budget_error']:+.2%} of the target), "
        f"{answer['config']['resolution']} px"
    )
    print_warnings(answer)
    follow(client, trial["id"], m)
    result = get(client, f"/v1/trials/{trial['id']}")["result"]
    off = (result["accuracy"] - predicted["mean"]) / predicted["sd"] if predicted["sd"] else float("nan")
    table = plain_table("accuracy predicted", "measured", "off by", "on the test part")
    table.add_row(
        f"{predicted['mean']:.1%} ± {predicted['sd']:.1%}",
        f"{result['accuracy']:.1%}",
        f"{off:+.1f} sd",
        f"{result['test_accuracy']:.1%}",
    )
    console.print(table)
    refit(client, study)


def follow(client: httpx.Client, trial: str, m: dict[str, Any]) -> None:
    """Show a trial's server-sent events."""
    with bars() as progress, client.stream("GET", f"/v1/trials/{trial}/events", timeout=120) as events:
        task = progress.add_task(f"r {m['r']:.2f}  d {m['d']:.2f}  w {m['w']:.2f}", total=1, note="queued")
        for line in events.iter_lines():
            if not line.startswith("data:"):
                continue
            event = json.loads(line.removeprefix("data:"))
            if "state" in event:
                progress.update(task, note=event["state"])
            elif event.get("validation_accuracy") is not None:
                note = f"{event['validation_accuracy']:.1%}"
                progress.update(task, total=event["epochs"], completed=event["epoch"], note=note)
    state = get(client, f"/v1/trials/{trial}")
    if state["state"] != "completed":
        raise DemoFailed(f"The trial is {state['state']}: {state['error']}")


def save_figures(client: httpx.Client, study: str) -> Path:
    folder = data_dir() / "figures" / study
    folder.mkdir(parents=True, exist_ok=True)
    for name in FIGURES:
        for suffix in ("svg", "png"):
            figure = client.get(f"/v1/studies/{study}/figures/{name}.{suffix}")
            figure.raise_for_status()
            (folder / f"{name}.{suffix}").write_bytes(figure.content)
    return folder


def data_dir() -> Path:
    return Path(os.environ.get("RDW_DATA_DIR", "var")).resolve()


def get(client: httpx.Client, path: str, **query: Any) -> dict[str, Any]:
    return _checked(client.get(path, params=query))


def post(client: httpx.Client, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    return _checked(client.post(path, json=body))


def beside(found: object, published: object) -> str:
    short, shorter = (str(value).removeprefix("0") for value in (found, published))
    return f"{short} [dim]{shorter}[/dim]"


def plain_table(*columns: str) -> Table:
    return Table(*columns, box=SIMPLE_HEAD, pad_edge=False)


def print_warnings(answer: dict[str, Any]) -> None:
    for warning in answer["warnings"]:
        console.print(f"[yellow]{warning['code']}[/yellow]: {warning['detail']}")


def _checked(response: httpx.Response) -> dict[str, Any]:
    if response.is_error:
        raise DemoFailed(f"{response.request.method} {response.request.url.path}: {response.text}")
    return response.json()


def _number(value: float | None) -> str:
    return "not defined" if value is None else f"{value:+.2f}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=int(os.environ.get("RDW_PORT", "8000")))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
