"""Draws the figures of docs/concepts.md from the recorded study of 100 networks trained on typefaces."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from app import figures
from app.scaling.network import Architecture
from app.scaling.predictors.predictor import Predictor
from app.scaling.predictors.published_tinynets import published_predictor
from app.scaling.search.front import select_front
from app.scaling.search.observations import Observation, to_built_points, to_points

HERE = Path(__file__).parent
RECORDED = HERE / "recorded" / "typefaces.json"
K = 20


def load_observations(file: Path) -> list[Observation]:
    """Load one observation per network, with the accuracy after its last epoch."""
    networks = json.loads(file.read_text())["networks"]
    names = ("r", "d", "w", "c", "flops", "params", "accuracy", "latency_ms")
    return [Observation(**{name: network[name] for name in names}) for network in networks]


def load_architecture(file: Path) -> Architecture:
    return Architecture.from_json(json.loads(file.read_text())["architecture"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE.parent / "docs" / "figures")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    observations = load_observations(RECORDED)
    front = [observations[i] for i in select_front(observations, K)]
    predictor = Predictor.fit(to_points(front), [*to_built_points(load_architecture(RECORDED), observations)])
    drawings = {
        "accuracy-against-multipliers": figures.accuracy_against_multipliers(observations),
        "accuracy-against-flops": figures.accuracy_against_flops(observations, front),
        "multipliers-against-flops": figures.multipliers_against_flops(front),
        "predictor-curve": figures.predictor_curve(predictor, published_predictor().points),
    }
    for name, drawing in drawings.items():
        (out / f"{name}.png").write_bytes(drawing.png())
        print(out / f"{name}.png", drawing.caption)


if __name__ == "__main__":
    main()
