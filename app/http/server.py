"""Runs the API under uvicorn, with bounds on connections and with trusted proxies."""

from __future__ import annotations

import gc
import sys
from typing import Any

from starlette.types import ASGIApp

from app.core.settings import Settings

_MAX_HEADER_BYTES = 32 * 1024  # of a request's line and headers, if they arrive in several pieces
_MAX_CONNECTIONS = 2000  # of a process, event streams included
_SWITCH_INTERVAL = 0.0005  # seconds; a thread that computes in Python may hold up the event loop for that long


def options(settings: Settings) -> dict[str, Any]:
    """Return options for `uvicorn.run`. Forwarded headers are trusted only from the configured proxies."""
    proxies = settings.trusted_proxies
    return {
        "host": settings.host,
        "port": settings.port,
        "http": "h11",
        "ws": "none",
        "h11_max_incomplete_event_size": _MAX_HEADER_BYTES,
        "limit_concurrency": _MAX_CONNECTIONS,
        "proxy_headers": bool(proxies),
        "forwarded_allow_ips": proxies or "",
        "server_header": False,
        "access_log": False,
        "log_config": None,
        "timeout_graceful_shutdown": 5,
    }


def run(settings: Settings) -> None:
    """Serve the API until the process is stopped."""
    from app.http.app import create_app

    serve(create_app(settings), settings)


def serve(app: ASGIApp, settings: Settings) -> None:
    """Serve an application with these options until the process is stopped."""
    import uvicorn

    gc.collect()
    gc.freeze()  # what was imported stays: to look through it again and again would hold up requests for 0.2 s each
    sys.setswitchinterval(_SWITCH_INTERVAL)
    uvicorn.run(app, **options(settings))
