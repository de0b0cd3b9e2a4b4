"""Prometheus metrics: the requests of this process, and trials and workers from the database.

Metrics from the database are the same at every replica: aggregate them with max, not sum.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector

from app.core.process_pool import ProcessPool
from app.core.settings import Settings
from app.core.trials import TrialState
from app.db.tables import COUNTERS
from app.db.unit_of_work import UnitOfWork
from app.scaling.bounded_cache import used_bytes

log = logging.getLogger("rdw.metrics")

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_METHODS = frozenset({"GET", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """One application's metrics."""

    def __init__(self, settings: Settings, count_streams: Callable[[], int], pool: ProcessPool) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "rdw_http_requests", "Number of requests.", ["method", "route", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "rdw_http_request_seconds",
            "Seconds until the response starts.",
            ["method", "route"],
            buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10),
            registry=self._registry,
        )
        self._cached_labels = cache(self._labels)  # finding a labelled metric takes longer than counting
        open_streams = Gauge("rdw_event_streams", "Number of open event streams.", registry=self._registry)
        open_streams.set_function(count_streams)
        self._registry.register(_ProcessCollector(pool))
        self._registry.register(_DatabaseCollector(settings))

    def count_response(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a response. `route` is the path's template, which bounds the number of labels."""
        counter, histogram = self._cached_labels(method if method in _METHODS else "other", route, status)
        counter.inc()
        histogram.observe(seconds)

    def _labels(self, method: str, route: str, status: int) -> tuple[Counter, Histogram]:
        return self._requests.labels(method, route, str(status)), self._seconds.labels(method, route)

    def text(self) -> bytes:
        return generate_latest(self._registry)


class _ProcessCollector(Collector):
    """Reads the caches of this process, and the queue for its pool of processes."""

    def __init__(self, pool: ProcessPool) -> None:
        self._pool = pool

    def collect(self) -> Iterable[Metric]:
        memory = GaugeMetricFamily("rdw_cache_bytes", "Memory of the values of each cache.", labels=["cache"])
        for name, size in used_bytes().items():
            memory.add_metric([name], size)
        waiting = GaugeMetricFamily("rdw_searches_waiting", "Number of searches that wait.", labels=["lane"])
        for lane, count in self._pool.waiting().items():
            waiting.add_metric([lane], count)
        return [memory, waiting]


class _DatabaseCollector(Collector):
    """Reads the database at each scrape."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def collect(self) -> Iterable[Metric]:
        try:
            metrics = self._read_metrics()
        except Exception as error:  # the rest of the metrics is still worth reading
            log.warning("could not read the metrics in the database: %s", error)
            metrics = []
        yield GaugeMetricFamily("rdw_database_up", "Whether the database responds.", value=float(bool(metrics)))
        yield from metrics

    def _read_metrics(self) -> list[Metric]:
        with UnitOfWork(self._settings.database, writes=False) as work:
            states, counts = work.trials.count_by_state(), work.counters.totals()
            workers = work.workers.list_alive(self._settings.lease_seconds)
        trials = GaugeMetricFamily("rdw_trials", "Number of trials by state.", labels=["state"])
        for state in TrialState:
            trials.add_metric([state], states.get(state, 0))
        alive = GaugeMetricFamily("rdw_workers", "Live workers by state: training or idle.", labels=["state"])
        busy = sum(worker.trial_id is not None for worker in workers)
        alive.add_metric(["training"], busy)
        alive.add_metric(["idle"], len(workers) - busy)
        seconds = SummaryMetricFamily(
            "rdw_epoch_seconds",
            "Duration of an epoch with validation and checkpoint.",
            int(counts["epochs"]),
            counts["epoch_seconds"],
        )
        counted = [CounterMetricFamily(f"rdw_{name}", text, counts[name]) for name, text in COUNTERS.items() if text]
        return [trials, alive, seconds, *counted]
