"""The experiment that compares rules, with a client whose trainings complete as soon as they are requested."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from app.http.schemas.architectures import NewArchitecture
from app.reproduce.design import SHARED_RULES, STUDY_RULES, small_mbconv
from app.reproduce.experiment import Design, Experiment, InvalidDesign
from app.reproduce.progress import ProgressLine
from app.reproduce.records import InvalidRecords, find_files, read_records
from app.scaling.families import flops_of, network_cost
from app.scaling.network import Config
from rdw_client import Client, Invalid, NotFound

RECIPE = {"epochs": 1, "warmup_epochs": 0.5}
DESIGN = Design("typefaces", RECIPE, budgets=(0.2, 0.4, 0.8), studies=2, networks=4, seeds=2)


class FakeClient:
    """Answers as the client does; `dwr` has no network at the smallest budget."""

    def __init__(self, devices: Sequence[str] = ("cpu",), failing_seed: int | None = None, classes: int = 47) -> None:
        self._devices, self._failing_seed, self._classes = itertools.cycle(devices), failing_seed, classes
        self.finished: dict[str, Any] = {}
        self.studies: dict[str, Any] = {}
        self.requested: list[str] = []

    def datasets(self) -> list[Any]:
        return [SimpleNamespace(name="typefaces", missing=None, channels=1, digest="")]

    def workers(self) -> list[Any]:
        return [SimpleNamespace(alive=True)]

    def register_architecture(self, spec: Any) -> Any:
        architecture = NewArchitecture.model_validate(spec).to_architecture("")
        cost = {"flops": flops_of(architecture), "params": 400_000}
        return SimpleNamespace(name=architecture.name, resolution=32, raw=architecture.to_json(), **cost)

    def estimate_study(self, *_: Any, **__: Any) -> Any:
        return SimpleNamespace(seconds=80.0)

    def create_study(self, name: str, *_: Any, trials: int, seed: int, **__: Any) -> Any:
        self.studies.setdefault(name, [])
        return SimpleNamespace(id=name, seed=seed, recipe=dict(RECIPE))

    def import_observations(self, study: Any, observations: Any, *, source: str) -> None:
        self.studies[study.id] = list(observations)
        if not self.studies[study.id]:
            raise Invalid({"title": "invalid", "detail": "at least one observation is needed"}, 422)

    def refit(self, study: Any) -> None:
        pass

    def scale(self, baseline: str, *, ratio: float, rule: str, study: Any, predictor: str | None, dataset: str) -> Any:
        if rule == "dwr" and ratio == 0.2:
            raise NotFound({"title": "no network", "detail": "no network"}, 404)
        warnings = [{"code": "off_curve"}] if rule == "compound" and ratio == 0.8 else []
        predicted = {"mean": 0.7, "sd": 0.01} if rule == "surrogate" else None
        about = [rule, ratio, study and study.id, predictor]
        config = small_mbconv(1)["baseline"] | {"num_classes": self._classes, "about": about}
        multipliers = {"r": 0.7, "d": 0.7, "w": 0.7, "r_sd": None}
        raw = {"config": config, "multipliers": multipliers, "warnings": warnings, "predicted_accuracy": predicted}
        return SimpleNamespace(raw=raw)

    def train(self, *, config: Any, dataset: str, recipe: Any, seed: int, priority: int) -> Any:
        return self._train(json.dumps([config, seed]), config, seed)

    def trial(self, id: str) -> Any:
        return self.finished[id]

    def trials(self, **_: Any) -> list[Any]:
        return []

    def _train(self, id: str, config: Any, seed: int) -> Any:
        self.requested.append(id)
        environment = {"data_digest": "abc", "device": next(self._devices), "threads": 1, "torch": "2",
                       "processor": "Fast, AVX2"}  # fmt: skip
        result = {"accuracy": 0.7, "test_accuracy": 0.71, "seconds": 20.0, "environment": environment,
                  "history": [{"validation_accuracy": 0.7}]}  # fmt: skip
        cost = network_cost(Config.from_json(config))
        state = "failed" if seed == self._failing_seed else "completed"
        self.finished[id] = SimpleNamespace(
            id=id, state=state, ended=True, seed=seed, config=config, recipe=RECIPE, dataset="typefaces",
            flops=cost.flops, params=cost.params, multipliers=None, result=result,
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
    assert {record.processor for record in records.items} == {"Fast, AVX2"}
    assert [line.split(":")[0] for line in experiment.missing] == ["dwr has no network at 0.200"]


def test_rules_without_a_study_get_no_prediction_of_a_predictor_that_is_active(tmp_path: Path) -> None:
    run(FakeClient(), tmp_path)
    predictors = {(r.rule, r.config["about"][3]) for r in read_records(find_files(tmp_path)).family}

    learned = {(rule, None) for rule in STUDY_RULES}
    assert predictors == {*learned, *((rule, "published-tinynets") for rule in SHARED_RULES)}


def test_networks_of_studies_have_the_classes_of_the_data_set(tmp_path: Path) -> None:
    run(FakeClient(classes=10), tmp_path)

    assert {r.config["num_classes"] for r in read_records(find_files(tmp_path)).items} == {10}


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


def test_other_machine_trains_only_what_is_not_recorded(tmp_path: Path) -> None:
    run(FakeClient(), tmp_path)
    (file,) = find_files(tmp_path)
    complete = file.read_text().splitlines(keepends=True)
    file.write_text("".join([*complete[:7], *complete[11:30]]))  # 6 of 8 random networks, 19 of 40 of the rules
    client = FakeClient()
    _, printed = run(client, tmp_path)

    assert "25 of them are recorded already." in printed
    assert len(client.requested) == 48 - 25
    assert sorted(map(without_trial, file.read_text().splitlines())) == sorted(map(without_trial, complete))


def without_trial(line: str) -> str:
    record = json.loads(line)
    record.pop("trial", None)
    return json.dumps(record, sort_keys=True)


def test_run_with_everything_recorded_appends_nothing(tmp_path: Path) -> None:
    run(FakeClient(), tmp_path)
    (file,) = find_files(tmp_path)
    before = file.read_text()
    client = FakeClient()
    run(client, tmp_path)

    assert file.read_text() == before
    assert client.requested == []


def test_recorded_studies_are_learned_from_without_training(tmp_path: Path) -> None:
    run(FakeClient(), tmp_path / "first")
    (file,) = find_files(tmp_path / "first")
    recorded = read_records([file]).studies
    client = FakeClient()
    design = replace(DESIGN, from_studies=(str(file),), rules=("surrogate",))
    run(client, tmp_path / "second", design)
    records = read_records(find_files(tmp_path / "second"))

    assert len(client.requested) == len(records.family) == 2 * 3 * 2
    assert records.studies == recorded
    imported = [observation for study in client.studies.values() for observation in study]
    assert [o["accuracy"] for o in imported] == [record.accuracy for record in recorded]
    assert [{name: o[name] for name in "rdw"} for o in imported] == [record.multipliers for record in recorded]


def test_records_with_another_recipe_are_not_learned_from(tmp_path: Path) -> None:
    run(FakeClient(), tmp_path / "first")
    (file,) = find_files(tmp_path / "first")
    file.write_text(file.read_text().replace('"epochs":1', '"epochs":2'))

    with pytest.raises(InvalidRecords, match="another recipe"):
        run(FakeClient(), tmp_path / "second", replace(DESIGN, from_studies=(str(file),)))


def test_study_whose_trainings_all_fail_is_reported_and_the_others_go_on(tmp_path: Path) -> None:
    experiment, _ = run(FakeClient(failing_seed=102), tmp_path)
    records = read_records(find_files(tmp_path))

    assert {record.study for record in records.studies} == {1}
    assert [line for line in experiment.missing if line.startswith("Study 2 has no predictor")]
    assert {record.rule for record in records.family} >= {"compound", "published"}


def test_trainings_of_different_devices_are_not_mixed(tmp_path: Path) -> None:
    with pytest.raises(InvalidRecords, match="another device"):
        run(FakeClient(devices=["cpu", "cuda"]), tmp_path)

    assert {record.kind for record in read_records(find_files(tmp_path)).items} == {"study"}


@pytest.mark.parametrize("change", [{"rules": ("compound", "best")}, {"budgets": (0.5,)}, {"budgets": (0.5, 1.5)}])
def test_impossible_designs_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidDesign):
        replace(DESIGN, **change)
