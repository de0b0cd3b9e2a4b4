"""The list of checks, in order: a check comes after those that it depends on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping

from pydantic import ValidationError

from app.core.settings import Settings
from app.doctor import broker, database, environment, machine, service, storage
from app.doctor.finding import Finding, fail, skip

Check = Callable[[Settings], Finding]

_CHECKS: tuple[tuple[str, Check], ...] = (
    ("data directory", storage.check_writable),
    ("free space", storage.check_space),
    ("database", database.check_connection),
    ("schema", database.check_schema),
    ("keys", environment.check_keys),
    ("database file", storage.check_database_file),
    ("clock", database.check_clock),
    ("broker", broker.check_connection),
    ("broker's memory", broker.check_eviction),
    ("service", service.check_port),
    ("workers", service.check_workers),
    ("torch", machine.check_torch),
    ("device", machine.check_device),
    ("threads", machine.check_threads),
    ("fonts", machine.check_fonts),
    ("data sets", machine.check_datasets),
)


# A check is skipped if the one that it depends on fails, so that one fault is reported once.
_PREREQUISITES = {
    "schema": "database",
    "clock": "database",
    "keys": "schema",
    "workers": "schema",
    "data sets": "schema",
}
_FAILURES = {
    "data directory": "the data directory cannot be written",
    "database": "the database does not answer",
    "schema": "the database schema is outdated",
}


def examine(env: Mapping[str, str]) -> Iterator[Finding]:
    """Run the checks and yield their findings; invalid settings end the run."""
    logging.getLogger("rdw").setLevel(logging.CRITICAL)  # the findings report problems
    yield environment.check_names(env)
    try:
        settings = Settings()
    except ValidationError as error:
        yield environment.invalid_settings(error)
        return
    yield environment.valid_settings()
    failed: dict[str, str] = {}
    for name, check in _CHECKS:
        why = failed.get(_prerequisite(name, settings))
        finding = skip(name, why) if why else _run_check(name, check, settings)
        if why or finding.state == "fail":
            failed[name] = why or _FAILURES.get(name, "")
        yield finding


def _prerequisite(name: str, settings: Settings) -> str:
    if name == "database" and not settings.database_url:
        return "data directory"
    return "" if name == "keys" and settings.key_digests else _PREREQUISITES.get(name, "")


def _run_check(name: str, check: Check, settings: Settings) -> Finding:
    try:
        return check(settings)
    except Exception as error:  # an error in a check is a finding as well
        return fail(name, f"the check failed: {str(error).partition(chr(10))[0]}", "See the checks above.")
