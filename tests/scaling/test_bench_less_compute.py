"""The replay is fair: a method sees only networks that it has trained, and all its epochs are counted."""

from __future__ import annotations

import re
import runpy
from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from rdw_client import Trial

BENCH = runpy.run_path(str(Path(__file__).parents[2] / "bench" / "less_compute.py"))
METHODS = ["random", "active", "active + halving", "Optuna NSGA-III"]


@pytest.fixture(scope="module")
def recorded() -> Any:
    return BENCH["RecordedStudy"].load(BENCH["RECORDED"])


@pytest.mark.parametrize("method", METHODS)
def test_selection_depends_only_on_earlier_trainings(method: str, recorded: Any) -> None:
    course = list(islice(BENCH["METHODS"][method](recorded, 3), 24))
    seen = Counter({})
    for step in course:
        seen[step.network] += step.epochs
    others = [
        {**network, "accuracy": 0.99, "epochs": [*network["epochs"][: seen[i]], *[0.99] * (9 - seen[i])]}
        if seen[i] < 9
        else network
        for i, network in enumerate(recorded.networks)
    ]

    again = list(islice(BENCH["METHODS"][method](replace(recorded, networks=others), 3), 24))

    assert again == course


@pytest.mark.parametrize("method", METHODS)
def test_each_network_trains_once_at_full_cost(method: str, recorded: Any) -> None:
    epochs: Counter[int] = Counter()
    done: dict[int, float] = {}
    for step in BENCH["METHODS"][method](recorded, 0):
        epochs[step.network] += step.epochs
        if step.accuracy is not None:
            assert step.network not in done
            done[step.network] = step.accuracy

    assert set(epochs) == set(range(100))
    assert all(epochs[i] == 9 and done[i] == recorded.networks[i]["accuracy"] for i in done)
    assert all(epochs[i] in (1, 3) for i in set(epochs) - set(done))
    if method == "active + halving":
        assert 11 <= len(done) < 33  # a ninth, and those that were among the best for a while
    else:
        assert len(done) == 100


def test_active_sampler_reaches_95_percent_in_quarter_epochs(recorded: Any) -> None:
    """The reference is the hypervolume of a hundred random networks that were really trained."""
    regions = BENCH["create_regions"](recorded.finished)
    for method in ("active", "active + halving"):
        for seed in range(3):
            course = BENCH["replay_course"](BENCH["METHODS"][method], recorded, seed, regions)
            assert all(region.share(BENCH["select_within"](course, 225)) >= 0.95 for region in regions)


def test_advantage_remains_without_the_cheapest_networks() -> None:
    """The front's cheap end is a long step; without the networks of that step the sampler is as good."""
    without = BENCH["RecordedStudy"].load(BENCH["RECORDED"], without_cheapest=2)
    regions = BENCH["create_regions"](without.finished)
    assert len(without.networks) == 98
    for seed in range(3):
        course = BENCH["replay_course"](BENCH["METHODS"]["active"], without, seed, regions)
        assert all(region.share(BENCH["select_within"](course, 0.25 * 9 * 98)) >= 0.95 for region in regions)


def test_shares_count_only_finished_trainings(recorded: Any) -> None:
    hard, easy = BENCH["create_regions"](recorded.finished)

    assert hard.share(recorded.finished) == easy.share(recorded.finished) == 1.0
    assert len(BENCH["select_within"](recorded.finished, 225)) == 25
    assert hard.reference == (
        1.01 * max(n["flops"] for n in recorded.networks),
        min(f.accuracy for f in recorded.finished),
    )
    needed = hard.epochs_until_enough(recorded.finished)
    assert hard.share(BENCH["select_within"](recorded.finished, needed)) >= 0.95
    assert hard.share(BENCH["select_within"](recorded.finished, needed - 1)) < 0.95
    assert hard.epochs_until_enough([]) == float("inf")


def test_replay_prints_table_and_draws_figure(
    recorded: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    courses = BENCH["replay"](recorded, METHODS, 2)
    BENCH["draw"](courses, tmp_path)

    lines = [line for line in capsys.readouterr().out.splitlines() if re.search(r"\) +\d of 2 ", line)]
    assert [line[:18].strip() for line in lines] == [name for name in METHODS for _ in range(2)]
    drawn = (tmp_path / "less-compute.csv").read_text()
    assert all(f"\n{name}," in drawn for name in METHODS)


def test_interrupted_course_resumes_from_its_file(tmp_path: Path) -> None:
    def trial(id: str, finished_at: str) -> Trial:
        network = {"architecture": "small", "dataset": "digits", "flops": 10, "params": 1, "seed": 0}
        result = {"state": "completed", "finished_at": finished_at, "result": {"accuracy": 0.5}}
        return Trial.from_json({"id": id, **network, **result})

    a, b, c = (trial(id, f"2026-01-0{n}T00:00:00Z") for n, id in enumerate("abc", 1))
    first = BENCH["Course"](tmp_path / "course.json")
    first.update(4.0, [])
    first.update(9.0, [b, a])
    second = BENCH["Course"](tmp_path / "course.json")
    second.update(12.0, [b, a, c])

    assert [training.epochs for training in second.finished] == [9.0, 0.0, 3.0]
