"""Ask and tell: rdw suggests what to train, this program trains it, and rdw learns from the result.

    make serve                            # in another terminal
    python examples/ask_tell.py --trainings 12

The client reads RDW_URL and RDW_API_KEY. `training.py` stands for your own tool. With `--study`, the program continues
an existing study.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

import training

from rdw_client import Client, Problem, Suggestion


def main() -> int:
    args = _parse_arguments()
    with Client() as rdw:
        study = args.study or create_study(rdw, args.trainings)
        print(f"study {study}")
        for n in range(args.trainings):
            (suggestion,) = rdw.ask(study, client=args.client)
            result = train(suggestion, args.epochs)
            rdw.tell(study, suggestion, **result)
            outcome, m = result.get("infeasible") or f"{result['accuracy']:.1%}", suggestion.multipliers
            print(f"{n + 1:>3}  {describe(m.r, m.d, m.w, suggestion.flops)}  {outcome}")
        print_front(rdw, study)
        recommend(rdw, study)
    return 0


def create_study(rdw: Client, trainings: int) -> str:
    rdw.register_architecture(training.BASELINE)
    study = rdw.create_study(
        "ask and tell", training.BASELINE["name"], "digits", space=training.SPACE, trials=trainings, sampler="active"
    )
    return study.id


def train(suggestion: Suggestion, epochs: int) -> dict[str, Any]:
    """Return the result to tell: an accuracy, or the reason for a missing accuracy."""
    start = time.monotonic()
    try:
        accuracy = training.train_and_evaluate(suggestion.config, epochs)
    except training.Diverged as error:
        return {"infeasible": str(error)}
    return {"accuracy": accuracy, "seconds": time.monotonic() - start, "metrics": {"epochs": epochs}}


def print_front(rdw: Client, study: str) -> None:
    print("\nThe front:")
    for n in rdw.front(study).items:
        print(f"  {describe(n.r, n.d, n.w, n.flops)}  {n.accuracy:.1%}")


def recommend(rdw: Client, study: str, ratio: float = 0.4) -> None:
    """Print the networks that rdw recommends for a budget, from what it learned in the study."""
    try:
        predictor = rdw.refit(study).id
    except Problem as error:
        print(f"\nNo predictor yet: {error}")
        return
    print(f"\n{predictor}, for {ratio:.0%} of the baseline's FLOPs:")
    for rule in ("surrogate", "tiny_formula"):
        try:
            network = rdw.scale(training.BASELINE["name"], ratio=ratio, rule=rule, study=study)
        except Problem as error:
            print(f"  {rule:<13} {error}")
            continue
        predicted, m = network.predicted_accuracy, network.multipliers
        accuracy = f"{predicted.mean:.1%} ± {predicted.sd:.1%} predicted" if predicted else ""
        print(f"  {rule:<13} {describe(m.r, m.d, m.w, network.cost.flops)}  {accuracy}")


def describe(r: float, d: float, w: float, flops: int) -> str:
    return f"r {r:.2f}  d {d:.2f}  w {w:.2f}  {flops / 1e6:6.3f}M FLOPs"


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--client", default="example", help="a name for this program, different for each that trains")
    parser.add_argument("--study", help="the study to continue (default: a new one)")
    parser.add_argument("--trainings", type=int, default=12, metavar="N", help="default: %(default)s")
    parser.add_argument("--epochs", type=int, default=4, help="epochs of each training (default: %(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
