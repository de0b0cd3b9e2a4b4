"""Ids may be abbreviated, as tables show them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from sqlalchemy import update

from app.db.tables import StudyRow
from rdw_client import Client
from tests.cli.conftest import Rdw
from tests.serving import RunningService

TWINS = ("abcd" + "0" * 28, "abcd1" + "0" * 27)


@pytest.fixture(scope="module")
def trials(service: RunningService) -> list[str]:
    with Client(service.url) as client:
        return [client.train("small", dataset="digits", recipe="digits-smoke", seed=seed).id for seed in range(3)]


@pytest.fixture(scope="module")
def twins(service: RunningService) -> Iterator[tuple[str, ...]]:
    """Two studies whose ids begin alike."""
    with Client(service.url) as client:
        for twin in TWINS:
            made = client.create_study("a twin", "small", "digits", trials=1).id
            with service.work() as work:
                work.session.execute(update(StudyRow).where(StudyRow.id == made).values(id=twin))
                work.commit()
    return TWINS


def test_first_digits_of_an_id_suffice(rdw: Rdw, trials: list[str]) -> None:
    for trial in trials:
        assert rdw.json("trials", "show", trial[:8])["id"] == trial
        assert rdw.json("trials", "show", trial[:8].upper())["id"] == trial
    assert rdw.json("trials", "cancel", trials[0][:8])["id"] == trials[0]


def test_every_study_argument_accepts_an_abbreviation(rdw: Rdw, twins: tuple[str, ...]) -> None:
    for command in (("study", "show"), ("study", "start"), ("study", "export"), ("trials", "list", "--study")):
        rdw(*command, twins[1][:5])
    rdw("train", "small", "--dataset", "digits", "--recipe", "digits-smoke", "--seed", "8", "--study", twins[1][:5])
    assert {one["id"] for one in rdw.json("trials", "list", "--study", twins[1])} == {
        one["id"] for one in rdw.json("trials", "list", "--study", "abcd1")
    }


def test_ambiguous_id_names_the_candidates(rdw: Rdw, twins: tuple[str, ...]) -> None:
    err = rdw.both("study", "show", "abcd", code=2)[1]

    assert all(twin in err for twin in twins)
    assert err.count("\n") == 1


@pytest.mark.parametrize("text", ["nope", "ffff0000", "0" * 33, ""])
def test_unknown_id_is_reported_without_a_pattern(rdw: Rdw, text: str, trials: list[str]) -> None:
    for kind, command in (("trial", "trials"), ("study", "study")):
        err = rdw.both(command, "show", text, code=1)[1]
        assert err.startswith(f"error: There is no {kind} {text!r}")
        assert err.endswith(f": see `rdw {command} list`\n")
        assert json.loads(rdw.both(command, "show", text, "--json", code=1)[1])["status"] == 404


def test_two_digits_are_too_few_for_an_id(rdw: Rdw) -> None:
    assert "4" in rdw.both("trials", "show", "18", code=2)[1]
