"""The client: an AutoML loop that asks, evaluates and tells, then one training by rdw's own workers.

    make serve                            # in another terminal
    python examples/client.py --trainings 6

`evaluate` stands for your own training; this one takes a moment, so that the loop is what one sees.
"""

from __future__ import annotations

import argparse
import math
import sys

from rdw_client import Client, Event, Suggestion, Unreachable


def main() -> int:
    args = _arguments()
    try:
        with Client() as rdw:
            tune(rdw, args.trainings)
            train(rdw)
    except Unreachable as error:
        print(f"{error}\nStart a service with `make serve`, or set RDW_URL.", file=sys.stderr)
        return 1
    return 0


def tune(rdw: Client, trainings: int) -> None:
    """Ask what to try, try it, tell what came of it; then use what was learned."""
    study = rdw.create_study("through the client", "tinynet_e", "digits", sampler="active", trials=trainings)
    while len(list(rdw.observations(study))) < trainings:
        for suggestion in rdw.ask(study, client="example"):
            accuracy = evaluate(suggestion)
            rdw.tell(study, suggestion, accuracy=accuracy)
            m = suggestion.multipliers
            print(f"r {m.r:.2f}  d {m.d:.2f}  w {m.w:.2f}  {suggestion.flops / 1e6:6.2f}M  {accuracy:.1%}")
    print("\nThe front:")
    for network in rdw.front(study).items:
        print(f"  {network.flops / 1e6:6.2f}M  {network.accuracy:.1%}")


def evaluate(suggestion: Suggestion) -> float:
    """Of `suggestion.config`; here a curve that rises with cost, and that prefers balance."""
    m = suggestion.multipliers
    balance = abs(math.log(m.r / m.d)) + abs(math.log(m.d / m.w))
    return 0.9 - 0.25 / (1 + suggestion.flops / 5e6) - 0.02 * min(balance, 3.0)


def train(rdw: Client) -> None:
    """One network by rdw's own workers, followed to its end."""
    network = {"r": 0.3, "d": 0.5, "w": 0.2}
    trial = rdw.train("tinynet_e", multipliers=network, dataset="digits", recipe="digits-smoke")
    print(f"\nTrial {trial.id}")
    done = rdw.wait(trial, show)
    print(f"accuracy {done.accuracy:.1%}")


def show(event: Event) -> None:
    said = event.data
    if event.kind == "state":
        print(f"  {said['state']}")
    else:
        print(f"  {said.get('phase')}, epoch {said.get('epoch')} of {said.get('epochs')}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trainings", type=int, default=6, metavar="N", help="of the loop (default: %(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
