"""The route of the metrics."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse

from app.http.metrics import MEDIA_TYPE, Metrics

PATH = "/metrics"

router = APIRouter(tags=["health"])


@router.get(PATH, summary="Metrics", response_class=PlainTextResponse)
def read_metrics(request: Request) -> PlainTextResponse:
    """Read the metrics in the text format of Prometheus.

    Requests are counted per process; trials, workers and counters come from the database.
    """
    metrics: Metrics = request.app.state.metrics
    return PlainTextResponse(metrics.text(), media_type=MEDIA_TYPE)
