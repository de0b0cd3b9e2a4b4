from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from app.reproduce.baseline import RECIPE
from app.reproduce.client import Client, Refused
from app.reproduce.gather import gather
from app.reproduce.plan import Sizes
from app.reproduce.progress import Progress
from app.reproduce.run import write_files
from app.reproduce.state import State, load
from app.reproduce.steps import CannotRun, Run
from tests.reproduce.fake_service import FakeService

CHOICES = {"dataset": "typefaces", "architecture": None, "recipe": RECIPE, "url": None}
WANTED = Sizes(at_one_budget=6, networks=12, compound=4, seeds=2)


def go(
    service: FakeService, folder: Path, minutes: float | None = None, **choices: Any
) -> tuple[State, list[str], str]:
    """A run over what an earlier one left in the folder: the state it leaves, what is missing, and what it said."""
    said = io.StringIO()
    state = load(folder) or State({**CHOICES, **choices})
    run = Run(Client("http://service", transport=service), state, folder, WANTED, minutes, Progress(said))
    try:
        run.go()
    finally:
        run.note_time()
    return state, run.missing, said.getvalue()


def test_all_steps_are_asked_of_the_service_once(tmp_path: Path) -> None:
    service = FakeService()
    _, missing, said = go(service, tmp_path)
    one, over = service.posted("/v1/studies")
    (family,) = service.posted("/family")

    assert missing == []
    assert (one["trials"], one["compound"], one["space"]["ratio"]) == (6, 1, [0.47, 0.53])
    assert (over["trials"], over["compound"], over["space"]["ratio"]) == (12, 4, [0.08, 1.0])
    assert service.posted("/predictors") == [{"k": 20, "activate": "gate"}]
    assert (len(family["targets"]), family["recipes"], family["seeds"]) == (3, ["same", "randaugment"], 2)
    assert "over a range: 16 of 16 networks trained" in said


def test_run_again_it_asks_for_nothing_new(tmp_path: Path) -> None:
    service = FakeService()
    go(service, tmp_path)
    before = list(service.posts)
    _, missing, _ = go(service, tmp_path)

    assert missing == []
    assert service.posts == before


def test_a_study_whose_id_was_lost_with_us_is_found_by_its_name(tmp_path: Path) -> None:
    service = FakeService()
    state, _, _ = go(service, tmp_path)
    state.studies.clear()
    state.save(tmp_path)
    again, _, _ = go(service, tmp_path)

    assert len(service.posted("/v1/studies")) == 2
    assert again.studies == {"one_budget": "study0", "over_range": "study1"}


def test_when_the_time_is_up_the_rest_is_said_to_be_missing_and_nobody_trains_on(tmp_path: Path) -> None:
    service = FakeService(stuck=("over a range",))
    _, missing, _ = go(service, tmp_path, minutes=0.53)

    assert {trial["state"] for trial in service.trials.values()} == {"completed", "cancelled"}
    assert any(sentence.startswith("Over a range: 1 of ") for sentence in missing)


def test_with_more_time_it_goes_on_where_it_was(tmp_path: Path) -> None:
    service = FakeService(stuck=("over a range",))
    go(service, tmp_path, minutes=0.53)
    service.stuck = ()
    state, missing, _ = go(service, tmp_path, minutes=60)

    assert missing == []
    assert len(service.posted("/v1/studies")) == 2
    assert len(service.posted("/retry")) == len(service.posted("/cancel")) > 0
    assert {trial["state"] for trial in service.trials.values()} == {"completed"}
    assert state.family


def test_what_little_time_there_is_makes_everything_smaller(tmp_path: Path) -> None:
    service = FakeService()
    go(service, tmp_path, minutes=8)
    one, over = service.posted("/v1/studies")

    assert one["trials"] + over["trials"] < WANTED.at_one_budget + WANTED.networks


def test_a_data_set_that_is_not_there_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(CannotRun, match="'photos'; there are typefaces"):
        go(FakeService(), tmp_path, dataset="photos")


def test_an_unknown_baseline_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="no such thing"):
        go(FakeService(), tmp_path, architecture="efficientnet_b99")


@pytest.mark.parametrize("stuck", [(), ("at one budget",), ("over a range",)], ids=["whole", "no front", "half"])
def test_a_report_is_left_whatever_was_finished(tmp_path: Path, stuck: tuple[str, ...]) -> None:
    service = FakeService(stuck)
    minutes = 0.53 if stuck else None
    state, missing, _ = go(service, tmp_path, minutes)
    results = gather(Client("http://service", transport=service), state, missing, minutes)
    page, values, figures = write_files(results, tmp_path)

    assert all(sentence in page.read_text() for sentence in missing)
    assert values.stat().st_size > 1000
    assert (figures / "accuracy-against-flops.csv").read_text().startswith("mark,role,r,d,w")
    assert results.baseline["accuracies"] == [0.75]
