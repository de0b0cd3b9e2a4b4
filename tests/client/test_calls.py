"""Each method of the client, against a service."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import pytest

import rdw_client
from app.services.trials import artifacts
from rdw_client import AsyncClient, Client, request
from tests.serving import RunningService, serve_api

CONFIG_OF = {"r": 1.0, "d": 1.0, "w": 1.0}
TRIAL: dict[str, Any] = {"dataset": "digits", "recipe": "digits-smoke"}


@pytest.fixture
def study(rdw: Client) -> str:
    return rdw.create_study("mine", "small", "digits", trials=3, space={"ratio": [0.3, 1.0]}).id


@pytest.fixture
def study_with_results(rdw: Client, study: str) -> str:
    """Nine imported observations."""
    results = [
        {"r": r, "d": 1.0, "w": w, "accuracy": 0.5 + 0.2 * r * w} for r in (0.6, 0.8, 1.0) for w in (0.5, 0.8, 1.1)
    ]
    assert rdw.import_observations(study, results, source="elsewhere").imported == 9
    return study


def test_scale_meets_the_budget(rdw: Client) -> None:
    found = rdw.scale("efficientnet_b0", flops=200_000_000, budget={"mode": "at_most"})

    assert found.cost.flops <= 200_000_000 < 1.01 * found.cost.flops
    assert found.config["resolution"] == found.raw["config"]["resolution"]
    assert found.predicted_accuracy is not None and 0.7 < found.predicted_accuracy.mean < 0.8
    assert found.predictor is not None and found.predictor.id == "published-tinynets"
    assert found.multipliers.w_interval is None or found.multipliers.w_interval[0] <= found.multipliers.w


def test_family_and_compare(rdw: Client) -> None:
    family = rdw.family("efficientnet_b0", ratios=[0.5], flops=[100_000_000])
    assert [round(one.cost.flops / 1e6) for one in family.items] == [100, 193]

    compared = rdw.compare("mobilenetv3_small_050", ratio=0.6, rules=["width", "surrogate"])
    assert [one.rule for one in compared.items] == ["width", "surrogate"]
    assert compared.items[0].answer is not None
    assert compared.items[1].problem


def test_cost_of_architecture_and_config_agree(rdw: Client) -> None:
    whole = rdw.cost("small")
    assert rdw.cost(config=whole.config).cost == whole.cost
    assert sum(stage["flops"] for stage in whole.cost.stages) == whole.cost.flops


def test_architectures_can_be_listed_read_and_registered(rdw: Client) -> None:
    assert {"efficientnet_b0", "small"} <= {one.name for one in rdw.architectures()}
    small = rdw.architecture("small")
    assert not small.built_in
    assert small.baseline is not None and small.rules is not None
    again = rdw.register_architecture({"name": "small", "baseline": small.baseline, "rules": {"divisor": 4}})
    assert again.flops == small.flops


def test_datasets_are_listed_and_unknown_folder_is_refused(rdw: Client, service: RunningService) -> None:
    assert "digits" in {one.name for one in rdw.datasets()}
    with pytest.raises(rdw_client.Invalid) as refused:
        rdw.register_dataset("pets", "nowhere")
    assert refused.value.kind == "unknown-dataset"


def test_estimate_of_study_creates_nothing(rdw: Client) -> None:
    studies = list(rdw.studies())
    four, eight = (rdw.estimate_study("small", "digits", recipe="digits-smoke", trials=n) for n in (4, 8))

    assert 0 < four.low <= four.seconds <= four.high
    assert four.seconds < eight.seconds
    assert list(rdw.studies()) == studies


def test_trial_life_cycle(rdw: Client, service: RunningService, tmp_path: Path) -> None:
    estimate = rdw.estimate("small", **TRIAL)
    assert estimate.low <= estimate.seconds <= estimate.high
    before = rdw.queue().queued
    trial = rdw.train("small", **TRIAL, multipliers=CONFIG_OF)
    assert trial.state == "queued"
    assert rdw.train("small", **TRIAL).id == trial.id
    assert rdw.queue().queued == before + 1
    assert rdw.cancel_trial(trial).state == "cancelled"
    assert rdw.retry_trial(trial.id).state == "queued"

    service.finish(trial.id)

    done = rdw.trial(trial)
    assert (done.state, done.accuracy) == ("completed", 0.9)
    assert [event.data["state"] for event in rdw.events(trial)] == [
        "queued",
        "cancelled",
        "queued",
        "running",
        "completed",
    ]
    assert trial.id in {one.id for one in rdw.trials(state="completed", architecture="small")}
    with pytest.raises(rdw_client.NotFound):
        rdw.download(trial, "log.csv", tmp_path)
    assert list(tmp_path.iterdir()) == []

    left = artifacts.artifact_folder(service.settings.data_dir, trial.id)
    left.mkdir(parents=True)
    (left / "log.csv").write_text("epoch\n1\n")
    assert rdw.download(trial, "log.csv", tmp_path).read_text() == "epoch\n1\n"
    assert [file.name for file in tmp_path.iterdir()] == ["log.csv"]


def test_changes_are_followed(rdw: Client, service: RunningService) -> None:
    changes = rdw.changes(seconds=60)
    assert next(changes).kind == "open"
    trial = rdw.train("small", **TRIAL, seed=9, multipliers={"r": 0.7})
    change = next(changes)
    assert change.kind == "trials" and trial.id in change.data["ids"]
    changes.close()

    assert [event.kind for event in rdw.changes(seconds=1)] == ["open"]
    with pytest.raises(rdw_client.Invalid):
        next(rdw.changes(seconds=0))
    with pytest.raises(rdw_client.Unreachable), Client("http://127.0.0.1:9") as away:
        next(away.changes())


def test_lists_span_pages(rdw: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request, "PAGE_SIZE", 2)
    created = {rdw.train("small", **TRIAL, seed=seed, multipliers={"r": 0.7}).id for seed in range(5)}

    assert created <= {trial.id for trial in rdw.trials()}
    flops = [trial.flops for trial in rdw.trials(sort="flops")]
    assert flops == sorted(flops) and len(flops) >= 5


def test_study_life_cycle(rdw: Client, study: str) -> None:
    assert rdw.start_study(study).state == "running"
    assert rdw.pause_study(study).state == "paused"
    assert rdw.resume_study(study).state == "running"
    assert rdw.cancel_study(study).state == "cancelled"
    assert rdw.study(study).trials["cancelled"] == 3
    assert study in {one.id for one in rdw.studies(architecture="small")}


def test_ask_and_tell(rdw: Client, study: str) -> None:
    suggestion, other = rdw.ask(study, client="me", n=2)
    response = rdw.tell(study, suggestion, accuracy=0.7, seconds=3, metrics={"f1": 0.6})
    assert response.suggestion is not None and response.suggestion.state == "reported"
    assert rdw.tell(study, other.id, infeasible="it does not fit").observation is None
    assert {one.id for one in rdw.suggestions(study)} == {suggestion.id, other.id}
    assert [one.id for one in rdw.suggestions(study, state="infeasible")] == [other.id]
    assert rdw.tell(study, multipliers={"r": 0.9, "d": 1.0, "w": 0.9}, accuracy=0.71).observation
    assert [one.role for one in rdw.observations(study)] == ["reported", "reported"]
    assert "reported" in rdw.observations_csv(study)


def test_study_results(rdw: Client, study_with_results: str) -> None:
    assert rdw.import_csv(study_with_results, "r,d,w,accuracy\n0.7,1.0,0.7,0.66\n", source="a table").imported == 1
    bad = rdw.tell(study_with_results, multipliers={"r": 0.5, "d": 1.0, "w": 0.5}, accuracy=1.0).observation
    assert bad is not None
    assert rdw.retract(study_with_results, bad, "a slip of the pen").retraction_reason == "a slip of the pen"
    front = rdw.front(study_with_results, k=5)
    assert [n.flops for n in front.items] == sorted(n.flops for n in front.items)
    assert rdw.correlations(study_with_results).r.pearson is not None
    assert rdw.calibration(study_with_results).trials == 0
    assert rdw.figure(study_with_results, "accuracy-against-flops", "png").startswith(b"\x89PNG")


def test_predictor_life_cycle(rdw: Client, study_with_results: str) -> None:
    fitted = rdw.refit(study_with_results, k=9)
    assert not fitted.active
    assert fitted.id in {one.id for one in rdw.predictors(architecture="small")}
    assert rdw.predictor(fitted).points
    seen = rdw.predictor(fitted)
    assert rdw.activate(seen, if_match=seen.etag).active
    curve = rdw.curve(fitted, steps=4)
    assert len(curve.items) == 4
    assert curve.items[0].r_sd > 0
    assert rdw.predictor_calibration(fitted).trials == 0
    assert (
        rdw.train_family(study_with_results, ratios=[0.6], rules=["tiny_formula"], predictor=fitted.id).items[0].trials
    )
    assert rdw.trained_family(study_with_results).items[0].rule == "tiny_formula"


def test_health_and_workers(rdw: Client, service: RunningService) -> None:
    assert rdw.health().status == "ok"
    with service.work() as work:
        work.workers.record_heartbeat("a-host:7", 2, None)
        work.commit()
    assert [(w.name, w.alive) for w in rdw.workers()] == [("a-host:7", True)]
    assert rdw.ready().ready


def test_async_client(service: RunningService, tmp_path: Path) -> None:
    async def use_async_client() -> None:
        async with AsyncClient(service.url) as rdw:
            scaled = rdw.scale("small", ratio=0.5)
            assert isinstance(scaled, Awaitable)
            assert (await scaled).cost.flops > 0
            trial = await rdw.train("small", **TRIAL, seed=77)
            assert trial.id in [one.id async for one in rdw.trials()]
            waiting = asyncio.create_task(rdw.wait(trial))
            await asyncio.to_thread(service.finish, trial.id)
            assert (await waiting).accuracy == 0.9
            assert [e.data["state"] async for e in rdw.events(trial)] == ["queued", "running", "completed"]
            study = await rdw.create_study("async", "small", "digits", trials=1)
            await rdw.start_study(study)
            await rdw.cancel_study(study)
            with pytest.raises(rdw_client.StudyCancelled):
                await rdw.wait_for_study(study)
            with pytest.raises(rdw_client.NotFound):
                await rdw.download(trial, "log.csv", tmp_path)

    asyncio.run(use_async_client())


def test_problems_raise_the_class_for_their_status(rdw: Client) -> None:
    with pytest.raises(rdw_client.TargetOutOfRange) as unreachable:
        rdw.scale("efficientnet_b0", flops=2)
    assert unreachable.value.min_flops is not None and unreachable.value.min_flops > 2
    assert unreachable.value.nearest is not None and "config" in unreachable.value.nearest
    with pytest.raises(rdw_client.Invalid, match="/target/flops") as invalid:
        rdw.scale("small", flops=-1)
    assert invalid.value.errors[0]["pointer"] == "/target/flops"
    with pytest.raises(rdw_client.NotFound):
        rdw.trial("0" * 32)
    trial = rdw.train("small", **TRIAL, seed=5)
    with pytest.raises(rdw_client.Conflict):
        rdw.retry_trial(trial)


def test_problem_message_repeats_nothing(rdw: Client) -> None:
    for ask in (
        lambda: rdw.scale("small", ratio=0.5, version=7),
        lambda: rdw.curve("published-tinynets", min_c=1, max_c=0.5),
    ):
        with pytest.raises(rdw_client.Invalid) as refused:
            ask()
        assert str(refused.value) == refused.value.detail
    with pytest.raises(rdw_client.Invalid, match=r"/seed: .*\n  /priority: "):
        rdw.train("small", dataset="digits", seed=-1, priority=99)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_non_finite_numbers_are_refused_by_path(rdw: Client, number: float) -> None:
    for name, ask in {
        "target.ratio": lambda: rdw.scale("small", ratio=number),
        r"targets\[1\].ratio": lambda: rdw.family("small", ratios=[0.5, number]),
        "multipliers.r": lambda: rdw.cost("small", multipliers={"r": number}),
        "accuracy": lambda: rdw.tell("0" * 32, accuracy=number),
        "min_c": lambda: rdw.curve("published-tinynets", min_c=number),
    }.items():
        with pytest.raises(ValueError, match=f"^{name} is {number}: "):
            ask()


def test_keys_are_created_listed_and_revoked(tmp_path: Path) -> None:
    digest = hashlib.sha256(b"a key of the settings").hexdigest()
    with serve_api(tmp_path, digest) as guarded, Client(guarded.url, "a key of the settings") as rdw:
        key = rdw.create_api_key("ci", "read", lifetime_days=1)
        assert key.secret is not None and key.secret not in repr(key)
        with Client(guarded.url, key.secret) as ci:
            assert ci.queue().queued == 0
            with pytest.raises(rdw_client.Unauthorized):
                list(ci.api_keys())
        assert [(one.name, one.state, one.secret) for one in rdw.api_keys()] == [("ci", "live", None)]

        assert rdw.revoke_api_key(key).state == rdw.api_key(key.id).state == "revoked"

        with Client(guarded.url, key.secret) as ci, pytest.raises(rdw_client.Unauthorized):
            ci.queue()
