"""Ask and tell: rdw says what to train, this program trains it elsewhere, and rdw learns from what came of it.

    make serve                            # in another terminal
    python examples/ask_tell.py --trainings 12

All that is said to rdw is said with the standard library; `training.py` beside is what your own tool has already.
Started again with `--study`, it goes on from where it was.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import sys
import time
import urllib.error
import urllib.request
from typing import Any

import training

Plain = dict[str, Any]


class Refused(Exception):
    """rdw refused a request; the message is its problem document's."""


class Client:
    """rdw over HTTP."""

    def __init__(self, url: str, key: str | None = None, tries: int = 8) -> None:
        self._url, self._tries = url.rstrip("/"), tries
        self._headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}

    def get(self, path: str) -> Plain:
        return self._call("GET", path, None, self._tries)

    def post(self, path: str, body: Plain, again: bool = True) -> Plain:
        """`again`: whether to say it once more where no answer came. Not what would then be done twice."""
        return self._call("POST", path, json.dumps(body).encode(), self._tries if again else 1)

    def _call(self, method: str, path: str, body: bytes | None, tries: int) -> Plain:
        """Raises: Refused; OSError or HTTPException where nobody answered."""
        wait = 0.25
        while True:
            tries -= 1
            request = urllib.request.Request(self._url + path, body, self._headers, method=method)
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    return dict(json.load(answer))
            except urllib.error.HTTPError as error:
                with error:
                    if error.code < 500 or tries == 0:
                        raise Refused(_problem(error)) from None
            except (OSError, http.client.HTTPException):
                if tries == 0:
                    raise
            time.sleep(wait)
            wait = min(2 * wait, 5.0)


def main() -> int:
    args = _arguments()
    rdw = Client(args.url, args.key)
    study = args.study or new_study(rdw, args.trainings)
    print(f"study {study}")
    for n in range(args.trainings):
        suggestion = rdw.post(f"/v1/studies/{study}/ask", {"client": args.client})["items"][0]
        came_of_it = train(suggestion, args.epochs)
        # Where the answer is lost on its way it is told again: told twice is once.
        rdw.post(f"/v1/studies/{study}/tell", {"suggestion": suggestion["id"], **came_of_it})
        print(f"{n + 1:>3}  {_line(suggestion)}  {came_of_it.get('infeasible') or _percent(came_of_it['accuracy'])}")
    show_front(rdw, study)
    recommend(rdw, study)
    return 0


def new_study(rdw: Client, trainings: int) -> str:
    rdw.post("/v1/architectures", training.BASELINE)
    study = {
        "name": "ask and tell",
        "architecture": training.BASELINE["name"],
        "dataset": "digits",
        "space": training.SPACE,
        "trials": trainings,
        "sampler": "active",
    }
    return str(rdw.post("/v1/studies", study, again=False)["id"])


def train(suggestion: Plain, epochs: int) -> Plain:
    """What to tell of it: an accuracy, or why there is none."""
    began = time.monotonic()
    try:
        accuracy = training.accuracy_of(suggestion["config"], epochs)
    except training.Diverged as why:
        return {"infeasible": str(why)}
    return {"accuracy": accuracy, "seconds": time.monotonic() - began, "metrics": {"epochs": epochs}}


def show_front(rdw: Client, study: str) -> None:
    print("\nThe front:")
    for network in rdw.get(f"/v1/studies/{study}/front")["items"]:
        print(f"  {_line({**network, 'multipliers': network})}  {_percent(network['accuracy'])}")


def recommend(rdw: Client, study: str, ratio: float = 0.4) -> None:
    """What the study has taught: a network for a budget that none of its networks need have."""
    try:
        predictor = rdw.post(f"/v1/studies/{study}/predictors", {"activate": True})["id"]
    except Refused as why:
        print(f"\nNo predictor yet: {why}")
        return
    print(f"\n{predictor}, for {ratio:.0%} of the baseline's multiply-adds:")
    for rule in ("surrogate", "tiny_formula"):
        wanted = {"architecture": training.BASELINE["name"], "target": {"ratio": ratio}, "rule": rule}
        try:
            found = rdw.post("/v1/scale", {**wanted, "predictor": predictor})
        except Refused as why:
            print(f"  {rule:<13} {why}")
            continue
        expected = found["predicted_accuracy"]
        line = _line({"multipliers": found["multipliers"], "flops": found["cost"]["flops"]})
        told = f"{_percent(expected['mean'])} ± {_percent(expected['sd'])} expected" if expected else ""
        print(f"  {rule:<13} {line}  {told}")


def _line(network: Plain) -> str:
    m = network["multipliers"]
    return f"r {m['r']:.2f}  d {m['d']:.2f}  w {m['w']:.2f}  {network['flops'] / 1e6:6.3f}M multiply-adds"


def _percent(share: float) -> str:
    return f"{share:.1%}"


def _problem(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(error)["detail"])
    except (ValueError, KeyError):
        return f"{error.code} {error.reason}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="where rdw answers (default: %(default)s)")
    parser.add_argument("--key", default=os.environ.get("RDW_KEY"), help="API key (default: $RDW_KEY, or none)")
    parser.add_argument("--client", default="example", help="who asks: each program that trains takes its own name")
    parser.add_argument("--study", help="go on with this study (default: a new one)")
    parser.add_argument("--trainings", type=int, default=12, metavar="N", help="how many (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=4, help="of each training (default: %(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
