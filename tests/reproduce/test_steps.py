from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from app.reproduce.collect import collect_results
from app.reproduce.design import RECIPE
from app.reproduce.plan import Sizes
from app.reproduce.prepare import CannotRun
from app.reproduce.progress import ProgressLine
from app.reproduce.run import write_files
from app.reproduce.state import RunState, load_state
from app.reproduce.steps import Reproduction
from rdw_client import Client, NotFound
from tests.reproduce.fake_service import FakeService

CHOICES = {"dataset": "typefaces", "architecture": None, "recipe": RECIPE, "url": None}
REQUESTED = Sizes(at_one_budget=6, networks=12, compound=4, seeds=2)


def reproduce(
    service: FakeService, folder: Path, minutes: float | None = None, **choices: Any
) -> tuple[RunState, list[str], str]:
    """Run on what an earlier run left in the folder; return the state, what is missing, and the output."""
    output = io.StringIO()
    state = load_state(folder) or RunState({**CHOICES, **choices})
    with Client(service.url) as client:
        reproduction = Reproduction(client, state, folder, REQUESTED, minutes, ProgressLine(output))
        reproduction.run()
    return state, reproduction.missing, output.getvalue()


def test_first_run_requests_each_step_once(service: FakeService, tmp_path: Path) -> None:
    _, missing, output = reproduce(service, tmp_path)
    one_budget, over_range = service.get_posts("/v1/studies")
    (family,) = service.get_posts("/family")

    assert missing == []
    assert (one_budget["trials"], one_budget["compound"], one_budget["space"]["ratio"]) == (6, 1, [0.47, 0.53])
    assert (over_range["trials"], over_range["compound"], over_range["space"]["ratio"]) == (12, 4, [0.08, 1.0])
    assert service.get_posts("/predictors") == [{"k": 20}]
    assert (len(family["targets"]), family["recipes"], family["seeds"]) == (3, ["same", "randaugment"], 2)
    assert "over a range: 16 of 16 networks trained" in output


def test_finished_run_requests_nothing_new(service: FakeService, tmp_path: Path) -> None:
    reproduce(service, tmp_path)
    before = list(service.posts)
    _, missing, _ = reproduce(service, tmp_path)

    assert missing == []
    assert service.posts == before


def test_study_with_lost_id_is_found_by_name(service: FakeService, tmp_path: Path) -> None:
    state, _, _ = reproduce(service, tmp_path)
    state.studies.clear()
    state.save(tmp_path)
    resumed, _, _ = reproduce(service, tmp_path)

    assert len(service.get_posts("/v1/studies")) == 2
    assert resumed.studies == {"one_budget": "study0", "over_range": "study1"}


def test_when_time_is_up_the_rest_is_missing_and_cancelled(service: FakeService, tmp_path: Path) -> None:
    service.stuck = ("over a range",)
    _, missing, _ = reproduce(service, tmp_path, minutes=0.53)

    assert {trial["state"] for trial in service.trials.values()} == {"completed", "cancelled"}
    assert any(sentence.startswith("Over a range: 1 of ") for sentence in missing)


def test_run_with_more_time_resumes(service: FakeService, tmp_path: Path) -> None:
    service.stuck = ("over a range",)
    reproduce(service, tmp_path, minutes=0.53)
    service.stuck = ()
    state, missing, _ = reproduce(service, tmp_path, minutes=60)

    assert missing == []
    assert len(service.get_posts("/v1/studies")) == 2
    assert len(service.get_posts("/retry")) == len(service.get_posts("/cancel")) > 0
    assert {trial["state"] for trial in service.trials.values()} == {"completed"}
    assert state.family_requested


def test_short_time_makes_the_studies_smaller(service: FakeService, tmp_path: Path) -> None:
    reproduce(service, tmp_path, minutes=8)
    one_budget, over_range = service.get_posts("/v1/studies")

    assert one_budget["trials"] + over_range["trials"] < REQUESTED.at_one_budget + REQUESTED.networks


def test_unknown_data_set_is_reported_immediately(service: FakeService, tmp_path: Path) -> None:
    with pytest.raises(CannotRun, match="'photos'; there are typefaces"):
        reproduce(service, tmp_path, dataset="photos")


def test_unknown_baseline_is_refused(service: FakeService, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no such thing"):
        reproduce(service, tmp_path, architecture="efficientnet_b99")


@pytest.mark.parametrize(
    "stuck",
    [
        pytest.param((), id="complete", marks=pytest.mark.exhaustive),
        pytest.param(("at one budget",), id="no front", marks=pytest.mark.exhaustive),
        pytest.param(("over a range",), id="half"),
    ],
)
def test_report_is_written_whatever_has_finished(service: FakeService, tmp_path: Path, stuck: tuple[str, ...]) -> None:
    service.stuck = stuck
    minutes = 0.53 if stuck else None
    state, missing, _ = reproduce(service, tmp_path, minutes)
    with Client(service.url) as client:
        results = collect_results(client, state, missing, minutes)
    page, values, figures = write_files(results, tmp_path)

    assert all(sentence in page.read_text() for sentence in missing)
    assert values.stat().st_size > 1000
    assert (figures / "accuracy-against-flops.csv").read_text().startswith("mark,role,r,d,w")
    assert results.baseline["accuracies"] == [0.75]
