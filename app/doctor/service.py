"""Checks of the running service: its port, version, readiness and workers."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from app.core.settings import Settings
from app.db.unit_of_work import UnitOfWork
from app.doctor.finding import Finding, fail, ok, warn

_SECONDS = 5
_LOOPBACK_OF = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (to connect to, not to listen on)


def check_port(settings: Settings) -> Finding:
    """Check that the port is free or this service is running on it."""
    host = _LOOPBACK_OF.get(settings.host, settings.host)
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.settimeout(_SECONDS)
        if probe.connect_ex((host, settings.port)) != 0:
            return ok("service", f"it does not run; port {settings.port} is free")
    where = f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"
    spec = _get_json(f"{where}/openapi.json")
    if spec is None or spec.get("info", {}).get("title") != "rdw":
        cure = "Stop that process, or set RDW_PORT to another port."
        return fail("service", f"port {settings.port} is used by another process", cure)
    running, installed = str(spec["info"].get("version")), _installed_version()
    if installed not in (None, running):
        return warn("service", f"version {running} runs, {installed} is installed", "Restart it.")
    readiness = _get_json(f"{where}/readyz") or {}
    missing = [
        f"{part}: {readiness.get(part)}" for part in ("database", "broker", "disk") if readiness.get(part) != "ok"
    ]
    if missing:
        return fail("service", f"{where} is not ready: {', '.join(missing)}", "See its log.")
    return ok("service", f"{where}, version {running}")


def check_workers(settings: Settings) -> Finding:
    with UnitOfWork(settings.database, writes=False) as work:
        alive = [worker.name for worker in work.workers.list_alive(settings.lease_seconds)]
    if not alive:
        cure = "Start some: `rdw serve`, or `rdw worker` on any machine with the same settings."
        return warn("workers", "no worker is alive, so trainings wait", cure)
    return ok("workers", ", ".join(alive))


def _get_json(url: str) -> dict[str, Any] | None:
    """Return the JSON object at the URL, whatever the status; None for any other response."""
    try:
        try:
            with urllib.request.urlopen(url, timeout=_SECONDS) as response:  # noqa: S310 (http://)
                body = json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                body = json.load(error)
    except (OSError, ValueError):
        return None
    return body if isinstance(body, dict) else None


def _installed_version() -> str | None:
    try:
        return version("rdw")
    except PackageNotFoundError:
        return None
