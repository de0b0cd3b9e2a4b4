"""What trained weights are worth: accuracy by epoch from scratch, inherited, distilled, and both, at equal epochs.

For each number of images a small baseline is trained longer, then its children of some of its cost (compound scaling)
start from its weights, learn from it, or both. All trainings of a number of images see the same images. The service
trains them; finished trainings stay in the data directory, and the next run resumes from there.

Typefaces are rendered, not photographed. The baseline's own training is not counted: whoever scales a network has it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from app.reproduce.design import EXPERIMENT_RECIPE, small_mbconv
from app.reproduce.local_service import ServiceNotReady, run_service
from rdw_client import Client, RdwError, Trial, TrialFailed

METHODS = ("scratch", "inherited", "distilled", "both")

console = Console(width=None if sys.stdout.isatty() else 160)  # wide enough for the table in a file


def main() -> int:
    args = _arguments()
    try:
        with run_service(args.data_dir, port=args.port) as service, Client(service.url) as client:
            records = [record for images in args.images for record in measure(client, args, images)]
    except KeyboardInterrupt:
        console.print("\nInterrupted. Finished trainings are kept, and the next run resumes from there.")
        return 130
    except (ServiceNotReady, RdwError, TrialFailed) as error:
        console.print(f"[red]{error}")
        return 1
    console.print(create_table(records))
    console.print((__doc__ or "").rpartition("\n\n")[2].replace("\n", " "))
    if args.record:
        args.record.write_text("".join(json.dumps(record) + "\n" for record in records))
    return 0


def measure(client: Client, args: argparse.Namespace, images: int) -> list[dict[str, Any]]:
    """Train the baseline and all children on that many images; return a record for each child, method and seed."""
    baseline = small_mbconv(channels=1)
    client.register_architecture(baseline)
    recipe = {**EXPERIMENT_RECIPE, "epochs": args.epochs, "train_images": images}
    long = {**recipe, "epochs": args.source_epochs}
    one = {"r": 1.0, "d": 1.0, "w": 1.0}
    sources = [
        client.train(baseline["name"], multipliers=one, dataset=args.dataset, recipe=long, seed=seed)
        for seed in range(args.seeds)
    ]
    trials: list[tuple[float, str, int, Trial]] = []
    for seed, trial in enumerate(sources):
        source = client.wait(trial)
        console.print(f"{images:,} images, seed {seed}: the baseline reaches {_accuracy(source):.1%}")
        for ratio in args.ratios:
            for method in args.methods:
                options = options_of(method, source)
                train = {"dataset": args.dataset, "recipe": {**recipe, **options}, "seed": seed}
                answer = client.scale(baseline["name"], ratio=ratio, rule="compound", train=train)
                assert answer.trial is not None
                trials.append((ratio, method, seed, answer.trial))
    return [to_record(images, ratio, method, seed, client.wait(trial)) for ratio, method, seed, trial in trials]


def options_of(method: str, source: Trial) -> dict[str, Any]:
    """Return the recipe's options for a way to use a trained baseline."""
    init, distill = {"init": {"trial": source.id}}, {"distill": {"teacher": {"trial": source.id}}}
    return {"scratch": {}, "inherited": init, "distilled": distill, "both": init | distill}[method]


def to_record(images: int, ratio: float, method: str, seed: int, trial: Trial) -> dict[str, Any]:
    result = trial.result or {}
    return {
        "images": images,
        "ratio": ratio,
        "method": method,
        "seed": seed,
        "by_epoch": [epoch["validation_accuracy"] for epoch in result["history"]],
        "test_accuracy": result["test_accuracy"],
        "seconds": result["seconds"],
        "recipe": trial.recipe,
        "environment": result["environment"],
    }


def create_table(records: list[dict[str, Any]]) -> Table:
    """Return mean accuracies over seeds: on the validation part by epoch, and on the test part with its deviation."""
    epochs = max(len(record["by_epoch"]) for record in records)
    table = Table("images", "c", "method", *map(str, range(1, epochs + 1)), "test", box=SIMPLE_HEAD, pad_edge=False)
    groups: dict[tuple[int, float, str], list[dict[str, Any]]] = {}
    for record in records:
        groups.setdefault((record["images"], record["ratio"], record["method"]), []).append(record)
    for (images, ratio, method), group in groups.items():
        by_epoch = zip(*(record["by_epoch"] for record in group), strict=True)
        test = [100 * record["test_accuracy"] for record in group]
        deviation = f" ± {statistics.stdev(test):.1f}" if len(test) > 1 else ""
        means = (f"{100 * statistics.fmean(values):.1f}" for values in by_epoch)
        table.add_row(f"{images:,}", f"{ratio:g}", method, *means, f"{statistics.fmean(test):.1f}{deviation}")
    return table


def _accuracy(trial: Trial) -> float:
    return float((trial.result or {})["test_accuracy"])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="typefaces", help="(default: %(default)s)")
    parser.add_argument("--images", type=int, nargs="+", default=[2000, 5000, 20_000], help="(default: %(default)s)")
    parser.add_argument("--ratios", type=float, nargs="+", default=[0.25, 0.5], help="(default: %(default)s)")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS, help="(default: all)")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each network (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=6, help="of a child (default: %(default)s)")
    parser.add_argument("--source-epochs", type=int, default=15, help="of the baseline (default: %(default)s)")
    parser.add_argument("--record", type=Path, help="file for one JSON line per training")
    data_dir = Path(os.environ.get("RDW_DATA_DIR", "var"))
    parser.add_argument(
        "--data-dir", type=Path, default=data_dir, help="where trainings are kept (default: %(default)s)"
    )
    parser.add_argument("--port", type=int, default=8767)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
