"""What Prometheus reads: this process's requests, and what SQL knows of trials and workers, wherever these run.

What is read from SQL is the same at every replica: take the greatest of them, not their sum.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector

from app.db.repositories import STATES
from app.db.tables import COUNTERS
from app.db.unit_of_work import UnitOfWork
from app.settings import Settings

log = logging.getLogger("rdw.metrics")

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_METHODS = frozenset({"GET", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """One application's metrics."""

    def __init__(self, settings: Settings, listeners: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "rdw_http_requests", "Requests answered.", ["method", "route", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "rdw_http_request_seconds",
            "Seconds until an answer begins.",
            ["method", "route"],
            buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10),
            registry=self._registry,
        )
        open_streams = Gauge("rdw_event_streams", "Event streams that are open.", registry=self._registry)
        open_streams.set_function(listeners)
        self._registry.register(_Sql(settings))

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request; `route` is its template, so that there are only so many."""
        method = method if method in _METHODS else "other"
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)

    def text(self) -> bytes:
        return generate_latest(self._registry)


class _Sql(Collector):
    """Read anew at each scrape."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def collect(self) -> Iterable[Metric]:
        try:
            known = self._known()
        except Exception as error:  # the rest of the metrics is still worth reading
            log.warning("no metrics from the database: %s", error)
            known = []
        yield GaugeMetricFamily("rdw_database_up", "Whether the database answers.", value=float(bool(known)))
        yield from known

    def _known(self) -> list[Metric]:
        with UnitOfWork(self._settings.database, writes=False) as work:
            states, counts = work.trials.by_state(), work.counters.all()
            workers = work.workers.alive(self._settings.lease_seconds)
        trials = GaugeMetricFamily("rdw_trials", "Trials by state; the queue is what is queued.", labels=["state"])
        for state in STATES:
            trials.add_metric([state], states.get(state, 0))
        alive = GaugeMetricFamily("rdw_workers", "Workers that live, by what they do.", labels=["doing"])
        busy = sum(worker.trial_id is not None for worker in workers)
        alive.add_metric(["training"], busy)
        alive.add_metric(["waiting"], len(workers) - busy)
        seconds = SummaryMetricFamily(
            "rdw_epoch_seconds",
            "Seconds an epoch took, validation and checkpoint included.",
            counts["epochs"],
            counts["epoch_seconds"],
        )
        counted = [CounterMetricFamily(f"rdw_{name}", text, counts[name]) for name, text in COUNTERS.items() if text]
        return [trials, alive, seconds, *counted]
