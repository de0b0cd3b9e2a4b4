"""The paper's comparison as backbones of a detector: the tiny formula against compound scaling, at equal flops.

A small baseline is scaled to one budget by both rules. The service trains each network as an SSDLite on
`articles-on-photos` with several seeds, and scores it on the test part with COCO's mAP. Finished trainings stay in the
data directory, and the next run resumes from there.

The data set is a composite: grey articles of Fashion-MNIST pasted on crops of 12 photos of 128 px, and trainings start
from scratch and take minutes. It compares small backbones on small scenes and says nothing about COCO.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from app.core.trials import TrialState
from app.reproduce.local_service import ServiceNotReady, run_service
from rdw_client import Client, RdwError, Recommendation, Trial

RULES = ("tiny_formula", "compound")
DATASET = "articles-on-photos"

# Fewer and narrower stages of EfficientNet-B0's blocks: 30M multiply-adds at 128 px.
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

console = Console(width=None if sys.stdout.isatty() else 160)  # wide enough for the table in a file


class BenchFailed(Exception):
    """The comparison cannot continue; the message says why."""


def main() -> int:
    args = _arguments()
    try:
        with run_service(args.data_dir, port=args.port) as service, Client(service.url) as client:
            compare(client, args)
    except KeyboardInterrupt:
        console.print("\nInterrupted. Finished trainings are kept, and the next run resumes from there.")
        return 130
    except (BenchFailed, ServiceNotReady, RdwError) as error:
        console.print(f"[red]{error}")
        return 1
    return 0


def compare(client: Client, args: argparse.Namespace) -> None:
    dataset = next(dataset for dataset in client.datasets() if dataset.name == DATASET)
    if dataset.missing:
        raise BenchFailed(dataset.missing)
    if args.architecture == BASELINE["name"]:
        client.register_architecture(BASELINE)
    answers = {rule: [request_training(client, args, rule, seed) for seed in range(args.seeds)] for rule in RULES}
    costs = [of_rule[0].cost.flops for of_rule in answers.values()]
    console.print(
        f"{args.architecture} at {args.ratio:g} of its flops: "
        + ", ".join(f"{rule} {flops / 1e6:.3f}M" for rule, flops in zip(RULES, costs, strict=True))
        + f" multiply-adds, {abs(costs[0] / costs[1] - 1):.3%} apart"
    )
    console.print(create_table(answers, wait_for_trials(client, answers)))
    console.print((__doc__ or "").rpartition("\n\n")[2].replace("\n", " "))


def request_training(client: Client, args: argparse.Namespace, rule: str, seed: int) -> Recommendation:
    """Scale by the rule and train the network with this seed."""
    return client.scale(
        args.architecture,
        ratio=args.ratio,
        rule=rule,
        budget={"mode": "nearest"},
        train={"dataset": DATASET, "recipe": args.recipe, "seed": seed},
    )


def wait_for_trials(client: Client, answers: dict[str, list[Recommendation]]) -> dict[str, list[Trial]]:
    """Show a progress bar for each trial until all have completed, and return them by rule."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TextColumn("{task.fields[note]}"), console=console) as progress:
        ids = {rule: [answer.trial.id for answer in of_rule if answer.trial] for rule, of_rule in answers.items()}
        bars = {
            id: progress.add_task(f"{rule}, seed {seed}", start=False, note=TrialState.QUEUED.value)
            for rule, of_rule in ids.items()
            for seed, id in enumerate(of_rule)
        }
        while True:
            trials = {id: client.trial(id) for id in bars}
            for id, trial in trials.items():
                update_bar(progress, bars[id], trial)
            if all(trial.ended for trial in trials.values()):
                break
            time.sleep(1)
    failed = next((trial for trial in trials.values() if trial.state != TrialState.COMPLETED), None)
    if failed:
        raise BenchFailed(f"A trial is {failed.state}: {failed.error}")
    return {rule: [trials[id] for id in of_rule] for rule, of_rule in ids.items()}


def update_bar(progress: Progress, bar: TaskID, trial: Trial) -> None:
    done, note = trial.progress or {}, trial.state
    if trial.state != TrialState.QUEUED:
        progress.start_task(bar)
    if trial.state == TrialState.COMPLETED and trial.result:
        note = f"mAP {trial.result['test_accuracy']:.3f} in {trial.result['seconds']:.0f} s"
        progress.stop_task(bar)
    elif done.get("validation_accuracy") is not None:
        note = f"mAP {done['validation_accuracy']:.3f}"
    progress.update(bar, total=done.get("epochs"), completed=done.get("epoch", 0), note=note)


def create_table(answers: dict[str, list[Recommendation]], trials: dict[str, list[Trial]]) -> Table:
    columns = ("rule", "r", "d", "w", "px", "backbone flops", "detector flops", "params", "latency, ms", "mAP", "AP50")
    table = Table(*columns, box=SIMPLE_HEAD, pad_edge=False)
    for rule, (answer, *_) in answers.items():
        results = [trial.result or {} for trial in trials[rule]]
        detector = results[0]["detector"]
        table.add_row(
            rule,
            *(f"{value:.3f}" for value in (answer.multipliers.r, answer.multipliers.d, answer.multipliers.w)),
            f"{answer.config['resolution']}",
            f"{answer.cost.flops / 1e6:.3f}M",
            f"{detector['flops'] / 1e6:.3f}M",
            f"{detector['params'] / 1e3:.0f}k",
            f"{statistics.median(result['latency']['median_ms'] for result in results):.2f}",
            format_mean_and_sd([result["test_accuracy"] for result in results]),
            format_mean_and_sd([result["test_ap50"] for result in results]),
        )
    return table


def format_mean_and_sd(values: list[float]) -> str:
    """Format mean and standard deviation over seeds in percent."""
    deviation = f" ± {100 * statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * statistics.fmean(values):.1f}{deviation}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architecture", default=BASELINE["name"], help="a baseline's name (default: %(default)s)")
    parser.add_argument("--ratio", type=float, default=0.25, help="of the baseline's flops (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each rule (default: %(default)s)")
    parser.add_argument("--recipe", default="detection-quick", help="a preset (default: %(default)s)")
    data_dir = Path(os.environ.get("RDW_DATA_DIR", "var"))
    parser.add_argument(
        "--data-dir", type=Path, default=data_dir, help="where trainings are kept (default: %(default)s)"
    )
    parser.add_argument("--port", type=int, default=8766)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
