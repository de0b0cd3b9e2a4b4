"""What a key made, another key of scope `train` may read and not change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update

from app.core.errors import Conflict
from app.core.scopes import Scope
from app.core.settings import Settings
from app.core.trials import TrialResult
from app.data.builtin_datasets import Dataset
from app.db.tables import ArchitectureRow, DatasetRow, StudyRow, TrialRow
from app.db.unit_of_work import UnitOfWork
from app.services.auth import keys
from app.services.trials import lifecycle
from tests.support import SMALL, claim_trial

Open = Callable[[], UnitOfWork]
Headers = dict[str, str]

STUDY: dict[str, Any] = {
    "name": "a study", "architecture": SMALL, "dataset": "digits", "recipe": "digits-smoke", "trials": 2,
    "space": {"ratio": [0.3, 1.0]},
}  # fmt: skip
TRIAL: dict[str, Any] = {
    "architecture": SMALL, "multipliers": {"r": 1, "d": 1, "w": 1}, "dataset": "digits", "recipe": "digits-smoke",
}  # fmt: skip
OBSERVED = [{"r": 0.5 + 0.04 * i, "d": 1, "w": 0.5 + 0.05 * i, "accuracy": 0.5 + 0.02 * i} for i in range(12)]


@dataclass(frozen=True)
class Callers:
    alice: Headers
    bob: Headers
    admin: Headers


@pytest.fixture
def callers(work: Open) -> Callers:
    def key(name: str, scope: Scope) -> Headers:
        with work() as unit:
            return {"Authorization": f"Bearer {keys.create(unit, name, scope, None)[1]}"}

    return Callers(key("alice", "train"), key("bob", "train"), key("operator", "admin"))


def post(client: TestClient, path: str, headers: Headers, body: Any = None) -> Any:
    answer = client.post(path, json=body, headers=headers)
    assert answer.is_success, answer.text
    return answer.json()


@pytest.fixture
def theirs(client: TestClient, callers: Callers) -> dict[str, str]:
    """The ids of what alice made, by the names that paths use."""
    study = post(client, "/v1/studies", callers.alice, STUDY)["id"]
    imported = {"source": "elsewhere", "observations": OBSERVED}
    post(client, f"/v1/studies/{study}/observations", callers.alice, imported)
    predictor = post(client, f"/v1/studies/{study}/predictors", callers.alice, {})["id"]
    suggestion = post(client, f"/v1/studies/{study}/ask", callers.alice, {"client": "a"})["items"][0]["id"]
    trial = post(client, "/v1/trials", callers.alice, TRIAL)["id"]
    observations = client.get(f"/v1/studies/{study}/observations", headers=callers.alice).json()["items"]
    return {
        "study": study, "trial": trial, "predictor": predictor, "suggestion": suggestion,
        "observation": str(observations[0]["id"]),
    }  # fmt: skip


@pytest.fixture
def registered(client: TestClient, callers: Callers, work: Open) -> None:
    """A baseline and a data set of the name `small`, which the operator has registered."""
    post(client, "/v1/architectures", callers.admin, SMALL)
    with work() as unit:
        unit.datasets.add(DatasetRow(name="small", owner="operator", spec=asdict(_DATASET)))
        unit.commit()


_DATASET = Dataset("small", "folder", 10, 1, 16, 80, 20, "0", "Small images.", "small")


def give_registered(work: Open, owner: str) -> None:
    """Let a key of scope `train` own them, as one does that replaces an operator's."""
    with work() as unit:
        for row in (ArchitectureRow, DatasetRow):
            unit.session.execute(update(row).where(row.name == "small").values(owner=owner))
        unit.commit()


COMPUTES = {"/v1/cost", "/v1/scale", "/v1/scale/family", "/v1/compare"}
CREATES = {"/v1/studies", "/v1/trials", "/v1/architectures", "/v1/datasets"}


def bodies(theirs: dict[str, str]) -> dict[str, Any]:
    """A valid body for each operation that changes something and takes a body."""
    tell = {"suggestion": theirs["suggestion"], "accuracy": 0.5}
    return {
        **{f"PATCH /v1/{noun}/{{id}}": {"name": "renamed"} for noun in ("studies", "trials", "predictors")},
        **{f"PATCH /v1/{noun}/{{name}}": {"name": "renamed"} for noun in ("architectures", "datasets")},
        "POST /v1/studies/{id}/ask": {"client": "b"},
        "POST /v1/studies/{id}/tell": tell,
        "POST /v1/studies/{id}/observations": {"source": "b", "observations": OBSERVED[:1]},
        "POST /v1/studies/{id}/observations/{observation}/retract": {"reason": "b"},
        "POST /v1/studies/{id}/family": {"targets": [{"ratio": 0.5}], "rules": ["compound"]},
        "POST /v1/studies/{id}/predictors": {"activate": False},
    }


