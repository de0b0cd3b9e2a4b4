"""The figures of docs/concepts.md, from the recorded study of 100 networks that were trained on typefaces."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from app import figures
from app.scaling.front import select_front
from app.scaling.observations import Observation, points
from app.scaling.predictor import Predictor
from app.scaling.published import published_predictor

HERE = Path(__file__).parent
RECORDED = HERE / "recorded" / "typefaces.json"
K = 20


def observations(recorded: Path) -> list[Observation]:
    """One a network, with the accuracy after its last epoch."""
    networks = json.loads(recorded.read_text())["networks"]
    kept = ("r", "d", "w", "c", "flops", "params", "accuracy", "latency_ms")
    return [Observation(**{name: network[name] for name in kept}) for network in networks]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE.parent / "docs" / "figures")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    seen = observations(RECORDED)
    front = [seen[i] for i in select_front(seen, K)]
    predictor = Predictor.fitted(points(front), points(seen))
    drawings = {
        "accuracy-against-multipliers": figures.accuracy_against_multipliers(seen),
        "accuracy-against-flops": figures.accuracy_against_flops(seen, front),
        "multipliers-against-flops": figures.multipliers_against_flops(front),
        "predictor-curve": figures.predictor_curve(predictor, published_predictor().points),
    }
    for name, drawing in drawings.items():
        (out / f"{name}.png").write_bytes(drawing.png())
        print(out / f"{name}.png", drawing.says)


if __name__ == "__main__":
    main()
