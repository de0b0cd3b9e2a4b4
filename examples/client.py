"""The Python client: an AutoML loop that asks, evaluates and tells, then one training by rdw's own worker.

    make serve                            # in another terminal
    python examples/client.py --trainings 6

The client reads RDW_URL and RDW_API_KEY. Replace `evaluate` by your own training.
"""

from __future__ import annotations

import argparse
import math
import sys

from rdw_client import Client, Event, Suggestion, Unreachable


def main() -> int:
    args = _parse_arguments()
    try:
        with Client() as rdw:
            tune(rdw, args.trainings)
            train(rdw)
    except Unreachable as error:
        print(f"{error}\nStart a service with `make serve`, or set RDW_URL.", file=sys.stderr)
        return 1
    return 0


def tune(rdw: Client, trainings: int) -> None:
    """Ask for networks and tell their accuracy, then print the front."""
    study = rdw.create_study("client example", "tinynet_e", "digits", sampler="active", trials=trainings)
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
    """Return an invented accuracy, which rises with the cost and with the balance of r, d and w.

    Your own function trains the network of `suggestion.config`.
    """
    m = suggestion.multipliers
    imbalance = abs(math.log(m.r / m.d)) + abs(math.log(m.d / m.w))
    return 0.9 - 0.25 / (1 + suggestion.flops / 5e6) - 0.02 * min(imbalance, 3.0)


def train(rdw: Client) -> None:
    """Train one network with rdw's own worker and wait for its end."""
    multipliers = {"r": 0.3, "d": 0.5, "w": 0.2}
    trial = rdw.train("tinynet_e", multipliers=multipliers, dataset="digits", recipe="digits-smoke")
    print(f"\nTrial {trial.id}")
    result = rdw.wait(trial, print_event)
    print(f"accuracy {result.accuracy:.1%}")


def print_event(event: Event) -> None:
    if event.kind == "state":
        print(f"  {event.data['state']}")
    else:
        print(f"  {event.data.get('phase')}, epoch {event.data.get('epoch')} of {event.data.get('epochs')}")


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trainings", type=int, default=6, metavar="N", help="default: %(default)s")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
