"""The API and its workers: on its port, healthy, of this version, alive."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from app.db.unit_of_work import UnitOfWork
from app.doctor.finding import Finding, fail, ok, warn
from app.settings import Settings

_SECONDS = 5
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def port(settings: Settings) -> Finding:
    """Free, or with our own service on it."""
    host = _EVERYWHERE.get(settings.host, settings.host)
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.settimeout(_SECONDS)
        if probe.connect_ex((host, settings.port)) != 0:
            return ok("service", f"none runs; port {settings.port} is free")
    where = f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"
    spec = _json(f"{where}/openapi.json")
    if spec is None or spec.get("info", {}).get("title") != "rdw":
        cure = "Stop what is there, or set RDW_PORT to another port."
        return fail("service", f"port {settings.port} is taken by something else", cure)
    theirs, ours = str(spec["info"].get("version")), _installed()
    if ours not in (None, theirs):
        return warn("service", f"version {theirs} runs, {ours} is installed", "Restart it.")
    said = _json(f"{where}/readyz") or {}
    lacks = [f"{part}: {said.get(part)}" for part in ("database", "broker") if said.get(part) != "ok"]
    if lacks:
        return fail("service", f"{where} is not ready: {', '.join(lacks)}", "See its log.")
    return ok("service", f"{where}, version {theirs}")


def workers(settings: Settings) -> Finding:
    with UnitOfWork(settings.database, writes=False) as work:
        alive = [worker.name for worker in work.workers.alive(settings.lease_seconds)]
    if not alive:
        cure = "Start some: `rdw serve`, or `rdw worker` on any machine with the same settings."
        return warn("workers", "none is alive: trainings wait", cure)
    return ok("workers", ", ".join(alive))


def _json(url: str) -> dict[str, Any] | None:
    """What is answered, be it with 503; none where it is no JSON object."""
    try:
        try:
            with urllib.request.urlopen(url, timeout=_SECONDS) as answer:
                found = json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                found = json.load(error)
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _installed() -> str | None:
    try:
        return version("rdw")
    except PackageNotFoundError:
        return None
