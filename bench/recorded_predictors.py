"""Fits the predictors that ship with rdw on the recorded random studies, and writes them into the package.

All studies of a file are pooled. The front, the predictor, its surrogate and the decision of the promotion gate are
computed as at a study's refit; what the gate refuses is not written.
"""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

from app.core.studies import RefitPolicy
from app.data.recipes import Recipe
from app.reproduce.records import Record, Records, find_files, read_records
from app.scaling import families
from app.scaling.network import Architecture, Multipliers
from app.scaling.predictors.built_in import RECORDED
from app.scaling.predictors.promotion_gate import Decision, decide
from app.scaling.search.front import smooth
from app.scaling.search.observations import Observation, to_built_points
from app.services.observations import TrainedNetwork
from app.services.studies import front

RECORDS = Path(__file__).parent / "recorded" / "experiment"


def fit(path: Path) -> dict[str, Any]:
    """Return the content of the file to ship for a file of records."""
    records = read_records([path])
    name, config = records.header.baseline["name"], records.studies[0].config
    architecture = families.baseline(name).adapt(config["num_classes"], config["in_chans"])
    observations = [to_observation(architecture, record) for record in records.studies]
    study_front = front.select(observations, RefitPolicy.k, partial(smooth, architecture))
    predictor = study_front.fit_predictor(to_built_points(architecture, observations))
    return {
        "architecture": name,
        "dataset": records.header.dataset,
        "provenance": describe(path, records, len(predictor.points)),
        "gate": decide(predictor, None).to_json(),
        "predictor": predictor.to_json(),
    }


def file_name(shipped: dict[str, Any]) -> str:
    return f"{shipped['architecture']}.{shipped['dataset']}.recorded.json"


def to_observation(architecture: Architecture, record: Record) -> Observation:
    multipliers = Multipliers.from_json(record.multipliers)
    network = TrainedNetwork.scaled(architecture, multipliers)
    assert (network.flops, network.params) == (record.flops, record.params), record.trial
    return Observation(
        multipliers.r, multipliers.d, multipliers.w, record.flops / families.flops_of(architecture), record.flops,
        record.params, record.accuracy,
    )  # fmt: skip


def describe(path: Path, records: Records, selected: int) -> str:
    """Say in a few sentences what was trained, how, when, and on what."""
    header, trained = records.header, records.studies
    recipe, seeds = Recipe.from_json(dict(header.recipe)), sorted({record.seed for record in trained})
    versions = ", ".join(f"{library} {version}" for library, version in header.versions.items())
    return (
        f"{len(seeds)} recorded random studies, seeds {', '.join(map(str, seeds))}: {selected} networks of "
        f"{len(trained)} observations. Trained once each on {header.dataset} ({trained[0].config['num_classes']} "
        f"classes, digest {header.digest[:12]}), {recipe.epochs} epochs of {recipe.train_images or 'all'} images; "
        f"{header.device}, {versions}; {header.date}. Fitted by bench/{Path(__file__).name} on {path.name}."
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("records", type=Path, nargs="*", help="files of records (default: recorded/experiment)")
    written: dict[Path, Path] = {}
    for path in parser.parse_args().records or find_files(RECORDS):
        shipped = fit(path)
        decision = Decision.from_json(shipped["gate"])
        target = RECORDED / file_name(shipped)
        if target in written:
            print(f"{path} and {written[target]} are of the same baseline and data set.", file=sys.stderr)
            return 1
        print(f"{path.name}: {decision.reason}")
        if decision.promoted:
            target.write_text(json.dumps(shipped, separators=(",", ":")) + "\n", encoding="utf-8")
            written[target] = path
            print(target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
