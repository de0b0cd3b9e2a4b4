"""Assembles the HTTP application."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import BaseRoute

from app.core.process_pool import ProcessPool
from app.core.settings import Settings, get_settings
from app.http import long_requests, problems
from app.http.auth import READ, AuthMiddleware
from app.http.conditional import file_response
from app.http.metrics import Metrics
from app.http.middleware.request_context import RequestContextMiddleware
from app.http.middleware.request_target import RequestTargetMiddleware
from app.http.openapi import complete_spec, read_spec
from app.http.rate_limit import RateLimits
from app.http.route import include_api_router
from app.http.routers import (
    architectures,
    ask_tell,
    dashboard,
    datasets,
    events,
    health,
    keys,
    metrics,
    observations,
    predictors,
    problem_types,
    scale,
    studies,
    trials,
    workers,
)
from app.http.security_policy import DOCS_POLICY
from app.http.solving import compute_in_background
from app.http.static_files import VersionedFiles
from app.jobs.background import run_maintenance_loop
from app.jobs.queue import JobQueue
from app.scaling import bounded_cache
from app.services.auth.key_cache import KeyCache
from app.services.catalog.dataset_checks import run_checks
from app.services.change_streams import ChangePoller
from app.services.predictors.lookup_cache import CatalogCache
from app.services.trials.event_streams import EventPoller

_ASSETS = Path(__file__).parent / "assets"
_THREADS = 12  # more only hold database connections longer while they wait for the interpreter lock
_SWITCH_SECONDS = 0.0005  # that the event loop waits for a thread which computes; Python's own are ten times as long
_POOL: dict[str, Any] = {"max_waiting": 16, "timeout": 120.0}
_CORS: dict[str, Any] = {
    "allow_methods": ["GET", "POST"],
    "allow_headers": [
        "Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match", "Last-Event-ID",
        "X-Request-ID",
    ],
    "expose_headers": [
        "Content-Disposition", "ETag", "Idempotent-Replayed", "Location", "RateLimit", "RateLimit-Policy",
        "Retry-After", "WWW-Authenticate", "X-Request-ID",
    ],
    "max_age": 600,
}  # fmt: skip
_DESCRIPTION = """Scale a baseline network to a FLOPs budget: get the resolution, depth and width that meet it, and the
network itself. Train it on your images; recommendations improve with every training. The method is that of *Model
Rubik's Cube: Twisting Resolution, Depth and Width for TinyNets* (NeurIPS 2020).

`flops` are multiply-adds of convolutions and linear layers for one image."""
_TAGS = [
    {"name": "scale", "description": "Scale baselines to budgets and compute costs."},
    {"name": "architectures", "description": "Baselines that can be scaled."},
    {"name": "datasets", "description": "Data sets for training."},
    {"name": "trials", "description": "Train networks on demand."},
    {"name": "studies", "description": "Train sets of networks, as in the experiments of the paper."},
    {"name": "ask and tell", "description": "For tools that choose or train networks themselves."},
    {"name": "predictors", "description": "The Gaussian processes of the tiny formula, by version."},
    {"name": "workers", "description": "Workers and the queue."},
    {"name": "events", "description": "What changes, as it changes."},
    {"name": "keys", "description": "API keys."},
    {"name": "health", "description": "Health checks and metrics."},
]


def create_app(settings: Settings | None = None) -> FastAPI:
    """Create the application. The database has to be migrated (`rdw migrate`)."""
    settings = settings or get_settings()
    app = FastAPI(
        title="rdw",
        version=version("rdw"),
        description=_DESCRIPTION,
        openapi_tags=_TAGS,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        servers=[{"url": "/"}],
        lifespan=_lifespan,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.settings = settings
    app.state.jobs = JobQueue(settings)
    app.state.catalog = CatalogCache(settings.database)
    app.state.event_poller = EventPoller(settings.database)
    app.state.change_poller = ChangePoller(settings.database)
    app.state.keys = KeyCache(settings)
    app.state.limits = RateLimits(settings)
    app.state.pool = ProcessPool(settings.solvers, cache_bytes=settings.cache_bytes, **_POOL)
    app.state.long_requests = long_requests.create_lane()
    bounded_cache.set_limit(settings.cache_bytes)
    pollers = app.state.event_poller, app.state.change_poller
    app.state.metrics = Metrics(settings, lambda: sum(map(len, pollers)), app.state.pool)
    app.router.routes.extend(_build_routes(settings.metrics_open))
    app.mount("/dashboard", dashboard.files, name="dashboard")
    app.mount("/assets", VersionedFiles(_ASSETS), name="assets")
    app.add_api_route("/docs", _docs, include_in_schema=False)
    app.add_api_route("/openapi.json", read_spec, include_in_schema=False)
    complete_spec(app)
    problems.add_handlers(app)
    app.add_middleware(AuthMiddleware, paths=() if settings.metrics_open else (metrics.PATH,))
    if settings.allowed_origins:
        app.add_middleware(CORSMiddleware, **_CORS, allow_origins=sorted(settings.allowed_origins))
    app.add_middleware(RequestTargetMiddleware)
    app.add_middleware(RequestContextMiddleware, metrics=app.state.metrics)
    return app


@lru_cache
def _build_routes(metrics_open: bool) -> list[BaseRoute]:
    """Build the routes, which takes FastAPI nearly 0.1 s; the applications of a process share them."""
    router = APIRouter(generate_unique_id_function=lambda route: route.name)
    for module in (
        scale,
        architectures,
        datasets,
        trials,
        studies,
        ask_tell,
        observations,
        predictors,
        workers,
        events,
        keys,
    ):
        include_api_router(router, module.router)
    router.include_router(health.router)
    if metrics_open:
        router.include_router(metrics.router)
    else:
        router.include_router(metrics.router, dependencies=[READ], responses=problems.REFUSED)
    router.include_router(problem_types.router)
    router.include_router(dashboard.router)
    _warm_up_routes(router.routes)
    return router.routes


def _warm_up_routes(routes: list[BaseRoute]) -> None:
    """Make FastAPI build the included routers' routes now instead of at the first request."""
    unknown = {"type": "http", "method": "GET", "path": "/.", "root_path": "", "headers": [], "query_string": b""}
    for route in routes:
        route.matches(unknown)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    sys.setswitchinterval(_SWITCH_SECONDS)
    stop = threading.Event()
    app.state.pool.open()
    compute = compute_in_background(app.state.pool, asyncio.get_running_loop())
    maintenance = threading.Thread(
        target=run_maintenance_loop, args=(settings, app.state.jobs, stop, compute), name="maintenance", daemon=True
    )
    checks = threading.Thread(target=run_checks, args=(settings, stop), name="dataset-checks", daemon=True)
    await app.state.limits.connect()
    maintenance.start()
    checks.start()
    to_thread.current_default_thread_limiter().total_tokens = _THREADS
    yield
    stop.set()
    await app.state.pool.close()
    # Each thread ends after its transaction, which is bounded in time, and never uses the database after the shut-down.
    await run_in_threadpool(maintenance.join)
    await run_in_threadpool(checks.join)
    await app.state.limits.close()
    await run_in_threadpool(app.state.keys.close)
    await run_in_threadpool(app.state.jobs.close)


def _docs(request: Request) -> Response:
    return file_response(request, _ASSETS / "docs.html", {"Content-Security-Policy": DOCS_POLICY})
