"""What scaling asks the database for, kept in memory, so that an answer takes no look at the database.

Registered baselines never change, nor does a predictor's version; which version is active does, and is looked up anew
once a second, or at once where this process changed it.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TypeVar

from app.db.unit_of_work import UnitOfWork
from app.scaling import families
from app.scaling.architecture import Architecture
from app.services import architectures, predictors
from app.services.predictors import Chosen

_FRESH = 1.0  # seconds
_MOST_KEPT = 4096

Key, Value = TypeVar("Key"), TypeVar("Value")
_Wanted = tuple[str, str | None, str | None]  # architecture, data set, predictor asked for


class Catalogue:
    """Baselines by name and the predictor for each, as last seen."""

    def __init__(self, database: str) -> None:
        self._database = database
        self._architectures: OrderedDict[str, Architecture] = OrderedDict()
        self._chosen: OrderedDict[_Wanted, tuple[float, Chosen]] = OrderedDict()

    def architecture_in_memory(self, name: str) -> Architecture | None:
        return families.baselines().get(name) or self._architectures.get(name)

    def architecture(self, name: str) -> Architecture:
        """The baseline of that name.

        Raises: NotFound; DatabaseAway.
        """
        known = self.architecture_in_memory(name)
        if known is None:
            with self._look() as work:
                known = architectures.find(work, name)
            _keep(self._architectures, name, known)
        return known

    def predictor_in_memory(self, architecture: str, dataset: str | None, asked_for: str | None) -> Chosen | None:
        """The predictor to use, where that was looked up within the last second."""
        seen = self._chosen.get((architecture, dataset, asked_for))
        return seen[1] if seen is not None and time.monotonic() - seen[0] < _FRESH else None

    def predictor(self, architecture: str, dataset: str | None, asked_for: str | None) -> Chosen:
        """The predictor to use, which is looked up.

        Raises: NotFound; DatabaseAway.
        """
        began = time.monotonic()
        with self._look() as work:
            chosen = predictors.choose(work, architecture, dataset, asked_for)
        _keep(self._chosen, (architecture, dataset, asked_for), (began, chosen))
        return chosen

    def forget_predictors(self) -> None:
        """Another version is active from now on."""
        self._chosen.clear()

    def _look(self) -> UnitOfWork:
        return UnitOfWork(self._database, writes=False)


def _keep(memory: OrderedDict[Key, Value], key: Key, value: Value) -> None:
    memory[key] = value
    while len(memory) > _MOST_KEPT:
        memory.popitem(last=False)
