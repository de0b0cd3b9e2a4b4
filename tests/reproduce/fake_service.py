"""A service that answers as the API does, from a recorded study; its trainings complete at once or never."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from app.scaling.predictors.predictor import Predictor
from app.scaling.search.front import correlations, select_front
from app.scaling.search.observations import Observation, to_points

RECORDED: dict[str, Any] = json.loads((Path(__file__).parent.parent / "report" / "typefaces_study.json").read_text())
OBSERVATIONS = [
    Observation(
        o["r"], o["d"], o["w"], o["ratio"], o["flops"], o["params"], o["accuracy"], o["trial_id"], o["latency_ms"]
    )
    for o in RECORDED["observations"]
]
SECONDS = 10.0  # the estimate of each training
CREATED_AT = "2026-01-02T03:04:05Z"


def front() -> dict[str, Any]:
    """Return the recorded study's front as `GET …/front` does."""
    selected = [OBSERVATIONS[i] for i in select_front(OBSERVATIONS)]
    columns = ("r", "d", "w", "c", "flops", "params", "accuracy", "trial", "role")
    return {"items": [{c: getattr(o, c) for c in columns} for o in selected], "hypervolume": 0.8}


def front_correlations() -> dict[str, Any]:
    """Return the correlations along the recorded study's front as `GET …/correlations` does."""
    computed = correlations([OBSERVATIONS[i] for i in select_front(OBSERVATIONS)])
    return {name: dict(measures) for name, measures in computed.items()}


def predictor() -> dict[str, Any]:
    """Return the predictor of the recorded study's front as a refit does."""
    fitted = Predictor.fit(to_points([OBSERVATIONS[i] for i in select_front(OBSERVATIONS)]))
    return {
        **fitted.to_json(),
        "id": "fitted",
        "architecture": "small-mbconv",
        "dataset": "typefaces",
        "version": 1,
        "active": False,
        "observations": len(OBSERVATIONS),
        "provenance": "the recorded study",
        "quality": {name: asdict(quality) for name, quality in fitted.quality().items()},
        "gate": {
            "promoted": False,
            "checks": [{"name": "enough networks", "passed": False, "detail": "too few of them <&>"}],
            "reason": "One check failed.",
        },
    }


def family_item(target: int, rule: str, recipe: str, accuracies: list[float]) -> dict[str, Any]:
    """Return a trained network of the family: the recorded one whose cost is nearest."""
    nearest = min(RECORDED["observations"], key=lambda o: abs(o["flops"] - target))
    return {
        "target_flops": target,
        "rule": rule,
        "recipe": recipe,
        "problem": None,
        "multipliers": {name: nearest[name] for name in "rdw"},
        "config": {"resolution": nearest["resolution"]},
        "flops": nearest["flops"],
        "params": nearest["params"],
        "latency_ms": nearest["latency_ms"],
        "accuracies": accuracies,
        "predicted_accuracy": {"mean": nearest["accuracy"], "sd": 0.01},
        "trials": [{"id": f"{rule}{n}", "state": "completed", "seed": n} for n in range(len(accuracies))],
    }


class FakeService:
    """A service at `url` within a `with` block. Studies of the steps in `stuck` never finish.

    `posts` are the paths and bodies of all POST requests but estimates.
    """

    def __init__(self, stuck: tuple[str, ...] = ()) -> None:
        self.stuck = stuck
        self.posts: list[tuple[str, Any]] = []
        self.studies: dict[str, dict[str, Any]] = {}
        self.trials: dict[str, dict[str, Any]] = {}
        self.families: dict[str, list[dict[str, Any]]] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._create_handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def get_posts(self, ending: str) -> list[Any]:
        """Return the bodies of the POST requests whose path has this ending."""
        return [body for path, body in self.posts if path.endswith(ending)]

    def _create_handler(self) -> type[BaseHTTPRequestHandler]:
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # headers and body in one packet

            def do_GET(self) -> None:
                url = urlsplit(self.path)
                self._respond(service._get(url.path, parse_qs(url.query).get("study", [None])[0]))

            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self._respond(service._handle_post(self.path, json.loads(content) if content else None))

            def _respond(self, body: Any) -> None:
                status, document = (200, body) if body is not None else (404, {"detail": "There is no such thing."})
                content = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler

    def _handle_post(self, path: str, body: Any) -> Any:
        if body and body.get("validate_only"):
            seconds = SECONDS * body["trials"]
            return {"estimate": {"seconds": seconds, "low": seconds, "high": seconds, "trainings": 0}}
        self.posts.append((path, body))
        return self._post(path, body)

    def _get(self, path: str, study: str | None) -> Any:
        match path.strip("/").split("/"):
            case ["readyz"]:
                return {"ready": True, "database": "ok", "broker": "ok", "disk": "ok", "workers": 1}
            case ["v1", "datasets"]:
                return _page([{**RECORDED["dataset"], "missing": None}])
            case ["v1", "workers"]:
                return _page([{"name": "one", "host": "here", "device": "cpu", "threads": 1, "alive": True}])
            case ["v1", "trials"]:
                return _page([trial for trial in self.trials.values() if study in (None, trial["study"])])
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
                return front_correlations()
            case ["v1", "studies", id, "family"]:
                return {"items": self.families.get(id, [])}
        return None

    def _post(self, path: str, body: Any) -> Any:
        match path.strip("/").split("/"):
            case ["v1", "architectures"]:
                return {
                    "name": body["name"], "family": "efficientnet", "resolution": 32, "flops": 1, "params": 1
                }  # fmt: skip
            case ["v1", "trials"]:
                return self._train(body)
            case ["v1", "studies"]:
                id = f"study{len(self.studies)}"
                size = body["trials"] + body["compound"]
                self.studies[id] = {
                    **RECORDED["study"], "id": id, "name": body["name"], "state": "created", "sampler": "random",
                    "size": size, "proposed": size, "trials": {},
                }  # fmt: skip
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
        """Create the study's trials: all completed, or only the first if the study is stuck."""
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
            "architecture": "small-mbconv",
            "dataset": "typefaces",
            "seed": body["seed"],
            "flops": 3_011_776,
            "params": 437_000,
            "config": {"resolution": 32},
            "recipe": RECORDED["study"]["recipe"],
            "created_at": CREATED_AT,
            "started_at": CREATED_AT,
            "finished_at": "2026-01-02T03:04:25Z",
            "result": {"accuracy": 0.75, "seconds": 17.0, "environment": RECORDED["environment"]},
        }
        return self.trials[id]


def _page(items: list[Any]) -> dict[str, Any]:
    return {"items": items, "next": None}
