"""Computations over a study that run in another process, which reads the study for itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeVar

from app.db.tables import StudyRow
from app.db.unit_of_work import UnitOfWork
from app.services.studies import studies

MAX_QUICK_OBSERVATIONS = 300
"""Of a study that takes this process less than a fifth of a second: its front, fits, proposals and figures."""

Result = TypeVar("Result")


class ComputeOverStudy(Protocol):
    """Returns `function(work, study, *arguments)`, which may be called in another process."""

    def __call__(
        self, work: UnitOfWork, study: StudyRow, function: Callable[..., Result], *arguments: Any
    ) -> Result: ...


def compute_here(work: UnitOfWork, study: StudyRow, function: Callable[..., Result], *arguments: Any) -> Result:
    return function(work, study, *arguments)


def call_with_study(database: str, study_id: str, function: Callable[..., Any], *arguments: Any) -> Iterator[Any]:
    """Yield what the function returns for the study: `function(work, study, *arguments)`.

    Raises: NotFound; DatabaseUnavailable; whatever the function raises.
    """
    with UnitOfWork(database, writes=False) as work:
        yield function(work, studies.find(work, study_id), *arguments)
