"""For Prometheus."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse

from app.metrics import MEDIA_TYPE, Metrics

router = APIRouter(tags=["health"])


@router.get("/metrics", summary="Metrics", response_class=PlainTextResponse)
def read_metrics(request: Request) -> PlainTextResponse:
    """In Prometheus's text format: this process's requests, and trials, workers and what they count from SQL."""
    metrics: Metrics = request.app.state.metrics
    return PlainTextResponse(metrics.text(), media_type=MEDIA_TYPE)
