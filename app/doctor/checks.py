"""All checks, causes before what they lead to."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping

from pydantic import ValidationError

from app.doctor import broker, database, environment, machine, service, storage
from app.doctor.finding import Finding, fail, skip
from app.settings import Settings

Check = Callable[[Settings], Finding]

_CHECKS: tuple[tuple[str, Check], ...] = (
    ("data directory", storage.writable),
    ("free space", storage.space),
    ("database", database.answers),
    ("schema", database.at_head),
    ("keys", environment.open_without_keys),
    ("database file", storage.database_file),
    ("clock", database.clock),
    ("broker", broker.answers),
    ("broker's memory", broker.evicts),
    ("service", service.port),
    ("workers", service.workers),
    ("torch", machine.torch),
    ("device", machine.device),
    ("threads", machine.threads),
    ("fonts", machine.fonts),
    ("data sets", machine.datasets),
)


# Without the second the first cannot be looked at: one fault is one finding, not that of all it has for consequence.
_NEEDS = {
    "schema": "database",
    "clock": "database",
    "keys": "schema",
    "workers": "schema",
    "data sets": "schema",
}
_LACKS = {
    "data directory": "the data directory cannot be written",
    "database": "the database does not answer",
    "schema": "the database lacks this version's tables",
}


def examine(env: Mapping[str, str]) -> Iterator[Finding]:
    """Each check's finding, as soon as it is there; without valid settings there is nothing else to look at."""
    logging.getLogger("rdw").setLevel(logging.CRITICAL)  # the findings say it
    yield environment.unknown_names(env)
    try:
        settings = Settings()
    except ValidationError as error:
        yield environment.invalid(error)
        return
    yield environment.valid()
    lacking: dict[str, str] = {}
    for name, check in _CHECKS:
        why = lacking.get(_needed(name, settings))
        found = skip(name, why) if why else _look(name, check, settings)
        if why or found.state == "fail":
            lacking[name] = why or _LACKS.get(name, "")
        yield found


def _needed(name: str, settings: Settings) -> str:
    if name == "database" and not settings.database_url:
        return "data directory"
    return "" if name == "keys" and settings.key_digests else _NEEDS.get(name, "")


def _look(name: str, check: Check, settings: Settings) -> Finding:
    try:
        return check(settings)
    except Exception as error:  # what keeps a check from looking is a finding as well
        return fail(name, f"it could not be looked at: {str(error).partition(chr(10))[0]}", "See the checks above.")
