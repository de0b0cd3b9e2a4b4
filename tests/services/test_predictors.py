"""Stored predictors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.core.settings import Settings
from app.db.migrate import upgrade
from app.db.session import engine_for
from app.db.unit_of_work import UnitOfWork
from app.scaling.predictors.point import Point
from app.scaling.predictors.predictor import Predictor
from app.services.predictors import store


@pytest.fixture
def other_database(tmp_path: Path) -> Iterator[str]:
    """The URL of a second migrated database in this process."""
    url = f"sqlite:///{tmp_path / 'other.sqlite3'}"
    upgrade(url)
    yield url
    engine_for(url).dispose()


def store_first_version(database: str, r: float) -> None:
    """Store version 1 of a predictor whose r(c) is constant."""
    points = [Point(c=c, r=r, d=1.0, w=1.0) for c in (0.2, 0.4, 0.8)]
    with UnitOfWork(database) as work:
        store.add_version(
            work,
            Predictor.fit(points),
            architecture="efficientnet_b0",
            dataset="digits",
            provenance="test",
            active=True,
        )
        work.commit()


def test_predictors_with_one_id_are_cached_per_database(settings: Settings, other_database: str) -> None:
    answers = {}
    for database, r in ((settings.database, 0.5), (other_database, 1.5)):
        store_first_version(database, r)
        with UnitOfWork(database, writes=False) as work:
            chosen = store.resolve(work, "efficientnet_b0", "digits", None)
        assert chosen.id == "efficientnet_b0.digits.v1"
        answers[r] = chosen.predictor.r.predict_one(0.0)[0]

    assert answers == {0.5: pytest.approx(0.5, abs=0.02), 1.5: pytest.approx(1.5, abs=0.02)}
