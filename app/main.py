"""The HTTP service, wired. The only place where all parts meet."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

from anyio import to_thread
from fastapi import Depends, FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.staticfiles import StaticFiles
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import problems
from app.bodies import BodyLimit
from app.callers import Gate, known_caller
from app.db.unit_of_work import UnitOfWork
from app.etags import page
from app.heads import HeadLimit
from app.idempotency import Idempotency
from app.jobs import JobQueue, prune_processed
from app.logs import about
from app.metrics import Metrics
from app.plain_http import PlainHttp
from app.playground import describe
from app.rate_limits import RateLimits
from app.routers import (
    architectures,
    asking,
    dashboard,
    datasets,
    health,
    metrics,
    observations,
    predictors,
    problem_pages,
    scale,
    studies,
    trials,
    workers,
)
from app.security_headers import DOCS_POLICY, SecurityHeaders
from app.services import predictors as predictor_service
from app.services.advance import advance
from app.services.catalogue import Catalogue
from app.services.keyring import KeyRing
from app.services.leases import reconcile
from app.services.listeners import Listeners
from app.services.retention import prune
from app.settings import Settings, get_settings
from app.troubles import Troubles

log = logging.getLogger("rdw.api")

_ASSETS = Path(__file__).parent / "assets"
_PRUNE_SECONDS = 600.0
_THREADS = 12  # more of them only hold the database longer, each waiting for its turn at the interpreter
_CORS: dict[str, Any] = {
    "allow_methods": ["GET", "POST"],
    "allow_headers": [
        "Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match", "Last-Event-ID", "Range",
        "X-Request-ID",
    ],
    "expose_headers": [
        "Content-Disposition", "Content-Range", "ETag", "Idempotent-Replayed", "Location", "RateLimit",
        "RateLimit-Policy", "Retry-After", "WWW-Authenticate", "X-Request-ID",
    ],
    "max_age": 600,
}  # fmt: skip
_DESCRIPTION = """Name a baseline network and a FLOPs budget, and get the resolution, depth and width that fit it, with
the network itself; train it on real images; every training makes the next answer better. The method is that of *Model
Rubik's Cube: Twisting Resolution, Depth and Width for TinyNets* (NeurIPS 2020).

`flops` are multiply-adds of convolutions and linear layers, for one image."""
_TAGS = [
    {"name": "scale", "description": "A target in, a network out."},
    {"name": "architectures", "description": "Baselines that can be scaled."},
    {"name": "datasets", "description": "What can be trained on."},
    {"name": "trials", "description": "Train on demand."},
    {"name": "studies", "description": "The paper's experiments."},
    {"name": "ask and tell", "description": "For tools that choose or train networks themselves."},
    {"name": "predictors", "description": "The Gaussian processes behind the tiny formula."},
    {"name": "workers", "description": "Who trains, and how long the line is."},
    {"name": "health", "description": "For operators."},
]


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application. The database has to be migrated (`rdw migrate`)."""
    settings = settings or get_settings()
    app = FastAPI(
        title="rdw",
        version=version("rdw"),
        description=_DESCRIPTION,
        openapi_tags=_TAGS,
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.settings = settings
    app.state.jobs = JobQueue(settings)
    app.state.catalogue = Catalogue(settings.database)
    app.state.listeners = Listeners(settings.database)
    app.state.keys = KeyRing(settings)
    app.state.limits = RateLimits(settings)
    app.state.streams = {}
    app.state.metrics = Metrics(settings, lambda: len(app.state.listeners))
    for module in (scale, architectures, datasets, trials, studies, asking, observations, predictors, workers):
        app.include_router(module.router, dependencies=[Depends(known_caller)], responses=problems.REFUSED)
    app.include_router(health.router)
    if settings.metrics_open:
        app.include_router(metrics.router)
    else:
        app.include_router(metrics.router, dependencies=[Depends(known_caller)], responses=problems.REFUSED)
    app.include_router(problem_pages.router)
    app.include_router(dashboard.router)
    app.mount("/dashboard", dashboard.Assets(directory=dashboard.ASSETS), name="dashboard")
    app.mount("/assets", StaticFiles(directory=_ASSETS), name="assets")
    app.add_api_route("/docs", _docs, include_in_schema=False)
    describe(app)
    _put_together(app)
    problems.add_handlers(app)
    app.add_middleware(Idempotency)
    app.add_middleware(BodyLimit, seconds=settings.body_seconds)
    app.add_middleware(Gate, metrics_open=settings.metrics_open)
    app.add_middleware(HeadLimit)
    if settings.allowed_origins:
        app.add_middleware(CORSMiddleware, **_CORS, allow_origins=sorted(settings.allowed_origins))
    app.add_middleware(SecurityHeaders)
    app.add_middleware(RequestIds)
    app.add_middleware(Measured, metrics=app.state.metrics)
    app.add_middleware(PlainHttp)
    return app


def _put_together(app: FastAPI) -> None:
    """FastAPI makes a router's routes when the first request looks through them: better here, where nobody waits."""
    nowhere = {"type": "http", "method": "GET", "path": "/.", "root_path": "", "headers": [], "query_string": b""}
    for route in app.routes:
        route.matches(nowhere)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    stop = threading.Event()
    watch = threading.Thread(target=_look_out, args=(settings, app.state.jobs, stop), name="reconcile", daemon=True)
    watch.start()
    await app.state.limits.begin()
    to_thread.current_default_thread_limiter().total_tokens = _THREADS
    yield
    stop.set()
    watch.join(timeout=5)
    await app.state.limits.close()
    await run_in_threadpool(app.state.keys.close)
    await run_in_threadpool(app.state.jobs.close)


def _look_out(settings: Settings, jobs: JobQueue, stop: threading.Event) -> None:
    """See to it that the built-in predictor is there, that lost jobs are sent again, and what is old goes.

    Until told to stop.
    """
    next_prune = time.monotonic()
    troubles = Troubles(log, "look for lost jobs")
    while not stop.is_set():
        try:
            with UnitOfWork(settings.database) as work:
                predictor_service.install_published(work)
            with UnitOfWork(settings.database, jobs.send) as work:
                reconcile(work, settings)
            advance(settings, jobs.send)
            if settings.embedded_broker:
                prune_processed(settings)
            if time.monotonic() >= next_prune:
                prune(settings)
                next_prune = time.monotonic() + _PRUNE_SECONDS
            troubles.over()
        except Exception as error:  # the database may be away for a while; the next look may find it
            troubles.met(error)
        stop.wait(settings.reconcile_seconds)


class RequestIds:
    """A request's id, the client's where it sends a usable one, goes with it into the log and the trial."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        given = Headers(scope=scope).get("x-request-id", "")
        usable = given.isascii() and given.isprintable() and 0 < len(given) <= 100
        request_id = given if usable else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            await send(message)

        with about(request_id=request_id):
            await self.app(scope, receive, send_with_id)


class Measured:
    """Counts requests by route, and the seconds until their answers begin."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        began = perf_counter()

        def answered(status: int) -> None:
            route = getattr(scope.get("route"), "path", "none")
            self._metrics.answered(scope["method"], route, status, perf_counter() - began)

        async def send_and_count(message: Message) -> None:
            if message["type"] == "http.response.start":
                answered(message["status"])
            await send(message)

        try:
            await self.app(scope, receive, send_and_count)
        except Exception:  # what answers it stands before all middleware
            answered(500)
            raise


def _docs(request: Request) -> Response:
    return page(request, _ASSETS / "docs.html", {"Content-Security-Policy": DOCS_POLICY})
