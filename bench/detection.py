"""The paper's comparison as backbones of a detector: the tiny formula against compound scaling, at equal flops.

A small baseline is scaled to one budget by both rules; each network is trained as an SSDLite on `articles-on-photos`
with several seeds, by the service itself, and scored on the test part with COCO's mAP. What was trained stays in the
data directory: interrupted or run again, it goes on from there.

The set is a composite: grey articles of Fashion-MNIST pasted on crops of 12 photos, 128 px, trained on from scratch for
minutes. It compares small backbones on small scenes and says nothing about COCO.
"""

from __future__ import annotations

import argparse
import os
import statistics
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

RULES = ("tiny_formula", "compound")
DATASET = "articles-on-photos"
ENDED = ("completed", "failed", "cancelled")
STARTS_WITHIN = 120  # seconds

# MobileNetV2-like blocks as EfficientNet-B0 has them, fewer and narrower: 30M multiply-adds at 128 px.
BASELINE: dict[str, Any] = {
    "name": "b0-like",
    "baseline": {
        "family": "efficientnet",
        "resolution": 128,
        "in_chans": 3,
        "num_classes": 10,
        "stem": {"channels": 16},
        "stages": [
            {"block": "ds", "repeats": 1, "channels": 16, "kernel": 3},
            {"block": "ir", "repeats": 2, "channels": 24, "kernel": 3, "stride": 2, "expansion": 4},
            {"block": "ir", "repeats": 2, "channels": 40, "kernel": 5, "stride": 2, "expansion": 4, "se_ratio": 0.25},
            {"block": "ir", "repeats": 2, "channels": 64, "kernel": 3, "stride": 2, "expansion": 4, "se_ratio": 0.25},
            {"block": "ir", "repeats": 1, "channels": 96, "kernel": 3, "stride": 2, "expansion": 4, "se_ratio": 0.25},
        ],
        "head": {"channels": 256},
        "activation": "relu",
    },
    "rules": {"divisor": 4},
}

console = Console(width=None if sys.stdout.isatty() else 160)  # a file is wide enough for the table


class Failed(Exception):
    """It cannot go on; the message says why."""


def main() -> int:
    args = _arguments()
    try:
        with service(args) as client:
            compare(client, args)
    except KeyboardInterrupt:
        console.print("\nInterrupted; what was trained is kept, and the next run goes on from there.")
        return 130
    except Failed as failure:
        console.print(f"[red]{failure}")
        return 1
    return 0


def compare(client: httpx.Client, args: argparse.Namespace) -> None:
    why_not = next(item["missing"] for item in get(client, "/v1/datasets")["items"] if item["name"] == DATASET)
    if why_not:
        raise Failed(why_not)
    if args.architecture == BASELINE["name"]:
        post(client, "/v1/architectures", BASELINE)
    answers = {rule: [requested(client, args, rule, seed) for seed in range(args.seeds)] for rule in RULES}
    costs = [of_rule[0]["cost"]["flops"] for of_rule in answers.values()]
    console.print(
        f"{args.architecture} at {args.ratio:g} of its flops: "
        + ", ".join(f"{rule} {flops / 1e6:.3f}M" for rule, flops in zip(RULES, costs, strict=True))
        + f" multiply-adds, {abs(costs[0] / costs[1] - 1):.3%} apart"
    )
    trials = watched(client, {rule: [answer["trial"]["id"] for answer in answers[rule]] for rule in RULES})
    console.print(tabled(answers, trials))
    console.print((__doc__ or "").rpartition("\n\n")[2].replace("\n", " "))


def requested(client: httpx.Client, args: argparse.Namespace, rule: str, seed: int) -> dict[str, Any]:
    """The answer to scaling by the rule, with the trial of that seed."""
    return post(
        client,
        "/v1/scale",
        {
            "architecture": args.architecture,
            "target": {"ratio": args.ratio},
            "rule": rule,
            "budget": {"mode": "nearest"},
            "train": {"dataset": DATASET, "recipe": args.recipe, "seed": seed},
        },
    )


