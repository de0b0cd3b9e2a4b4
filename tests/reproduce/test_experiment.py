"""The experiment that compares rules, with a client whose trainings complete as soon as they are requested."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from app.reproduce.design import STUDY_RULES
from app.reproduce.experiment import Design, Experiment, InvalidDesign
from app.reproduce.progress import ProgressLine
from app.reproduce.records import find_files, read_records
from rdw_client import Client, NotFound

DESIGN = Design("typefaces", {"epochs": 1}, budgets=(0.2, 0.4, 0.8), studies=2, networks=4, seeds=2)


class FakeClient:
    """Answers as the client does; `dwr` has no network at the smallest budget."""

    def __init__(self) -> None:
        self.finished: dict[str, Any] = {}
        self.studies: dict[str, Any] = {}
        self.requested: list[str] = []

    def datasets(self) -> list[Any]:
        return [SimpleNamespace(name="typefaces", missing=None, channels=1)]

    def workers(self) -> list[Any]:
        return [SimpleNamespace(alive=True)]

    def register_architecture(self, spec: Any) -> Any:
        return SimpleNamespace(name=spec["name"], flops=3_000_000, params=400_000, resolution=32)

    def estimate_study(self, *_: Any, **__: Any) -> Any:
        return SimpleNamespace(seconds=80.0)

    def create_study(self, name: str, *_: Any, trials: int, seed: int, **__: Any) -> Any:
        study = SimpleNamespace(id=name, state="completed", has_started=False, size=trials, seed=seed)
        if name not in self.studies:
            self.studies[name] = [self._train(f"{name}-{n}", {"resolution": 20 + n}, seed, name) for n in range(trials)]
        return study

    def start_study(self, study: Any) -> None:
        study.has_started = True

    def study(self, study: Any) -> Any:
        return study

    def refit(self, study: Any) -> None:
        pass

    def scale(self, baseline: str, *, ratio: float, rule: str, study: Any, predictor: str | None, dataset: str) -> Any:
        if rule == "dwr" and ratio == 0.2:
            raise NotFound({"title": "no network", "detail": "no network"}, 404)
        warnings = [{"code": "off_curve"}] if rule == "compound" and ratio == 0.8 else []
        predicted = {"mean": 0.7, "sd": 0.01} if rule == "surrogate" else None
        config = {"resolution": 24, "about": [rule, ratio, study and study.id, predictor]}
        multipliers = {"r": 0.7, "d": 0.7, "w": 0.7, "r_sd": None}
        raw = {"config": config, "multipliers": multipliers, "warnings": warnings, "predicted_accuracy": predicted}
        return SimpleNamespace(raw=raw)

    def train(self, *, config: Any, dataset: str, recipe: Any, seed: int, priority: int) -> Any:
        return self._train(json.dumps([config, seed]), config, seed)

    def trial(self, id: str) -> Any:
        return self.finished[id]

    def trials(self, *, study: str | None = None, **_: Any) -> list[Any]:
        return self.studies[study] if study else []

    def _train(self, id: str, config: Any, seed: int, study: str | None = None) -> Any:
        self.requested.append(id)
        environment = {"data_digest": "abc", "device": "cpu", "threads": 1, "torch": "2"}
        result = {"accuracy": 0.7, "test_accuracy": 0.71, "seconds": 20.0, "environment": environment,
                  "history": [{"validation_accuracy": 0.7}]}  # fmt: skip
        self.finished[id] = SimpleNamespace(
            id=id, state="completed", ended=True, seed=seed, config=config, recipe={"epochs": 1}, dataset="typefaces",
            flops=600_000, params=1000, multipliers={"r": 1, "d": 1, "w": 1}, result=result,
        )  # fmt: skip
        return self.finished[id]


def run(client: FakeClient, folder: Path, design: Design = DESIGN) -> tuple[Experiment, str]:
    out = io.StringIO()
    experiment = Experiment(cast("Client", client), design, folder, ProgressLine(out))
    experiment.run()
    return experiment, out.getvalue()


def test_experiment_records_every_training_it_announces(tmp_path: Path) -> None:
    experiment, printed = run(FakeClient(), tmp_path)
    records = read_records(find_files(tmp_path))

    assert "typefaces: 50 trainings: 8 of random networks, 42 of 5 rules at 3 budgets with 2 seeds." in printed
    assert "0.6 hours on 1 worker, by an estimate of 40 s each" in printed
    assert "is found in 80 of 100 such experiments" in printed
    assert (len(records.studies), len(records.family)) == (8, 42 - 2)
    assert [line.split(":")[0] for line in experiment.missing] == ["dwr has no network at 0.200"]


def test_family_is_trained_with_seeds_that_no_study_used(tmp_path: Path) -> None:
    client = FakeClient()
    run(client, tmp_path)
    records = read_records(find_files(tmp_path))

    assert {r.seed for r in records.studies} == {101, 102}
    assert {r.seed for r in records.family} == {201, 202}
    assert {r.study for r in records.family if r.rule in STUDY_RULES} == {1, 2}
    assert {r.study for r in records.family if r.rule not in STUDY_RULES} == {None}


def test_scores_are_test_accuracies_of_networks_on_their_curve(tmp_path: Path) -> None:
    run(FakeClient(), tmp_path)
    scores = read_records(find_files(tmp_path)).scores

    assert {score.accuracy for score in scores} == {0.71}
    assert {score.budget for score in scores if score.rule == "compound"} == {0.2, 0.4}


def test_second_run_appends_nothing(tmp_path: Path) -> None:
    client = FakeClient()
    run(client, tmp_path)
    (file,) = find_files(tmp_path)
    before = file.read_text()
    run(client, tmp_path)

    assert file.read_text() == before


@pytest.mark.parametrize("change", [{"rules": ("compound", "best")}, {"budgets": (0.5,)}, {"budgets": (0.5, 1.5)}])
def test_impossible_designs_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidDesign):
        replace(DESIGN, **change)