def operations(client: TestClient) -> list[tuple[str, str]]:
    """Every operation of the spec on one resource that is not a read."""
    return [
        (method.upper(), path)
        for path, methods in client.get("/openapi.json").json()["paths"].items()
        for method in methods
        if method not in ("get", "parameters") and path not in COMPUTES | CREATES
    ]


@pytest.mark.usefixtures("registered")
def test_another_key_changes_nothing_of_a_key(client: TestClient, callers: Callers, theirs: dict[str, str]) -> None:
    ids = {"studies": theirs["study"], "trials": theirs["trial"], "predictors": theirs["predictor"]}
    before = {noun: client.get(f"/v1/{noun}/{id}", headers=callers.bob).json() for noun, id in ids.items()}

    for method, path in operations(client):
        noun = path.split("/")[2]
        concrete = path.replace("{id}", ids.get(noun, "0" * 32)).replace("{observation}", theirs["observation"])
        concrete = concrete.replace("{name}", "small")
        body = bodies(theirs).get(f"{method} {path}")

        answer = client.request(method, concrete, json=body, headers=callers.bob)

        assert (answer.status_code, answer.json()["type"]) == (403, "/problems/forbidden"), (method, path, answer.text)
        assert "admin" in answer.json()["detail"]

    after = {noun: client.get(f"/v1/{noun}/{id}", headers=callers.bob).json() for noun, id in ids.items()}
    assert after == before


def test_a_problem_says_whose_it_is_and_who_may_change_it(
    client: TestClient, callers: Callers, theirs: dict[str, str]
) -> None:
    refused = client.post(f"/v1/studies/{theirs['study']}/cancel", headers=callers.bob)

    assert refused.json()["detail"] == (
        f"The study '{theirs['study']}' belongs to the key 'alice'. "
        "Only that key or one of scope `admin` may change it."
    )


def test_nothing_is_added_to_a_study_of_another_key(
    client: TestClient, callers: Callers, theirs: dict[str, str]
) -> None:
    scale = {
        "architecture": SMALL, "target": {"ratio": 0.5},
        "train": {"dataset": "digits", "recipe": "digits-smoke", "study": theirs["study"]},
    }  # fmt: skip

    for path, body in (("/v1/trials", {**TRIAL, "study": theirs["study"]}), ("/v1/scale", scale)):
        assert client.post(path, json=body, headers=callers.bob).status_code == 403
        assert client.post(path, json=body, headers=callers.alice).is_success


def test_owner_and_admin_may_change_it(client: TestClient, callers: Callers, theirs: dict[str, str]) -> None:
    study = f"/v1/studies/{theirs['study']}"

    assert client.patch(study, json={"name": "mine"}, headers=callers.alice).json()["owner"] == "alice"
    assert client.patch(study, json={"name": "ours"}, headers=callers.admin).json()["owner"] == "alice"
    assert post(client, f"/v1/trials/{theirs['trial']}/cancel", callers.alice)["state"] == "cancelled"
    assert post(client, f"{study}/cancel", callers.admin)["state"] == "cancelled"


@pytest.mark.usefixtures("registered")
def test_a_key_deletes_what_it_owns(client: TestClient, callers: Callers, theirs: dict[str, str], work: Open) -> None:
    give_registered(work, "alice")
    study = f"/v1/studies/{theirs['study']}"
    retracted = post(client, f"{study}/observations/{theirs['observation']}/retract", callers.alice, {"reason": "a"})
    post(client, f"/v1/trials/{theirs['trial']}/cancel", callers.alice)

    owned = [study, f"/v1/trials/{theirs['trial']}", "/v1/architectures/small", "/v1/datasets/small"]
    deleted = [client.delete(f"{path}?force=true", headers=callers.alice).status_code for path in owned]

    assert retracted["retraction_reason"] == "a"
    assert deleted == [204] * len(owned)


@pytest.mark.usefixtures("registered")
def test_what_other_keys_use_is_deleted_by_admin_only(
    client: TestClient, callers: Callers, theirs: dict[str, str], work: Open
) -> None:
    give_registered(work, "alice")
    with work() as unit:
        unit.session.execute(update(StudyRow).values(dataset="small", owner="bob"))
        unit.commit()

    for path in ("/v1/architectures/small?force=true", "/v1/datasets/small?force=true"):
        refused = client.delete(path, headers=callers.alice)
        assert (refused.status_code, "other keys use" in refused.json()["detail"]) == (403, True)
        assert client.delete(path, headers=callers.admin).status_code == 204


