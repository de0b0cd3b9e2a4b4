"""Computations over a study that run in another process, which reads the study for itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from app.db.unit_of_work import UnitOfWork
from app.services.studies import studies


def call_with_study(database: str, study_id: str, function: Callable[..., Any], *arguments: Any) -> Iterator[Any]:
    """Yield what the function returns for the study: `function(work, study, *arguments)`.

    Raises: NotFound; DatabaseUnavailable; whatever the function raises.
    """
    with UnitOfWork(database, writes=False) as work:
        yield function(work, studies.find(work, study_id), *arguments)
