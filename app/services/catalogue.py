"""What scaling asks the database for, kept in memory, so that an answer takes no look at the database.

Registered baselines never change, nor does a predictor's version; which version is active does, and is looked up anew
once a second, or at once where this process changed it.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TypeVar

from app.db.unit_of_work import UnitOfWork
from app.scaling import families
from app.scaling.architecture import Architecture
from app.services import architectures, predictors
from app.services.predictors import Chosen

_FRESH = 1.0  # seconds
_MOST_KEPT = 4096

Key, Value = TypeVar("Key"), TypeVar("Value")


@dataclass(frozen=True)
class Wanted:
    """For which architecture and data set a predictor is looked for, and which one was asked for, if any was."""

    architecture: str
    dataset: str | None = None
    predictor: str | None = None
    version: int | None = None


class Catalogue:
    """Baselines by name and the predictor for each, as last seen."""

    def __init__(self, database: str) -> None:
        self._database = database
        self._architectures: OrderedDict[str, Architecture] = OrderedDict()
        self._chosen: OrderedDict[Wanted, tuple[float, Chosen]] = OrderedDict()

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

    def predictor_in_memory(self, wanted: Wanted) -> Chosen | None:
        """The predictor to use, where that was looked up within the last second."""
        seen = self._chosen.get(wanted)
        return seen[1] if seen is not None and time.monotonic() - seen[0] < _FRESH else None

    def predictor(self, wanted: Wanted) -> Chosen:
        """The predictor to use, looked up where that was not done within the last second.

        Raises: NotFound; Invalid; DatabaseAway.
        """
        chosen = self.predictor_in_memory(wanted)
        if chosen is not None:
            return chosen
        began = time.monotonic()
        with self._look() as work:
            chosen = predictors.choose(work, wanted.architecture, wanted.dataset, wanted.predictor, wanted.version)
        _keep(self._chosen, wanted, (began, chosen))
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