def test_a_key_retracts_no_observation_that_concerns_others(
    client: TestClient, callers: Callers, theirs: dict[str, str], work: Open, settings: Settings
) -> None:
    own = post(client, "/v1/studies", callers.bob, STUDY)["id"]
    post(client, "/v1/trials", callers.bob, {**TRIAL, "study": own})  # alice has requested it before
    with work() as unit:
        assert lifecycle.complete(unit, claim_trial(work, theirs["trial"], settings), TrialResult(0.9, 1.0, {}))
    [shared] = client.get(f"/v1/studies/{own}/observations", headers=callers.bob).json()["items"]
    theirs_path = f"/v1/studies/{theirs['study']}"
    client.patch(theirs_path, json={"promote": True}, headers=callers.admin).raise_for_status()

    for path, caller in (
        (f"/v1/studies/{own}/observations/{shared['id']}/retract", callers.bob),
        (f"{theirs_path}/observations/{theirs['observation']}/retract", callers.alice),
    ):
        assert client.post(path, json={"reason": "a"}, headers=caller).status_code == 403
        assert post(client, path, callers.admin, {"reason": "a"})["retraction_reason"] == "a"


def test_views_name_the_owner(client: TestClient, callers: Callers, theirs: dict[str, str]) -> None:
    post(client, f"/v1/studies/{theirs['study']}/start", callers.admin)
    post(client, "/v1/architectures", callers.admin, SMALL)

    for path in ("studies", "trials", "predictors"):
        items = client.get(f"/v1/{path}", headers=callers.bob).json()["items"]
        assert {item["owner"] for item in items} <= {"alice", None}
        assert items[0]["owner"] == "alice"  # and so are the trials of her study, though an admin has started it
    baselines = client.get("/v1/architectures", headers=callers.bob).json()["items"]
    assert {item["owner"] for item in baselines if item["name"] == "small"} == {"operator"}
    assert client.get("/v1/architectures/efficientnet_b0", headers=callers.bob).json()["owner"] is None


def test_rows_without_an_owner_are_changed_by_admin_only(
    client: TestClient, callers: Callers, theirs: dict[str, str], work: Open
) -> None:
    with work() as unit:
        for row in (StudyRow, TrialRow):
            unit.session.execute(update(row).values(owner=None))
        unit.commit()

    for path in (f"/v1/studies/{theirs['study']}/cancel", f"/v1/trials/{theirs['trial']}/cancel"):
        refused = client.post(path, headers=callers.alice)
        assert refused.status_code == 403
        assert "belongs to no key. Only a key of scope `admin` may change it." in refused.json()["detail"]
        assert client.post(path, headers=callers.admin).is_success


def test_a_trial_that_two_keys_requested_is_cancelled_by_admin_only(
    client: TestClient, callers: Callers, theirs: dict[str, str]
) -> None:
    assert not client.get(f"/v1/trials/{theirs['trial']}", headers=callers.bob).json()["shared"]
    same = post(client, "/v1/trials", callers.bob, TRIAL)
    assert (same["id"], same["owner"], same["shared"]) == (theirs["trial"], "alice", True)

    for caller in (callers.alice, callers.bob):
        assert client.post(f"/v1/trials/{same['id']}/cancel", headers=caller).status_code == 403
    assert client.get(f"/v1/trials/{same['id']}", headers=callers.bob).json()["state"] == "queued"
    assert client.post(f"/v1/trials/{same['id']}/cancel", headers=callers.admin).is_success


def test_a_study_is_loaded_by_name_from_those_of_the_key(
    client: TestClient, callers: Callers, theirs: dict[str, str]
) -> None:
    again = {**STUDY, "load_if_exists": True}

    assert post(client, "/v1/studies", callers.alice, again)["id"] == theirs["study"]
    own = post(client, "/v1/studies", callers.bob, again)
    assert (own["id"] != theirs["study"], own["owner"]) == (True, "bob")
    assert post(client, "/v1/studies", callers.bob, again)["id"] == own["id"]


def test_without_keys_nobody_owns_anything_and_everybody_may_change_it(client: TestClient) -> None:
    study = post(client, "/v1/studies", {}, STUDY)

    assert study["owner"] is None
    assert post(client, f"/v1/studies/{study['id']}/cancel", {})["state"] == "cancelled"


def test_a_new_key_takes_over_what_the_one_that_it_replaces_owns(
    client: TestClient, callers: Callers, theirs: dict[str, str], work: Open
) -> None:
    with work() as unit:
        _, secret = keys.create(unit, "alice-2", "train", None, replaces="alice")
    with work() as unit:
        keys.revoke(unit, "alice")
    ring = client.app.state.keys
    clock = ring.clock
    ring.clock = lambda: clock() + 5  # as if the service looked for keys again

    renewed = {"Authorization": f"Bearer {secret}"}
    for noun in ("study", "trial", "predictor"):
        path = f"/v1/{'studies' if noun == 'study' else noun + 's'}/{theirs[noun]}"
        assert client.get(path, headers=renewed).json()["owner"] == "alice-2"
    assert post(client, f"/v1/studies/{theirs['study']}/cancel", renewed)["state"] == "cancelled"


def test_a_stored_key_cannot_be_named_like_those_of_the_settings(work: Open) -> None:
    with work() as unit, pytest.raises(Conflict):
        keys.create(unit, "RDW_API_KEYS", "train", None)
