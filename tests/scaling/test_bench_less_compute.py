"""The replay plays fair: no method sees more than it has trained, and what it trains is what it pays for."""

from __future__ import annotations

import re
import runpy
from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

BENCH = runpy.run_path(str(Path(__file__).parents[2] / "bench" / "less_compute.py"))
METHODS = ["random", "active", "active + halving", "Optuna NSGA-III"]


@pytest.fixture(scope="module")
def recorded() -> Any:
    return BENCH["Recorded"].load(BENCH["RECORDED"])


@pytest.mark.parametrize("method", METHODS)
def test_what_is_trained_next_depends_on_what_was_trained_alone(method: str, recorded: Any) -> None:
    course = list(islice(BENCH["METHODS"][method](recorded, 3), 24))
    seen = Counter({})
    for one in course:
        seen[one.network] += one.epochs
    others = [
        {**network, "accuracy": 0.99, "epochs": [*network["epochs"][: seen[i]], *[0.99] * (9 - seen[i])]}
        if seen[i] < 9
        else network
        for i, network in enumerate(recorded.networks)
    ]

    again = list(islice(BENCH["METHODS"][method](replace(recorded, networks=others), 3), 24))

    assert again == course


@pytest.mark.parametrize("method", METHODS)
def test_every_network_is_trained_once_and_paid_for_in_full(method: str, recorded: Any) -> None:
    epochs: Counter[int] = Counter()
    done: dict[int, float] = {}
    for one in BENCH["METHODS"][method](recorded, 0):
        epochs[one.network] += one.epochs
        if one.accuracy is not None:
            assert one.network not in done
            done[one.network] = one.accuracy

    assert set(epochs) == set(range(100))
    assert all(epochs[i] == 9 and done[i] == recorded.networks[i]["accuracy"] for i in done)
    assert all(epochs[i] in (1, 3) for i in set(epochs) - set(done))
    if method == "active + halving":
        assert 11 <= len(done) < 33  # a ninth, and who was among the best for a while
    else:
        assert len(done) == 100


def test_the_active_sampler_needs_a_quarter_of_the_epochs_for_95_percent(recorded: Any) -> None:
    """Of the hypervolume of a hundred random networks, which were really trained."""
    areas = BENCH["areas"](recorded.finished)
    for method in ("active", "active + halving"):
        for seed in range(3):
            course = BENCH["replayed"](BENCH["METHODS"][method], recorded, seed, areas)
            assert all(area.share(BENCH["within"](course, 225)) >= 0.95 for area in areas)


def test_it_does_not_hang_on_the_cheapest_networks_alone() -> None:
    """The front's cheap end is a long step: without the networks that make it the sampler is as good."""
    without = BENCH["Recorded"].load(BENCH["RECORDED"], without=2)
    areas = BENCH["areas"](without.finished)
    assert len(without.networks) == 98
    for seed in range(3):
        course = BENCH["replayed"](BENCH["METHODS"]["active"], without, seed, areas)
        assert all(area.share(BENCH["within"](course, 0.25 * 9 * 98)) >= 0.95 for area in areas)


def test_shares_and_epochs_are_of_what_was_finished_by_then(recorded: Any) -> None:
    hard, easy = BENCH["areas"](recorded.finished)

    assert hard.share(recorded.finished) == easy.share(recorded.finished) == 1.0
    assert len(BENCH["within"](recorded.finished, 225)) == 25
    assert hard.corner == (
        1.01 * max(n["flops"] for n in recorded.networks),
        min(f.accuracy for f in recorded.finished),
    )
    needed = hard.epochs_until_enough(recorded.finished)
    assert hard.share(BENCH["within"](recorded.finished, needed)) >= 0.95
    assert hard.share(BENCH["within"](recorded.finished, needed - 1)) < 0.95
    assert hard.epochs_until_enough([]) == float("inf")


def test_the_table_has_both_corners_of_each_method_and_a_figure(
    recorded: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    courses = BENCH["replay"](recorded, METHODS, 2)
    BENCH["draw"](courses, tmp_path)

    lines = [line for line in capsys.readouterr().out.splitlines() if re.search(r"\) +\d of 2 ", line)]
    assert [line[:18].strip() for line in lines] == [name for name in METHODS for _ in range(2)]
    drawn = (tmp_path / "less-compute.csv").read_text()
    assert all(f"\n{name}," in drawn for name in METHODS)


def test_a_course_goes_on_from_its_file(tmp_path: Path) -> None:
    def trial(name: str, finished: str) -> dict[str, Any]:
        return {"id": name, "state": "completed", "finished_at": finished, "flops": 10, "result": {"accuracy": 0.5}}

    first = BENCH["Course"](tmp_path / "course.json")
    first.goes_on(4.0, [])
    first.goes_on(9.0, [trial("b", "2"), trial("a", "1")])
    again = BENCH["Course"](tmp_path / "course.json")
    again.goes_on(12.0, [trial("b", "2"), trial("a", "1"), trial("c", "3")])

    assert [one.epochs for one in again.finished] == [9.0, 0.0, 3.0]
