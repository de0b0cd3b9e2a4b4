"""An in-memory cache of the baselines and predictors that scaling needs, so that most requests need no query.

Versions of predictors never change. Which one is active may, as may the registered baseline of a name: they are
looked up again after a second, or at once if this process changed them.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock

from cachetools import TTLCache

from app.data.builtin_datasets import BUILT_IN
from app.db.unit_of_work import UnitOfWork
from app.scaling import families
from app.scaling.network import Architecture
from app.services.catalog import architectures, datasets
from app.services.predictors import store
from app.services.predictors.store import ResolvedPredictor

_SECONDS = 1.0
_MAX_PREDICTORS = 256
_MAX_ARCHITECTURE_BYTES = 32 * 2**20
_BYTES_PER_STAGE = 1000


@dataclass(frozen=True)
class PredictorQuery:
    """A lookup of a predictor: by architecture and data set, or by the study, or predictor and version, requested."""

    architecture: str
    dataset: str | None = None
    predictor: str | None = None
    version: int | None = None
    study: str | None = None


def _size_of(architecture: Architecture) -> int:
    """Return the memory in bytes, at the most."""
    return _BYTES_PER_STAGE * (2 + len(architecture.baseline.stages))


class CatalogCache:
    """Caches baselines by name and predictors by query, for one database; thread-safe."""

    def __init__(self, database: str) -> None:
        self._database = database
        self._architectures: TTLCache[str, Architecture] = TTLCache(
            _MAX_ARCHITECTURE_BYTES, _SECONDS, getsizeof=_size_of
        )
        self._predictors: TTLCache[PredictorQuery, ResolvedPredictor] = TTLCache(_MAX_PREDICTORS, _SECONDS)
        self._lock = Lock()

    def get_cached_architecture(self, name: str) -> Architecture | None:
        """Return the baseline of that name if it is built-in or cached."""
        built_in = families.baselines().get(name)
        if built_in is not None:
            return built_in
        with self._lock:
            return self._architectures.get(name)

    def architecture(self, name: str) -> Architecture:
        """Return the baseline of that name.

        Raises: NotFound; DatabaseUnavailable.
        """
        architecture = self.get_cached_architecture(name)
        if architecture is None:
            with self._open_read() as work:
                architecture = architectures.find(work, name)
            if architecture.name == name:  # another name may still be registered
                with self._lock:
                    self._architectures[name] = architecture
        return architecture

    def input_of(self, dataset: str) -> tuple[int, int | None]:
        """Return a data set's number of classes, and its input channels (None: the baseline's).

        Raises: UnknownDataset; DatabaseUnavailable.
        """
        if dataset in BUILT_IN:
            return BUILT_IN[dataset].num_classes, BUILT_IN[dataset].in_chans
        with self._open_read() as work:
            return datasets.input_of(work, dataset)

    def get_cached_predictor(self, query: PredictorQuery) -> ResolvedPredictor | None:
        """Return the predictor to use if it was looked up within the last second."""
        with self._lock:
            try:
                return self._predictors[query]  # `get` is ten times slower
            except KeyError:
                return None

    def predictor(self, query: PredictorQuery) -> ResolvedPredictor:
        """Return the predictor to use.

        Raises: NotFound; InvalidRequest; DatabaseUnavailable.
        """
        predictor = self.get_cached_predictor(query)
        if predictor is None:
            with self._open_read() as work:
                predictor = self._resolve(work, query)
            with self._lock:
                self._predictors[query] = predictor
        return predictor

    def invalidate_architecture(self, name: str) -> None:
        """Remove a baseline that was renamed or deleted, and the predictors, which may be of it."""
        with self._lock:
            self._architectures.pop(name, None)
            self._predictors.clear()

    def invalidate_predictors(self) -> None:
        """Clear the cached predictors, since another version has become active, or one was changed."""
        with self._lock:
            self._predictors.clear()

    @staticmethod
    def _resolve(work: UnitOfWork, query: PredictorQuery) -> ResolvedPredictor:
        if query.study is not None:
            return store.resolve_of_study(work, query.study, query.architecture)
        return store.resolve(work, query.architecture, query.dataset, query.predictor, query.version)

    def _open_read(self) -> UnitOfWork:
        return UnitOfWork(self._database, writes=False)
