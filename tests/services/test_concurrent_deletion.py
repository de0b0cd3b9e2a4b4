"""A study is deleted or archived between any two statements of another transaction, and the other way round.

On SQLite a writing transaction locks the database and a reading one sees a snapshot, so that only their beginnings and
ends are tried.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import event

from app.core.deletion import Deletion
from app.core.errors import Conflict, NotFound
from app.core.settings import Settings
from app.core.studies import ReportedResult, Sampler
from app.core.trials import TrialResult
from app.data.builtin_datasets import DIGITS
from app.data.recipes import Recipe
from app.db.session import engine_for
from app.db.tables import ObservationRow, StudyChangeRow, StudyRow, SuggestionRow, TrialRow
from app.db.unit_of_work import UnitOfWork
from app.scaling.network import Architecture, Multipliers
from app.scaling.search.random_sampler import SearchSpace
from app.services import observations
from app.services.changes import Changes
from app.services.studies import ask_tell, lifecycle, refit, studies
from app.services.studies.studies import StudyPlan
from app.services.trials import lifecycle as trial_lifecycle
from app.services.trials import requests
from tests.support import SMALL, example_count

pytestmark = pytest.mark.databases(pytest.param("sqlite", marks=pytest.mark.exhaustive), "postgresql")

Open = Callable[[], UnitOfWork]
ARCHITECTURE = Architecture.from_json(SMALL)
SPACE = SearchSpace(ratio=(0.05, 2.0))
PATIENCE = 60.0
HEAD_START = 0.1  # seconds that the second transaction gets before it is taken to wait for the first one
ROWS = [observations.ImportedResult(0.5 + 0.1 * i, 1, 0.5 + 0.1 * i, 0.5 + 0.02 * i) for i in range(6)]


@dataclass
class Scene:
    """A started study with a claimed trial, a waiting one that another study has too, and an open suggestion."""

    open: Open
    settings: Settings
    study: str
    claim: trial_lifecycle.Claim
    suggestion: str

    def delete(self) -> Deletion:
        with self.open() as work:
            return lifecycle.delete(work, self.study, force=True)

    def archive(self) -> None:
        with self.open() as work:
            lifecycle.update(work, studies.lock_own(work, self.study), Changes(archived=True))

    def complete(self) -> bool:
        with self.open() as work:
            return trial_lifecycle.complete(work, self.claim, TrialResult(0.7, 1.0, {}))

    def claim_next(self) -> bool:
        with self.open() as work:
            return trial_lifecycle.claim(work, "another", self.settings) is not None

    def tell(self) -> None:
        with self.open() as work:
            ask_tell.tell(work, self.study, self.suggestion, ReportedResult(accuracy=0.6))

    def ask(self) -> None:
        ask_tell.ask(self.open, self.open, self.study, "another", 1, 60.0)

    def report_own(self) -> None:
        with self.open() as work:
            ask_tell.report_own_network(work, self.study, "me", Multipliers(1, 1, 1), ReportedResult(accuracy=0.6))

    def train(self) -> None:
        with self.open() as work:
            requests.submit(work, plan_trial(seed=7), study_id=self.study)

    def cancel(self) -> None:
        with self.open() as work:
            lifecycle.cancel(work, self.study)

    def load(self) -> None:
        observations.import_results(self.open, self.open, self.study, [ELSEWHERE], "a table")

    def refit(self) -> None:
        refit.refit_study(self.open, self.open, self.study, 20, False)


ELSEWHERE = observations.ImportedResult(0.55, 1, 0.75, 0.61)
CHANGES = ("complete", "tell", "ask", "report_own", "train", "cancel", "load", "refit", "archive")


def plan_trial(seed: int) -> requests.TrialPlan:
    return requests.TrialPlan(
        "small", ARCHITECTURE.scale(Multipliers(1, 1, 1)), DIGITS, Recipe(epochs=1), seed, Multipliers(1, 1, 1)
    )


@pytest.fixture
def scenes(work: Open, settings: Settings) -> Callable[[bool], Scene]:
    """A function that prepares a scene; whether its claimed trial belongs to another study as well."""

    def prepare(is_shared: bool) -> Scene:
        with work() as unit:
            unit.session.query(TrialRow).update({"state": "cancelled"})
            unit.commit()
        ids = []
        for name in ("first", "second"):
            plan = StudyPlan(name, ARCHITECTURE, DIGITS, Recipe(epochs=1), SPACE, 1, 0, Sampler.RANDOM)
            with work() as unit:
                ids.append(studies.create(unit, plan).id)
        study, other = ids
        observations.import_results(work, work, study, ROWS, "a table")
        (suggestion,) = ask_tell.ask(work, work, study, "me", 1, 60.0)
        with work() as unit:
            lifecycle.start(unit, study)
        if is_shared:
            with work() as unit:
                lifecycle.start(unit, other)
        with work() as unit:
            claim = trial_lifecycle.claim(unit, "a worker", settings)
        assert claim is not None
        with work() as unit:
            requests.submit(unit, plan_trial(seed=6), study_id=study)
        return Scene(work, settings, study, claim, suggestion.id)

    return prepare


class Pause:
    """Stops a thread before its statement of this number, commits included, until it is released.

    On SQLite the statements are `BEGIN` and `COMMIT` alone.
    """

    def __init__(self, at: int) -> None:
        self._at, self._thread = at, -1
        self.statements = 0
        self.reached, self.released = threading.Event(), threading.Event()

    def run(self, function: Callable[[], Any]) -> Any:
        self._thread = threading.get_ident()
        try:
            return function()
        finally:
            self.reached.set()

    def count(self, *_: Any) -> None:
        if threading.get_ident() == self._thread:
            self.statements += 1
            if self.statements == self._at:
                self.reached.set()
                assert self.released.wait(PATIENCE)


@contextmanager
def listening(database: str, pause: Pause) -> Iterator[None]:
    engine = engine_for(database)
    names = ("begin" if engine.dialect.name == "sqlite" else "before_cursor_execute", "commit")
    for name in names:
        event.listen(engine, name, pause.count, insert=True)  # before the listener that emits `BEGIN`
    try:
        yield
    finally:
        for name in names:
            event.remove(engine, name, pause.count)


def interleave(database: str, at: int, first: Callable[[], Any], second: Callable[[], Any]) -> tuple[int, list[Any]]:
    """Run the second function while the first is stopped before a statement.

    Return the number of statements of the first, and the results or errors of both.
    """
    pause = Pause(at)
    with listening(database, pause), ThreadPoolExecutor(2) as pool:
        running: list[Future[Any]] = [pool.submit(pause.run, first)]
        assert pause.reached.wait(PATIENCE)
        running.append(pool.submit(second))
        wait_for(running[1:], timeout=HEAD_START)
        pause.released.set()
        return pause.statements, [future.exception(PATIENCE) or future.result() for future in running]


def every_statement(scenes: Callable[[], Scene], database: str, first: str, second: str) -> Iterator[tuple[Scene, Any]]:
    """Yield the scene and the results for stops at some of the first one's statements; in CI at all of them."""
    scene = scenes()
    statements, results = interleave(database, 0, getattr(scene, first), getattr(scene, second))
    yield scene, results
    stops = example_count(statements)
    for at in sorted({1 + round(i * (statements - 1) / max(1, stops - 1)) for i in range(stops)}):
        scene = scenes()
        yield scene, interleave(database, at, getattr(scene, first), getattr(scene, second))[1]


