"""Ask and tell: rdw suggests what to train, this program trains it, and rdw learns from the result.

    make serve                            # in another terminal
    python examples/ask_tell.py --trainings 12

Only the standard library is used to talk to rdw, at RDW_URL with the key RDW_API_KEY. `training.py` stands for your own
tool. With `--study`, the program continues an existing study.
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

Json = dict[str, Any]


class RequestError(Exception):
    """rdw rejected a request; the message is the detail of its problem document."""


class Client:
    """A minimal HTTP client of rdw that retries failed requests."""

    def __init__(self, max_attempts: int = 8) -> None:
        self._url = os.environ.get("RDW_URL", "http://127.0.0.1:8000").rstrip("/")
        self._max_attempts = max_attempts
        self._headers = {"Content-Type": "application/json"}
        if key := os.environ.get("RDW_API_KEY"):
            self._headers["Authorization"] = f"Bearer {key}"

    def get(self, path: str) -> Json:
        return self._call("GET", path, None, self._max_attempts)

    def post(self, path: str, body: Json, retry: bool = True) -> Json:
        """Send a body; `retry` must be false for requests that may not take effect twice."""
        return self._call("POST", path, json.dumps(body).encode(), self._max_attempts if retry else 1)

    def _call(self, method: str, path: str, body: bytes | None, attempts: int) -> Json:
        """Raises: RequestError; OSError or HTTPException if there is no response."""
        delay = 0.25
        while True:
            attempts -= 1
            request = urllib.request.Request(self._url + path, body, self._headers, method=method)
            try:
                with urllib.request.urlopen(request, timeout=60) as response:
                    return dict(json.load(response))
            except urllib.error.HTTPError as error:
                with error:
                    if error.code < 500 or attempts == 0:
                        raise RequestError(_problem_detail(error)) from None
            except (OSError, http.client.HTTPException):
                if attempts == 0:
                    raise
            time.sleep(delay)
            delay = min(2 * delay, 5.0)


def main() -> int:
    args = _parse_arguments()
    rdw = Client()
    study = args.study or create_study(rdw, args.trainings)
    print(f"study {study}")
    for n in range(args.trainings):
        suggestion = rdw.post(f"/v1/studies/{study}/ask", {"client": args.client})["items"][0]
        result = train(suggestion, args.epochs)
        # This may be retried: telling the same result twice has the same effect as telling it once.
        rdw.post(f"/v1/studies/{study}/tell", {"suggestion": suggestion["id"], **result})
        outcome = result.get("infeasible") or f"{result['accuracy']:.1%}"
        print(f"{n + 1:>3}  {describe(suggestion['multipliers'], suggestion['flops'])}  {outcome}")
    print_front(rdw, study)
    recommend(rdw, study)
    return 0


def create_study(rdw: Client, trainings: int) -> str:
    rdw.post("/v1/architectures", training.BASELINE)
    study = {
        "name": "ask and tell",
        "architecture": training.BASELINE["name"],
        "dataset": "digits",
        "space": training.SPACE,
        "trials": trainings,
        "sampler": "active",
    }
    return str(rdw.post("/v1/studies", study, retry=False)["id"])


def train(suggestion: Json, epochs: int) -> Json:
    """Return the result to tell: an accuracy, or the reason for a missing accuracy."""
    start = time.monotonic()
    try:
        accuracy = training.train_and_evaluate(suggestion["config"], epochs)
    except training.Diverged as error:
        return {"infeasible": str(error)}
    return {"accuracy": accuracy, "seconds": time.monotonic() - start, "metrics": {"epochs": epochs}}


def print_front(rdw: Client, study: str) -> None:
    print("\nThe front:")
    for network in rdw.get(f"/v1/studies/{study}/front")["items"]:
        print(f"  {describe(network, network['flops'])}  {network['accuracy']:.1%}")


def recommend(rdw: Client, study: str, ratio: float = 0.4) -> None:
    """Print the networks that rdw recommends for a budget, from what it learned in the study."""
    try:
        predictor = rdw.post(f"/v1/studies/{study}/predictors", {})["id"]
    except RequestError as error:
        print(f"\nNo predictor yet: {error}")
        return
    print(f"\n{predictor}, for {ratio:.0%} of the baseline's FLOPs:")
    for rule in ("surrogate", "tiny_formula"):
        request = {"architecture": training.BASELINE["name"], "target": {"ratio": ratio}, "rule": rule}
        try:
            network = rdw.post("/v1/scale", {**request, "study": study})
        except RequestError as error:
            print(f"  {rule:<13} {error}")
            continue
        predicted = network["predicted_accuracy"]
        accuracy = f"{predicted['mean']:.1%} ± {predicted['sd']:.1%} predicted" if predicted else ""
        print(f"  {rule:<13} {describe(network['multipliers'], network['cost']['flops'])}  {accuracy}")


def describe(multipliers: Json, flops: int) -> str:
    r, d, w = (multipliers[name] for name in "rdw")
    return f"r {r:.2f}  d {d:.2f}  w {w:.2f}  {flops / 1e6:6.3f}M FLOPs"


def _problem_detail(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(error)["detail"])
    except (ValueError, KeyError):
        return f"{error.code} {error.reason}"


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--client", default="example", help="a name for this program, different for each that trains")
    parser.add_argument("--study", help="the study to continue (default: a new one)")
    parser.add_argument("--trainings", type=int, default=12, metavar="N", help="default: %(default)s")
    parser.add_argument("--epochs", type=int, default=4, help="epochs of each training (default: %(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
