"""The API under uvicorn: what it takes of connections, and whom it believes."""

from __future__ import annotations

from typing import Any

from app.heads import LARGEST
from app.settings import Settings


def options(settings: Settings) -> dict[str, Any]:
    """Of `uvicorn.run`. What a proxy says of its client counts only where its address is configured."""
    proxies = settings.trusted_proxies
    return {
        "host": settings.host,
        "port": settings.port,
        "http": "h11",
        "ws": "none",
        "h11_max_incomplete_event_size": LARGEST,
        "proxy_headers": bool(proxies),
        "forwarded_allow_ips": proxies or "",
        "server_header": False,
        "access_log": False,
        "log_config": None,
        "timeout_graceful_shutdown": 5,
    }


def run(settings: Settings) -> None:
    import uvicorn

    uvicorn.run("app.main:create_app", factory=True, **options(settings))
