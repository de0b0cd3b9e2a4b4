"""Lists of trials in the order that a request asks for, page after page."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.core.settings import Settings
from app.core.trials import TrialResult, TrialState
from app.db.tables import TrialRow, utc_now
from app.db.unit_of_work import UnitOfWork
from app.services.trials import lifecycle
from tests.support import SMALL, claim_trial

pytestmark = pytest.mark.databases("sqlite", "postgresql")

Open = Callable[[], UnitOfWork]
TRIAL = {"architecture": "small", "dataset": "digits", "recipe": "digits-smoke"}
SORTS = ("created_at", "accuracy", "flops", "state", "architecture")


@pytest.fixture
def columns(client: TestClient, work: Open) -> dict[str, Any]:
    """The columns of a trial, to make others from."""
    assert client.post("/v1/architectures", json=SMALL).status_code == 201
    trial = client.post("/v1/trials", json=TRIAL).json()["id"]
    with work() as unit:
        row = unit.trials.get(trial)
        assert row is not None
        unit.trials.delete_with_contents(row)
        unit.commit()
        return {c.key: getattr(row, c.key) for c in row.__table__.columns if c.key != "id"}


def add_trials(work: Open, columns: dict[str, Any], n: int) -> None:
    """Add trials, many of which have the same values, and a third no accuracy."""
    first = utc_now()
    with work() as unit:
        for i in range(n):
            accuracy = None if i % 3 == 0 else (i * 7 % 5) / 10
            own = {
                "fingerprint": str(i),
                "state": TrialState.FAILED if accuracy is None else TrialState.COMPLETED,
                "accuracy": accuracy,
                "result": None if accuracy is None else TrialResult(accuracy, 1.0, {}),
                "flops": 10**6 * (i * 5 % 7 + 1),
                "architecture": f"network-{i % 2}",
                "created_at": first + timedelta(seconds=i // 2),
            }
            unit.trials.add(TrialRow(**columns | own))
        unit.commit()


def value_of(trial: dict[str, Any], name: str) -> Any:
    return trial["result"] and trial["result"]["accuracy"] if name == "accuracy" else trial[name]


def read_all(client: TestClient, limit: int, **query: Any) -> list[dict[str, Any]]:
    items, cursor = [], None
    while True:
        page = client.get("/v1/trials", params={**query, "limit": limit} | ({"cursor": cursor} if cursor else {}))
        assert page.status_code == 200, page.text
        items += page.json()["items"]
        cursor = page.json()["next"]
        if cursor is None:
            return items


@pytest.mark.parametrize("name", SORTS)
def test_pages_are_in_the_requested_order(client: TestClient, work: Open, columns: dict[str, Any], name: str) -> None:
    add_trials(work, columns, 20)
    for sort in (name, f"-{name}"):
        trials = read_all(client, 3, sort=sort)
        assert len({trial["id"] for trial in trials}) == len(trials) == 20
        values = [value_of(trial, name) for trial in trials]
        known = [value for value in values if value is not None]
        assert values == [*sorted(known, reverse=sort.startswith("-")), *[None] * (20 - len(known))]
        assert [t["id"] for t in read_all(client, 200, sort=sort)] == [t["id"] for t in trials]


def test_order_and_filters_are_combined(client: TestClient, work: Open, columns: dict[str, Any]) -> None:
    add_trials(work, columns, 20)
    trials = read_all(client, 2, sort="-accuracy", architecture="network-1", state="completed")
    accuracies = [trial["result"]["accuracy"] for trial in trials]
    assert len(trials) > 4 and accuracies == sorted(accuracies, reverse=True)
    assert {trial["architecture"] for trial in trials} == {"network-1"}


def test_trials_added_meanwhile_do_not_move_the_cursor(client: TestClient, work: Open, columns: dict[str, Any]) -> None:
    add_trials(work, columns, 9)
    page = client.get("/v1/trials", params={"sort": "-accuracy", "limit": 4}).json()
    with work() as unit:
        unit.trials.add(TrialRow(**columns | {"fingerprint": "new", "state": "completed", "accuracy": 1.0}))
        unit.commit()
    rest = client.get("/v1/trials", params={"sort": "-accuracy", "limit": 20, "cursor": page["next"]}).json()
    assert len({trial["id"] for trial in [*page["items"], *rest["items"]]}) == 9


def test_cursor_of_another_order_is_invalid(client: TestClient, work: Open, columns: dict[str, Any]) -> None:
    add_trials(work, columns, 4)
    cursor = client.get("/v1/trials", params={"sort": "flops", "limit": 1}).json()["next"]
    for sort in ("-flops", "accuracy", "created_at"):
        answer = client.get("/v1/trials", params={"sort": sort, "cursor": cursor})
        assert answer.status_code == 422, answer.text
    assert client.get("/v1/trials", params={"sort": "seed"}).status_code == 422


def test_completed_trial_is_sorted_by_its_accuracy(
    client: TestClient, work: Open, columns: dict[str, Any], settings: Settings
) -> None:
    for seed, accuracy in enumerate((0.5, 0.9, 0.7)):
        trial = client.post("/v1/trials", json={**TRIAL, "seed": seed}).json()["id"]
        claim = claim_trial(work, trial, settings)
        with work() as unit:
            assert lifecycle.complete(unit, claim, TrialResult(accuracy, 1.0, {}))
    assert [value_of(t, "accuracy") for t in read_all(client, 1, sort="-accuracy")] == [0.9, 0.7, 0.5]