def check_deleted(scene: Scene, changed: str, deletion: Any, change: Any) -> None:
    """The study is gone, the other transaction has done all of its work or found it gone."""
    assert isinstance(deletion, Deletion), deletion
    assert not isinstance(change, Exception) or isinstance(change, NotFound | Conflict), change
    with scene.open() as work:
        for row in (StudyChangeRow, SuggestionRow, ObservationRow):
            assert work.session.query(row).filter_by(study_id=scene.study).count() == 0
        assert work.session.get(StudyRow, scene.study) is None
        trial = requests.find(work, scene.claim.trial.id)
        if changed == "complete" and change is True:
            assert trial.state == "completed"
            assert work.session.query(ObservationRow).filter_by(trial_id=trial.id).count() == 1


@pytest.mark.parametrize(("changed", "is_shared"), [*((changed, False) for changed in CHANGES), ("complete", True)])
def test_study_is_deleted_during_another_change(
    scenes: Callable[[bool], Scene], database: str, changed: str, is_shared: bool
) -> None:
    for scene, (deletion, change) in every_statement(lambda: scenes(is_shared), database, "delete", changed):
        check_deleted(scene, changed, deletion, change)
    for scene, (change, deletion) in every_statement(lambda: scenes(is_shared), database, changed, "delete"):
        check_deleted(scene, changed, deletion, change)


def test_study_is_archived_while_its_trial_is_claimed(scenes: Callable[[bool], Scene], database: str) -> None:
    for first, second in (("archive", "claim_next"), ("claim_next", "archive")):
        for scene, results in every_statement(lambda: scenes(False), database, first, second):
            assert not [result for result in results if isinstance(result, Exception)], results
            with scene.open() as work:
                assert studies.find(work, scene.study).archived_at is not None
