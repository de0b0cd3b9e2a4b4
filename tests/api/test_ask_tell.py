"""Ask and tell, for AutoML tools that train elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, update

from app.core.settings import Settings
from app.db.tables import StudyRow, SuggestionRow
from app.db.unit_of_work import UnitOfWork
from app.scaling.errors import SpaceExhausted
from app.services.studies import ask_tell, proposals, studies
from app.services.studies.proposals import encode_key
from app.services.trials import lifecycle
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


def test_unanswered_suggestions_are_repeated_to_their_client_only(client: TestClient, study: str) -> None:
    mine = asked(client, study, client="a", n=3)

    assert [item["id"] for item in asked(client, study, client="a", n=3)] == [item["id"] for item in mine]
    more = asked(client, study, client="a", n=5)
    assert [item["id"] for item in more[:3]] == [item["id"] for item in mine]
    theirs = asked(client, study, client="b", n=4)
    assert len(networks(more) | networks(theirs)) == 9


def test_suggestions_of_all_clients_are_listed_newest_first(client: TestClient, study: str) -> None:
    first, second = asked(client, study, client="a", n=2)
    (third,) = asked(client, study, client="b")
    answered = told(client, study, suggestion=first["id"], accuracy=0.7)["suggestion"]
    refused = told(client, study, suggestion=second["id"], infeasible="out of memory")["suggestion"]
    path = f"/v1/studies/{study}/suggestions"

    page = client.get(path, params={"limit": 2}).json()
    rest = client.get(path, params={"limit": 2, "cursor": page["next"]}).json()

    assert page["items"] + rest["items"] == [third, refused, answered]
    assert rest["next"] is None
    for state, item in (("pending", third), ("reported", answered), ("infeasible", refused)):
        assert client.get(path, params={"state": state}).json() == {"items": [item], "next": None}


def test_suggestions_of_another_study_are_not_listed(client: TestClient, study: str) -> None:
    asked(client, study)
    body = {"name": "other", "architecture": SMALL, "dataset": "digits", "trials": 5, "space": WIDE}
    other = client.post("/v1/studies", json=body).json()["id"]

    assert client.get(f"/v1/studies/{other}/suggestions").json() == {"items": [], "next": None}
    assert client.get(f"/v1/studies/{'0' * 32}/suggestions").status_code == 404


@pytest.mark.parametrize("query", ["state=open", "limit=0", "limit=201", "cursor=none"])
def test_invalid_query_for_suggestions_is_refused(client: TestClient, study: str, query: str) -> None:
    answer = client.get(f"/v1/studies/{study}/suggestions?{query}")

    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/validation")


def test_suggestions_are_in_the_space_with_exact_cost(client: TestClient, study: str) -> None:
    items = asked(client, study, n=10)

    whole = client.post("/v1/cost", json={"architecture": SMALL}).json()["cost"]["flops"]
    for item in items:
        cost = client.post("/v1/cost", json={"config": item["config"]}).json()["cost"]
        assert (cost["flops"], cost["params"]) == (item["flops"], item["params"])
        assert 0.1 <= item["flops"] / whole <= 3
        for name in ("r", "d", "w"):
            assert WIDE[name][0] <= item["multipliers"][name] <= WIDE[name][1]


def test_only_first_result_of_a_suggestion_counts(client: TestClient, study: str) -> None:
    (item,) = asked(client, study)

    first = told(client, study, suggestion=item["id"], accuracy=0.7, metrics={"f1": 0.6}, latency_ms=2.0)
    assert told(client, study, suggestion=item["id"], accuracy=0.7, metrics={"f1": 0.6}, latency_ms=2.0) == first
    other = client.post(f"/v1/studies/{study}/tell", json={"suggestion": item["id"], "accuracy": 0.8})

    assert (other.status_code, other.json()["type"]) == (409, "/problems/conflict")
    (observation,) = client.get(f"/v1/studies/{study}/observations").json()["items"]
    assert observation["id"] == first["observation"]
    assert (observation["accuracy"], observation["flops"], observation["role"]) == (0.7, item["flops"], "reported")
    assert observation["latency_ms"] == 2.0
    assert observation["provenance"]["metrics"] == {"f1": 0.6}


def test_infeasible_network_is_not_counted_or_suggested(client: TestClient, study: str) -> None:
    (item,) = asked(client, study)

    answer = told(client, study, suggestion=item["id"], infeasible="out of memory")

    assert (answer["observation"], answer["suggestion"]["state"]) == (None, "infeasible")
    assert answer["suggestion"]["reason"] == "out of memory"
    assert networks([item]).isdisjoint(networks(asked(client, study, n=20)))
    assert client.get(f"/v1/studies/{study}/observations").json()["items"] == []


def test_result_is_corrected_after_a_retraction_and_after_infeasible(client: TestClient, study: str) -> None:
    first, second = asked(client, study, n=2)
    wrong = told(client, study, suggestion=first["id"], accuracy=0.7)["observation"]
    told(client, study, suggestion=second["id"], infeasible="out of memory")
    client.post(f"/v1/studies/{study}/observations/{wrong}/retract", json={"reason": "wrong run"})

    corrected = told(client, study, suggestion=first["id"], accuracy=0.75)
    trained = told(client, study, suggestion=second["id"], accuracy=0.6)

    assert told(client, study, suggestion=first["id"], accuracy=0.75) == corrected
    assert (trained["suggestion"]["state"], trained["suggestion"]["reason"]) == ("reported", None)
    assert (
        client.post(f"/v1/studies/{study}/tell", json={"suggestion": first["id"], "accuracy": 0.7}).status_code == 409
    )
    observations = client.get(f"/v1/studies/{study}/observations").json()["items"]
    assert [(o["accuracy"], o["retracted_at"] is None) for o in observations] == [
        (0.7, False),
        (0.75, True),
        (0.6, True),
    ]
    front = client.get(f"/v1/studies/{study}/front").json()["items"]
    assert {network["accuracy"] for network in front} == {0.75, 0.6}


def test_interim_results_are_stored_and_are_no_observations(client: TestClient, study: str) -> None:
    (item,) = asked(client, study)

    answer = told(client, study, suggestion=item["id"], accuracy=0.4, epoch=2)
    told(client, study, suggestion=item["id"], accuracy=0.3, epoch=1)

    assert (answer["observation"], answer["go_on"], answer["suggestion"]["state"]) == (None, True, "pending")
    assert client.get(f"/v1/studies/{study}/observations").json()["items"] == []
    final = told(client, study, suggestion=item["id"], accuracy=0.5)
    assert [(one["epoch"], one["accuracy"]) for one in final["suggestion"]["interim"]] == [(1, 0.3), (2, 0.4)]
    late = client.post(f"/v1/studies/{study}/tell", json={"suggestion": item["id"], "accuracy": 0.6, "epoch": 3})
    assert late.status_code == 409


def test_halving_stops_the_worst_interim_results(client: TestClient) -> None:
    """Every training continues past a rung until three have reached it; then the best third does."""
    body = {"name": "halved", "architecture": SMALL, "dataset": "digits", "trials": 5, "space": WIDE}
    body |= {"halving": {"eta": 3, "min_epochs": 3}, "recipe": {"epochs": 9}}
    study = client.post("/v1/studies", json=body).json()["id"]
    items = sorted(asked(client, study, n=4), key=lambda item: item["flops"])

    def go_on(item: dict[str, Any], accuracy: float, epoch: int) -> bool:
        return bool(told(client, study, suggestion=item["id"], accuracy=accuracy, epoch=epoch)["go_on"])

    accuracies = [0.9, 0.6, 0.5, 0.4]
    assert [go_on(item, 0.1, 2) for item in items] == [True] * 4
    assert [go_on(item, a, 3) for item, a in zip(items, accuracies, strict=True)] == [True, True, False, False]
    assert go_on(items[0], 0.95, 4) and not go_on(items[3], 0.95, 4)


def test_halving_compares_interim_results_with_trials(client: TestClient, work: Open, settings: Settings) -> None:
    """Two trials have reached the rung with better accuracies, so a more expensive and worse network stops there."""
    body = {"name": "halved", "architecture": SMALL, "dataset": "digits", "trials": 2, "space": WIDE}
    body |= {"halving": {"eta": 3, "min_epochs": 3}, "recipe": {"epochs": 9}}
    study = client.post("/v1/studies", json=body).json()["id"]
    client.post(f"/v1/studies/{study}/start")
    for _ in range(2):
        with work() as unit:
            claim = lifecycle.claim(unit, "a worker", settings)
        assert claim is not None
        with work() as unit:
            lifecycle.reach_rung(unit, claim, 3, 0.9)
    item = max(asked(client, study, n=4), key=lambda item: item["flops"])

    assert told(client, study, suggestion=item["id"], accuracy=0.1, epoch=3)["go_on"] is False


def test_late_result_is_stored_and_marked(client: TestClient, study: str, work: Open) -> None:
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


def test_results_for_own_multipliers_are_accepted(client: TestClient, study: str) -> None:
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
        {"suggestion": "0" * 32, "infeasible": "no", "epoch": 1},
        {"multipliers": {"r": 1, "d": 1, "w": 1}, "accuracy": 0.5, "epoch": 1},
    ],
    ids=[
        "of what",
        "no accuracy",
        "both",
        "of two things",
        "own and infeasible",
        "no accuracy that is one",
        "interim and infeasible",
        "interim and own",
    ],
)
def test_what_makes_no_sense_is_refused(client: TestClient, study: str, body: dict[str, Any]) -> None:
    answer = client.post(f"/v1/studies/{study}/tell", json=body)

    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/validation")


def test_other_or_cancelled_studies_accept_no_suggestion(client: TestClient, study: str) -> None:
    (item,) = asked(client, study)
    body = {"name": "other", "architecture": SMALL, "dataset": "digits", "trials": 5, "space": WIDE}
    other = client.post("/v1/studies", json=body).json()["id"]
    client.post(f"/v1/studies/{other}/cancel")

    answer = client.post(f"/v1/studies/{other}/tell", json={"suggestion": item["id"], "accuracy": 0.5})
    assert answer.status_code == 404
    assert client.post(f"/v1/studies/{other}/ask").status_code == 409


def test_exhausted_space_is_reported(client: TestClient) -> None:
    space = {"r": [1, 1], "d": [1, 1], "w": [0.5, 1.5], "ratio": [0.2, 2]}
    body = {"name": "narrow", "architecture": SMALL, "dataset": "digits", "trials": 2, "space": space}
    study = client.post("/v1/studies", json=body).json()["id"]

    first = asked(client, study, client="a", n=100)
    answer = client.post(f"/v1/studies/{study}/ask", json={"client": "b"})

    assert 2 <= len(networks(first)) == len(first) < 100
    assert [item["id"] for item in asked(client, study, client="a", n=100)] == [item["id"] for item in first]
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/space-exhausted")


@pytest.mark.parametrize(
    ("resolution", "space", "n"),
    [
        (16, {"d": [1, 1]}, 1),
        (8, {}, 20),
        (33, {"r": [0.9, 1], "d": [0.5, 2], "w": [0.5, 1.5], "ratio": [0.2, 1]}, 20),
        (128, {"r": [0.1, 6], "d": [0.1, 9], "w": [0.1, 4], "ratio": [0.001, 1000]}, 100),
    ],
    ids=["tiny", "tiniest", "ordinary", "huge"],
)
def test_clients_that_ask_until_the_space_is_exhausted_share_its_networks(
    client: TestClient, work: Open, resolution: int, space: dict[str, Any], n: int
) -> None:
    """The huge space is not asked to its end; every answer has to come all the same."""
    tiny = {**SMALL, "baseline": {**SMALL["baseline"], "resolution": resolution}}
    body = {"name": "small", "architecture": tiny, "dataset": "digits", "trials": 2, "space": space}
    created = client.post("/v1/studies", json=body)
    assert created.status_code == 201, created.text

    def ask_to_the_end(client: int) -> list[str]:
        found: list[str] = []
        for i in range(2 if n == 100 else 1000):
            try:
                rows = ask_tell.ask(work, work, created.json()["id"], f"client {client} {i}", n, 60)
            except SpaceExhausted:
                return found
            found += [row.network for row in rows]
        return found

    with ThreadPoolExecutor(8) as pool:
        found = [network for networks in pool.map(ask_to_the_end, range(8)) for network in networks]

    assert len(found) == len(set(found)) > 8


@pytest.fixture
def fast_process(work: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process, which is faster: it gets the networks before they are stored for this one."""
    propose = proposals.propose

    def propose_and_lose(*args: Any, **options: Any) -> Any:
        proposed = propose(*args, **options)
        with work() as unit:
            study_row = unit.session.scalars(select(StudyRow)).one()
            for network in proposed.networks:
                cost, config, multipliers = network.cost, network.config, network.multipliers
                row = SuggestionRow(
                    study_id=study_row.id, client="fast", config=config, flops=cost.flops, params=cost.params,
                    network=encode_key((config.resolution, cost.flops, cost.params)), ratio=1.0, predicted=None,
                    r=multipliers.r, d=multipliers.d, w=multipliers.w, lease_expires_at=0.0,
                )  # fmt: skip
                unit.suggestions.add(row)
            unit.commit()
        return proposed

    monkeypatch.setattr(proposals, "propose", propose_and_lose)


