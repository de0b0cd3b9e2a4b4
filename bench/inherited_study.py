"""Do short trainings on inherited weights rank networks as long trainings from scratch do, for less compute?

The networks are drawn from recorded random studies, whose test accuracies after long trainings from scratch are the
reference. Each network is trained again in other ways, with another seed: for few epochs from the weights of one large
network, for as few from scratch, and as long as recorded, which bounds what any way can reach. Spearman's correlation
is between a way's validation accuracies and the reference. The front is that of a way's validation accuracies; the
share is the hypervolume of its networks, at their accuracies of the reference, relative to the best front's. Compute is
epochs times multiply-adds, relative to the recorded trainings' of these networks; that of the large network is beside
it, since a study trains it once for all of its networks. The service trains; finished trainings stay in the data
directory, and the next run resumes from there.

The correlation's interval is a bootstrap over networks. With twenty of them it is wide.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from scipy.stats import bootstrap, spearmanr

from app.reproduce.local_service import ServiceNotReady, run_service
from app.reproduce.records import Header, Record, find_files, read_records
from app.scaling.search.front import hypervolume, non_dominated
from rdw_client import Client, RdwError, Trial, TrialFailed

RECORDS = Path(__file__).parent / "recorded" / "experiment"
SOURCE = {"r": 1.0, "d": 1.5, "w": 1.8}  # the largest network of the recorded studies' space, at the baseline's px
console = Console(width=None if sys.stdout.isatty() else 120)


@dataclass(frozen=True)
class Way:
    """A way to train all networks, with each one's validation accuracy in their order."""

    name: str
    accuracy: list[float]
    epochs: int
    source_compute: int  # epochs times multiply-adds
    environment: dict[str, Any]


def train_each_way(client: Client, header: Header, networks: Sequence[Record], args: argparse.Namespace) -> list[Way]:
    """Train the networks in every way, with a seed that no recorded study has."""
    long = {name: value for name, value in header.recipe.items() if value is not None}
    name = header.baseline["name"]
    source = client.wait(client.train(name, multipliers=SOURCE, dataset=header.dataset, recipe=long, seed=args.seed))
    console.print(f"The large network reaches {(source.result or {})['test_accuracy']:.1%} ({source.flops:,} FLOPs).")
    init = {"init": {"trial": source.id}}
    recipes = {f"inherited, {epochs} epochs": {**long, **init, "epochs": epochs} for epochs in args.epochs}
    recipes |= {f"scratch, {epochs} epochs": {**long, "epochs": epochs} for epochs in args.epochs}
    recipes[f"scratch, {long['epochs']} epochs"] = long
    trials = {
        way: [
            client.train(config=dict(one.config), dataset=header.dataset, recipe=recipe, seed=args.seed)
            for one in networks
        ]
        for way, recipe in recipes.items()
    }
    return [
        to_way(way, [client.wait(trial) for trial in of_way], source if "init" in recipes[way] else None)
        for way, of_way in trials.items()
    ]


def to_way(name: str, trials: Sequence[Trial], source: Trial | None) -> Way:
    results, (recipe, *_) = [trial.result or {} for trial in trials], [trial.recipe or {} for trial in trials]
    source_compute = 0 if source is None else source.flops * (source.recipe or {})["epochs"]
    accuracy = [result["accuracy"] for result in results]
    return Way(name, accuracy, recipe["epochs"], source_compute, results[0]["environment"])


def correlate(way: Way, reference: Sequence[float]) -> tuple[float, float, float]:
    """Return Spearman's correlation with the reference, and its 95 % interval."""

    def correlation(x: Any, y: Any) -> float:
        return float(spearmanr(x, y).statistic)

    data = np.array(way.accuracy), np.array(reference)
    interval = bootstrap(
        data, correlation, paired=True, vectorized=False, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    return correlation(*data), float(interval.low), float(interval.high)


def front_share(way: Way, networks: Sequence[Record], reference: Sequence[float]) -> float:
    """Return the hypervolume of the way's front at the reference's accuracies, relative to the best front's."""
    flops = [one.flops for one in networks]
    bounds = 1.01 * max(flops), min(reference)

    def volume(accuracy: Sequence[float]) -> float:
        chosen = non_dominated(flops, accuracy, noise=0.0)
        return hypervolume([flops[i] for i in chosen], [reference[i] for i in chosen], bounds)

    return volume(way.accuracy) / volume(reference)


def create_table(ways: Sequence[Way], networks: Sequence[Record], epochs: int) -> Table:
    """Return a row for each way; the recorded trainings have had this many epochs."""
    reference = [one.test_accuracy for one in networks]
    recorded = epochs * sum(one.flops for one in networks)
    titles = "training", "Spearman", "95 % interval", "share of the front", "compute", "large network"
    table = Table(*titles, box=SIMPLE_HEAD)
    for way in ways:
        correlation, low, high = correlate(way, reference)
        share, compute = front_share(way, networks, reference), way.epochs / epochs
        table.add_row(
            way.name, f"{correlation:.2f}", f"{low:.2f} to {high:.2f}", f"{share:.3f}", f"{compute:.2f}",
            f"{way.source_compute / recorded:.2f}",
        )  # fmt: skip
    return table


def main() -> int:
    args = _arguments()
    records = read_records([args.records])
    networks = random.Random(args.seed).sample(records.studies, args.networks)
    try:
        with run_service(args.data_dir, port=args.port) as service, Client(service.url) as client:
            ways = train_each_way(client, records.header, networks, args)
    except KeyboardInterrupt:
        console.print("\nInterrupted. Finished trainings are kept, and the next run resumes from there.")
        return 130
    except (ServiceNotReady, RdwError, TrialFailed) as error:
        console.print(f"[red]{error}")
        return 1
    console.print(create_table(ways, networks, records.header.recipe["epochs"]))
    console.print((__doc__ or "").rpartition("\n\n")[2].replace("\n", " "))
    if args.record:
        lines = [{"networks": [one.trial for one in networks]}, *map(asdict, ways)]
        args.record.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("records", type=Path, nargs="?", default=find_files(RECORDS)[0], help="recorded studies")
    parser.add_argument("--networks", type=int, default=20, help="how many to train again (default: %(default)s)")
    parser.add_argument("--epochs", type=int, nargs="+", default=[1, 3], help="short trainings (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=901, help="of choice and trainings (default: %(default)s)")
    parser.add_argument("--record", type=Path, help="file for one JSON line per way")
    data_dir = Path(os.environ.get("RDW_DATA_DIR", "var"))
    parser.add_argument(
        "--data-dir", type=Path, default=data_dir, help="where trainings are kept (default: %(default)s)"
    )
    parser.add_argument("--port", type=int, default=8768)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