def watched(client: httpx.Client, ids: dict[str, list[str]]) -> dict[str, list[dict[str, Any]]]:
    """The trials once all have completed; a bar a trial until then."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TextColumn("{task.fields[note]}"), console=console) as progress:
        bars = {
            id: progress.add_task(f"{rule}, seed {seed}", start=False, note="queued")
            for rule, of_rule in ids.items()
            for seed, id in enumerate(of_rule)
        }
        while True:
            trials = {id: get(client, f"/v1/trials/{id}") for id in bars}
            for id, trial in trials.items():
                show(progress, bars[id], trial)
            if all(trial["state"] in ENDED for trial in trials.values()):
                break
            time.sleep(1)
    failed = next((trial for trial in trials.values() if trial["state"] != "completed"), None)
    if failed:
        raise Failed(f"A trial is {failed['state']}: {failed['error']}")
    return {rule: [trials[id] for id in of_rule] for rule, of_rule in ids.items()}


def show(progress: Progress, bar: TaskID, trial: dict[str, Any]) -> None:
    done, note = trial["progress"] or {}, trial["state"]
    if note != "queued":
        progress.start_task(bar)
    if note == "completed":
        note = f"mAP {trial['result']['test_accuracy']:.3f} in {trial['result']['seconds']:.0f} s"
        progress.stop_task(bar)
    elif done.get("validation_accuracy") is not None:
        note = f"mAP {done['validation_accuracy']:.3f}"
    progress.update(bar, total=done.get("epochs"), completed=done.get("epoch", 0), note=note)


def tabled(answers: dict[str, list[dict[str, Any]]], trials: dict[str, list[dict[str, Any]]]) -> Table:
    columns = ("rule", "r", "d", "w", "px", "backbone flops", "detector flops", "params", "latency, ms", "mAP", "AP50")
    table = Table(*columns, box=SIMPLE_HEAD, pad_edge=False)
    for rule, (answer, *_) in answers.items():
        results = [trial["result"] for trial in trials[rule]]
        multipliers, detector = answer["multipliers"], results[0]["detector"]
        table.add_row(
            rule,
            *(f"{multipliers[name]:.3f}" for name in "rdw"),
            f"{answer['config']['resolution']}",
            f"{answer['cost']['flops'] / 1e6:.3f}M",
            f"{detector['flops'] / 1e6:.3f}M",
            f"{detector['params'] / 1e3:.0f}k",
            f"{statistics.median(result['latency']['median_ms'] for result in results):.2f}",
            spread([result["test_accuracy"] for result in results]),
            spread([result["test_ap50"] for result in results]),
        )
    return table


def spread(values: list[float]) -> str:
    """Mean and standard deviation over seeds, in percent."""
    deviation = f" ± {100 * statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * statistics.fmean(values):.1f}{deviation}"


@contextmanager
def service(args: argparse.Namespace) -> Iterator[httpx.Client]:
    """The embedded service on the data directory, ready, and stopped at the end."""
    args.data_dir.mkdir(parents=True, exist_ok=True)
    log = args.data_dir / "bench-service.log"
    environment = {**os.environ, "RDW_PORT": str(args.port), "RDW_DATA_DIR": str(args.data_dir.resolve())}
    with log.open("w") as opened:
        process = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "serve"],
            env=environment,
            stdout=opened,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # an interrupt is this program's to pass on
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{args.port}", timeout=30) as client:
            deadline = time.monotonic() + STARTS_WITHIN
            while not ready(client):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise Failed(f"The service did not start:\n{log.read_text()}")
                time.sleep(0.3)
            yield client
    finally:
        process.terminate()
        process.wait(60)


def ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


def get(client: httpx.Client, path: str) -> dict[str, Any]:
    return _checked(client.get(path))


def post(client: httpx.Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
    return _checked(client.post(path, json=body))


def _checked(response: httpx.Response) -> dict[str, Any]:
    if response.is_error:
        raise Failed(f"{response.request.method} {response.request.url.path}: {response.text}")
    return response.json()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architecture", default=BASELINE["name"], help="a baseline's name (default: %(default)s)")
    parser.add_argument("--ratio", type=float, default=0.25, help="of the baseline's flops (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="trainings a rule (default: %(default)s)")
    parser.add_argument("--recipe", default="detection-quick", help="a preset (default: %(default)s)")
    data_dir = Path(os.environ.get("RDW_DATA_DIR", "var"))
    parser.add_argument("--data-dir", type=Path, default=data_dir, help="what is kept (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8766)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
