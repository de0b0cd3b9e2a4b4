"""A service that answers as the API does, from a recorded study, and trains in no time or never."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx

from app.scaling.front import correlations, select_front
from app.scaling.observations import Observation, points
from app.scaling.predictor import Predictor

RECORDED: dict[str, Any] = json.loads((Path(__file__).parent.parent / "report" / "typefaces_study.json").read_text())
OBSERVATIONS = [
    Observation(
        o["r"], o["d"], o["w"], o["ratio"], o["flops"], o["params"], o["accuracy"], o["trial_id"], o["latency_ms"]
    )
    for o in RECORDED["observations"]
]
SECONDS = 10.0  # that a training is said to take


def front() -> dict[str, Any]:
    """The recorded study's, as `GET …/front` answers."""
    selected = [OBSERVATIONS[i] for i in select_front(OBSERVATIONS)]
    columns = ("r", "d", "w", "c", "flops", "params", "accuracy", "trial")
    return {"items": [{c: getattr(o, c) for c in columns} for o in selected], "hypervolume": 0.8}


def found_correlations() -> dict[str, Any]:
    """The recorded study's, as `GET …/correlations` answers."""
    found = correlations([OBSERVATIONS[i] for i in select_front(OBSERVATIONS)])
    return {name: dict(measures) for name, measures in found.items()}


def predictor() -> dict[str, Any]:
    """Fitted on the recorded study's front, as the refit answers."""
    fitted = Predictor.fitted(points([OBSERVATIONS[i] for i in select_front(OBSERVATIONS)]))
    return {
        **fitted.to_json(),
        "id": "fitted",
        "quality": {name: asdict(quality) for name, quality in fitted.quality().items()},
        "gate": {
            "promoted": False,
            "checks": [{"name": "enough networks", "passed": False, "detail": "too few of them <&>"}],
            "why": "One check failed.",
        },
    }


def family_item(target: int, rule: str, recipe: str, accuracies: list[float]) -> dict[str, Any]:
    """A trained network of the family, the recorded one whose cost is nearest."""
    nearest = min(RECORDED["observations"], key=lambda o: abs(o["flops"] - target))
    return {
        "target_flops": target,
        "rule": rule,
        "recipe": recipe,
        "multipliers": {name: nearest[name] for name in "rdw"},
        "config": {"resolution": nearest["resolution"]},
        "flops": nearest["flops"],
        "params": nearest["params"],
        "latency_ms": nearest["latency_ms"],
        "accuracies": accuracies,
        "predicted_accuracy": {"mean": nearest["accuracy"], "sd": 0.01},
        "trials": [{"id": f"{rule}{n}", "state": "completed", "seed": n} for n in range(len(accuracies))],
    }


class FakeService(httpx.MockTransport):
    """`stuck`: studies of these steps never finish. What was posted is in `posts`, estimates left out."""

    def __init__(self, stuck: tuple[str, ...] = ()) -> None:
        super().__init__(self._handle)
        self.stuck = stuck
        self.posts: list[tuple[str, Any]] = []
        self.studies: dict[str, dict[str, Any]] = {}
        self.trials: dict[str, dict[str, Any]] = {}
        self.families: dict[str, list[dict[str, Any]]] = {}

    def posted(self, ending: str) -> list[Any]:
        """The bodies posted to paths that end so."""
        return [body for path, body in self.posts if path.endswith(ending)]

    def _handle(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if request.method == "GET":
            found = self._get(path, request.url.params.get("study"))
            return httpx.Response(404, json={"detail": "no such thing"}) if found is None else self._json(found)
        body = json.loads(request.content) if request.content else None
        if body and body.get("validate_only"):
            return self._json({"estimate": {"seconds": SECONDS * body["trials"]}})
        self.posts.append((path, body))
        return self._json(self._post(path, body))

    @staticmethod
    def _json(body: Any) -> httpx.Response:
        return httpx.Response(200, json=body)

    def _get(self, path: str, study: str | None) -> Any:
        match path.strip("/").split("/"):
            case ["readyz"]:
                return {}
            case ["v1", "datasets"]:
                return _page([{**RECORDED["dataset"], "missing": None}])
            case ["v1", "workers"]:
                return _page([{"name": "one", "alive": True}])
            case ["v1", "trials"]:
                return _page([t for t in self.trials.values() if study in (None, t["study"])])
            case ["v1", "trials", id]:
                return self.trials[id]
            case ["v1", "studies"]:
                return _page(list(self.studies.values()))
            case ["v1", "studies", id]:
                return self.studies[id]
            case ["v1", "studies", id, "observations"]:
                return _page(RECORDED["observations"])
            case ["v1", "studies", id, "front"]:
                return front()
            case ["v1", "studies", id, "correlations"]:
                return found_correlations()
            case ["v1", "studies", id, "family"]:
                return {"items": self.families.get(id, [])}
        return None

    def _post(self, path: str, body: Any) -> Any:
        match path.strip("/").split("/"):
            case ["v1", "architectures"]:
                return {"name": body["name"]}
            case ["v1", "trials"]:
                return self._train(body)
            case ["v1", "studies"]:
                id = f"study{len(self.studies)}"
                size = body["trials"] + body["compound"]
                own = {"id": id, "name": body["name"], "size": size, "state": "created", "trials": {}}
                self.studies[id] = {**RECORDED["study"], **own}
                return self.studies[id]
            case ["v1", "studies", id, "predictors"]:
                return predictor()
            case ["v1", "studies", id, "family"]:
                self.families[id] = [
                    family_item(int(3e6 * target["ratio"]), rule, recipe, [0.7] * body["seeds"])
                    for target in body["targets"]
                    for rule in body["rules"]
                    for recipe in body["recipes"]
                ]
                return {"items": self.families[id]}
            case ["v1", "studies", id, "start"]:
                return self._start(self.studies[id])
            case ["v1", "trials", id, "cancel"]:
                self.trials[id]["state"] = "cancelled"
                return self.trials[id]
            case ["v1", "trials", id, "retry"]:
                self.trials[id]["state"] = "completed"
                return self.trials[id]
        raise AssertionError(f"POST {path}")

    def _start(self, study: dict[str, Any]) -> dict[str, Any]:
        """Start: its trials are there, and but for the first of a stuck one completed."""
        stuck = any(step in study["name"] for step in self.stuck)
        for n in range(study["size"]):
            self._train({"seed": 0}, study["id"], "queued" if stuck and n else "completed")
        study["state"] = "running" if stuck else "completed"
        return study

    def _train(self, body: dict[str, Any], study: str | None = None, state: str = "completed") -> dict[str, Any]:
        id = f"trial{len(self.trials)}"
        self.trials[id] = {
            "id": id,
            "state": state,
            "study": study,
            "seed": body["seed"],
            "flops": 3_011_776,
            "params": 437_000,
            "config": {"resolution": 32},
            "recipe": RECORDED["study"]["recipe"],
            "started_at": "2026-01-02T03:04:05Z",
            "finished_at": "2026-01-02T03:04:25Z",
            "result": {"accuracy": 0.75, "seconds": 17.0, "environment": RECORDED["environment"]},
        }
        return self.trials[id]


def _page(items: list[Any]) -> dict[str, Any]:
    return {"items": items, "next": None}
