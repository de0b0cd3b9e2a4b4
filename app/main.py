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

from fastapi import Depends, FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import problems
from app.db.unit_of_work import UnitOfWork
from app.deps import known_caller
from app.jobs import JobQueue, prune_processed
from app.logs import about
from app.metrics import Metrics
from app.routers import (
    architectures,
    asking,
    dashboard,
    datasets,
    health,
    metrics,
    observations,
    predictors,
    scale,
    studies,
    trials,
    workers,
)
from app.services import predictors as predictor_service
from app.services.advance import advance
from app.services.catalogue import Catalogue
from app.services.leases import reconcile
from app.services.listeners import Listeners
from app.services.retention import prune
from app.settings import Settings, get_settings

log = logging.getLogger("rdw.api")

_LARGEST_BODY = 8 * 1024 * 1024
_LARGEST_IMPORT = 24 * 1024 * 1024  # 100,000 observations as JSON, with room
_PRUNE_SECONDS = 600.0
_DESCRIPTION = """Name a baseline network and a FLOPs budget, and get the resolution, depth and width that fit it, with
the network itself; train it on real images; every training makes the next answer better. The method is that of *Model
Rubik's Cube: Twisting Resolution, Depth and Width for TinyNets* (NeurIPS 2020).

`flops` are multiply-adds of convolutions and linear layers, for one image."""
_TAGS = [
    {"name": "scale", "description": "A target in, a network out."},
    {"name": "architectures", "description": "Baselines that can be scaled."},
    {"name": "trials", "description": "Train on demand."},
    {"name": "studies", "description": "The paper's experiments."},
    {"name": "predictors", "description": "The Gaussian processes behind the tiny formula."},
    {"name": "datasets", "description": "What can be trained on."},
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
    )
    app.state.settings = settings
    app.state.jobs = JobQueue(settings)
    app.state.catalogue = Catalogue(settings.database)
    app.state.listeners = Listeners(settings.database)
    app.state.metrics = Metrics(settings, lambda: len(app.state.listeners))
    for module in (scale, architectures, trials, studies, asking, observations, predictors, datasets, workers):
        app.include_router(module.router, dependencies=[Depends(known_caller)])
    app.include_router(health.router)
    app.include_router(metrics.router)
    app.include_router(dashboard.router)
    app.mount("/dashboard", dashboard.Assets(directory=dashboard.ASSETS), name="dashboard")
    app.mount("/assets", StaticFiles(directory=Path(__file__).parent / "assets"), name="assets")
    app.add_api_route("/docs", _docs, include_in_schema=False)
    problems.add_handlers(app)
    app.add_middleware(BodyLimit)
    app.add_middleware(RequestIds)
    app.add_middleware(Measured, metrics=app.state.metrics)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    stop = threading.Event()
    watch = threading.Thread(target=_look_out, args=(settings, app.state.jobs, stop), name="reconcile", daemon=True)
    watch.start()
    yield
    stop.set()
    watch.join(timeout=5)
    await run_in_threadpool(app.state.jobs.close)


def _look_out(settings: Settings, jobs: JobQueue, stop: threading.Event) -> None:
    """See to it that the built-in predictor is there, that lost jobs are sent again, and what is old goes.

    Until told to stop.
    """
    next_prune = time.monotonic()
    while not stop.is_set():
        try:
            with UnitOfWork(settings.database, jobs.send) as work:
                predictor_service.install_published(work)
                reconcile(work, settings)
            advance(settings, jobs.send)
            if settings.embedded_broker:
                prune_processed(settings)
            if time.monotonic() >= next_prune:
                prune(settings)
                next_prune = time.monotonic() + _PRUNE_SECONDS
        except Exception:  # the database may be away for a while; the next look may find it
            log.warning("could not look for lost jobs", exc_info=True)
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


class BodyLimit:
    """Refuses bodies above the limit with a problem document (FastAPI's own limit answers in plain text)."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        request = Request(scope)
        declared = request.headers.get("content-length", "0")
        most = _LARGEST_IMPORT if scope["path"].endswith("/observations") else _LARGEST_BODY
        if declared.isdigit() and int(declared) > most:
            return await _too_large(request, most)(scope, receive, send)
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > most:
                return await _too_large(request, most)(scope, receive, send)
        return await self.app(scope, _replayed(body, receive), send)


def _replayed(body: bytes, receive: Receive) -> Receive:
    whole: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return whole.pop() if whole else await receive()

    return replay


def _too_large(request: Request, most: int) -> Response:
    return problems.problem(request, 413, "too-large", f"A body has at most {most:,} bytes here.")


async def _docs() -> HTMLResponse:
    return get_swagger_ui_html(
        openapi_url="/openapi.json",
        title="rdw",
        swagger_js_url="/assets/swagger-ui-bundle.js",
        swagger_css_url="/assets/swagger-ui.css",
        swagger_favicon_url="/assets/favicon.png",
    )
