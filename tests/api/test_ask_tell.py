"""Ask and tell: what AutoML tools that train elsewhere live by."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update

from app.db.tables import SuggestionRow
from app.db.unit_of_work import UnitOfWork
from app.services import asking, studies
from app.services.proposing import key_of
from app.settings import Settings
from tests.support import SMALL

Open = Callable[[], UnitOfWork]
WIDE = {"r": [0.5, 2], "d": [0.4, 3], "w": [0.3, 3], "ratio": [0.1, 3]}


@pytest.fixture
def study(client: TestClient) -> str:
    body = {"name": "elsewhere", "architecture": SMALL, "dataset": "digits", "trials": 5, "space": WIDE}
    answer = client.post("/v1/studies", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def asked(api: TestClient, study: str, **body: Any) -> list[dict[str, Any]]:
    answer = api.post(f"/v1/studies/{study}/ask", json=body)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


def told(api: TestClient, study: str, **body: Any) -> dict[str, Any]:
    answer = api.post(f"/v1/studies/{study}/tell", json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def networks(items: list[dict[str, Any]]) -> set[tuple[int, int, int]]:
    return {(item["config"]["resolution"], item["flops"], item["params"]) for item in items}


def accuracy_of(item: dict[str, Any]) -> float:
    """Never seen before: more flops and a resolution of about 1 are good."""
    return float(0.5 + 0.1 * item["ratio"] ** 0.5 - 0.05 * (item["multipliers"]["r"] - 1) ** 2)


def test_a_client_gets_what_it_has_not_answered_again_and_another_client_gets_others(
    client: TestClient, study: str
) -> None:
    mine = asked(client, study, client="a", n=3)

    assert [item["id"] for item in asked(client, study, client="a", n=3)] == [item["id"] for item in mine]
    more = asked(client, study, client="a", n=5)
    assert [item["id"] for item in more[:3]] == [item["id"] for item in mine]
    theirs = asked(client, study, client="b", n=4)
    assert len(networks(more) | networks(theirs)) == 9


def test_suggestions_lie_in_the_space_and_their_cost_is_exact(client: TestClient, study: str) -> None:
    items = asked(client, study, n=10)

    whole = client.post("/v1/cost", json={"architecture": SMALL}).json()["cost"]["flops"]
    for item in items:
        cost = client.post("/v1/cost", json={"config": item["config"]}).json()["cost"]
        assert (cost["flops"], cost["params"]) == (item["flops"], item["params"])
        assert 0.1 <= item["flops"] / whole <= 3
        for name in ("r", "d", "w"):
            assert WIDE[name][0] <= item["multipliers"][name] <= WIDE[name][1]


def test_what_is_told_counts_once_and_nothing_else_may_be_told_afterwards(client: TestClient, study: str) -> None:
    (item,) = asked(client, study)

    first = told(client, study, suggestion=item["id"], accuracy=0.7, metrics={"f1": 0.6}, latency_ms=2.0)
    assert told(client, study, suggestion=item["id"], accuracy=0.7, metrics={"f1": 0.6}, latency_ms=2.0) == first
    other = client.post(f"/v1/studies/{study}/tell", json={"suggestion": item["id"], "accuracy": 0.8})

    assert (other.status_code, other.json()["type"]) == (409, "/problems/conflict")
    (observation,) = client.get(f"/v1/studies/{study}/observations").json()["items"]
    assert observation["id"] == first["observation"]
    assert (observation["accuracy"], observation["flops"], observation["role"]) == (0.7, item["flops"], "told")
    assert observation["latency_ms"] == 2.0
    assert observation["provenance"]["metrics"] == {"f1": 0.6}


def test_an_infeasible_network_is_not_suggested_again_and_counts_as_nothing(client: TestClient, study: str) -> None:
    (item,) = asked(client, study)

    answer = told(client, study, suggestion=item["id"], infeasible="out of memory")

    assert (answer["observation"], answer["suggestion"]["state"]) == (None, "infeasible")
    assert answer["suggestion"]["reason"] == "out of memory"
    assert networks([item]).isdisjoint(networks(asked(client, study, n=20)))
    assert client.get(f"/v1/studies/{study}/observations").json()["items"] == []


def test_what_is_told_after_the_lease_is_kept_and_marked(client: TestClient, study: str, work: Open) -> None:
    (item,) = asked(client, study, lease_seconds=60)
    with work() as unit:
        unit.session.execute(update(SuggestionRow).values(lease_expires_at=1.0))
        unit.commit()
    others = asked(client, study, client="another", n=5)

    answer = told(client, study, suggestion=item["id"], accuracy=0.6)

    assert networks([item]).isdisjoint(networks(others))
    assert answer["suggestion"]["late"] is True
    (observation,) = client.get(f"/v1/studies/{study}/observations").json()["items"]
    assert (observation["accuracy"], observation["provenance"]["late"]) == (0.6, True)


def test_multipliers_of_the_clients_own_can_be_told_and_are_not_suggested(client: TestClient, study: str) -> None:
    own = {"r": 1.0, "d": 1.0, "w": 1.0}

    answer = told(client, study, multipliers=own, accuracy=0.66, client="an optimiser of its own")

    (observation,) = client.get(f"/v1/studies/{study}/observations").json()["items"]
    assert (answer["observation"], answer["suggestion"]) == (observation["id"], None)
    assert observation["provenance"]["source"] == "an optimiser of its own"
    seen = (observation["resolution"], observation["flops"], observation["params"])
    assert seen not in networks(asked(client, study, n=50))


@pytest.mark.parametrize(
    "body",
    [
        {"accuracy": 0.5},
        {"suggestion": "0" * 32},
        {"suggestion": "0" * 32, "accuracy": 0.5, "infeasible": "no"},
        {"suggestion": "0" * 32, "multipliers": {"r": 1, "d": 1, "w": 1}, "accuracy": 0.5},
        {"multipliers": {"r": 1, "d": 1, "w": 1}, "infeasible": "no"},
        {"suggestion": "0" * 32, "accuracy": 1.5},
    ],
    ids=["of what", "no accuracy", "both", "of two things", "own and infeasible", "no accuracy that is one"],
)
def test_what_makes_no_sense_is_refused(client: TestClient, study: str, body: dict[str, Any]) -> None:
    answer = client.post(f"/v1/studies/{study}/tell", json=body)

    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/validation")


def test_a_suggestion_of_another_study_is_not_found_and_a_cancelled_study_suggests_nothing(
    client: TestClient, study: str
) -> None:
    (item,) = asked(client, study)
    body = {"name": "other", "architecture": SMALL, "dataset": "digits", "trials": 5, "space": WIDE}
    other = client.post("/v1/studies", json=body).json()["id"]
    client.post(f"/v1/studies/{other}/cancel")

    answer = client.post(f"/v1/studies/{other}/tell", json={"suggestion": item["id"], "accuracy": 0.5})
    assert answer.status_code == 404
    assert client.post(f"/v1/studies/{other}/ask").status_code == 409


def test_a_space_that_is_used_up_says_so(client: TestClient) -> None:
    space = {"r": [1, 1], "d": [1, 1], "w": [0.5, 1.5], "ratio": [0.2, 2]}
    body = {"name": "narrow", "architecture": SMALL, "dataset": "digits", "trials": 2, "space": space}
    study = client.post("/v1/studies", json=body).json()["id"]

    answer = client.post(f"/v1/studies/{study}/ask", json={"n": 100})

    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/validation")
    assert "different networks" in answer.json()["detail"]


def test_clients_that_ask_at_once_get_different_networks(study: str, settings: Settings, work: Open) -> None:
    def ask(client: int) -> list[str]:
        with work() as unit:
            return [row.network for row in asking.ask(unit, study, f"client {client}", 5, 60)]

    with ThreadPoolExecutor(4) as pool:
        found = [network for networks in pool.map(ask, range(4)) for network in networks]

    assert len(set(found)) == 20


def test_a_client_that_asks_twice_at_once_gets_the_same_twice(study: str, work: Open) -> None:
    def ask(_: int) -> list[str]:
        with work() as unit:
            return [row.id for row in asking.ask(unit, study, "the same", 3, 60)]

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(ask, range(4)))

    assert found == [found[0]] * 4


def test_the_sampler_learns_from_what_is_told_and_its_predictions_are_held_against_the_truth(
    client: TestClient, study: str
) -> None:
    for _ in range(14):
        (item,) = asked(client, study)
        told(client, study, suggestion=item["id"], accuracy=accuracy_of(item))

    (item,) = asked(client, study)
    expected = item["predicted_accuracy"]
    assert expected["mean"] == pytest.approx(accuracy_of(item), abs=0.05)
    calibration = client.get(f"/v1/studies/{study}/calibration").json()
    assert calibration["trials"] == 6  # the first eight were an even design
    assert 0 <= calibration["inside_50"] <= calibration["inside_90"] <= 1
    figure = client.get(f"/v1/studies/{study}/figures/predicted-against-measured.csv").text
    assert len(figure.splitlines()) == 7


def test_what_a_study_trains_itself_is_not_suggested(client: TestClient, study: str, work: Open) -> None:
    client.post(f"/v1/studies/{study}/start")

    suggested = {key_of(network) for network in networks(asked(client, study, n=30))}

    with work() as unit:
        study_row = studies.find(unit, study)
        trained = {key_of((t.resolution, t.flops, t.params)) for t in unit.trials.networks_of_study(study_row.id)}
    assert len(trained) == 5
    assert suggested.isdisjoint(trained)