@pytest.mark.parametrize("results", [0, 12])
@pytest.mark.usefixtures("fast_process")
def test_a_client_gets_other_networks_if_a_faster_process_gets_the_proposed_ones(
    client: TestClient, study: str, results: int
) -> None:
    for item in asked(client, study, client="earlier", n=results) if results else []:
        told(client, study, suggestion=item["id"], accuracy=accuracy_of(item))

    items = asked(client, study, n=3)

    assert len(networks(items)) == 3
    assert all((item["predicted_accuracy"] is not None) == (results > 0) for item in items)


@pytest.mark.usefixtures("fast_process")
def test_space_is_exhausted_if_a_faster_process_gets_its_last_networks(client: TestClient) -> None:
    space = {"r": [1, 1], "d": [1, 1], "w": [0.5, 1.5], "ratio": [0.2, 2]}
    body = {"name": "narrow", "architecture": SMALL, "dataset": "digits", "trials": 2, "space": space}
    study = client.post("/v1/studies", json=body).json()["id"]

    answer = client.post(f"/v1/studies/{study}/ask", json={"n": 100})

    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/space-exhausted")


def test_a_writer_is_served_while_networks_are_proposed(
    client: TestClient, study: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sampler may take as long as it likes: it writes meanwhile what only a free database takes."""
    propose = proposals.propose
    other = {"name": "other", "architecture": SMALL, "dataset": "digits", "trials": 2, "space": WIDE}

    def propose_and_write(*args: Any, **options: Any) -> Any:
        assert client.post("/v1/studies", json=other).status_code == 201
        return propose(*args, **options)

    monkeypatch.setattr(proposals, "propose", propose_and_write)
    assert len(asked(client, study, n=2)) == 2


def test_concurrent_clients_get_different_networks(study: str, settings: Settings, work: Open) -> None:
    def ask(client: int) -> list[str]:
        return [row.network for row in ask_tell.ask(work, work, study, f"client {client}", 5, 60)]

    with ThreadPoolExecutor(4) as pool:
        found = [network for networks in pool.map(ask, range(4)) for network in networks]

    assert len(set(found)) == 20


def test_concurrent_asks_of_one_client_get_same_suggestion(study: str, work: Open) -> None:
    def ask(_: int) -> list[str]:
        return [row.id for row in ask_tell.ask(work, work, study, "the same", 3, 60)]

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(ask, range(4)))

    assert found == [found[0]] * 4


def test_sampler_learns_and_its_predictions_are_calibrated(client: TestClient, study: str) -> None:
    for _ in range(14):
        (item,) = asked(client, study)
        told(client, study, suggestion=item["id"], accuracy=accuracy_of(item))

    (item,) = asked(client, study)
    expected = item["predicted_accuracy"]
    assert expected["mean"] == pytest.approx(accuracy_of(item), abs=0.05)
    calibration = client.get(f"/v1/studies/{study}/calibration").json()
    assert calibration["trials"] == 6  # the first eight were an even design
    assert 0 <= calibration["coverage_50"] <= calibration["coverage_90"] <= 1
    figure = client.get(f"/v1/studies/{study}/figures/predicted-against-measured.csv").text
    assert len(figure.splitlines()) == 7


def test_what_a_study_trains_itself_is_not_suggested(client: TestClient, study: str, work: Open) -> None:
    client.post(f"/v1/studies/{study}/start")

    suggested = {encode_key(network) for network in networks(asked(client, study, n=30))}

    with work() as unit:
        study_row = studies.find(unit, study)
        trained = {encode_key((t.resolution, t.flops, t.params)) for t in unit.trials.networks_of_study(study_row.id)}
    assert len(trained) == 5
    assert suggested.isdisjoint(trained)
