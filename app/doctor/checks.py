"""All checks, in the order in which one would look."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping

from pydantic import ValidationError

from app.doctor import broker, database, environment, machine, service, storage
from app.doctor.finding import Finding, fail
from app.settings import Settings

Check = Callable[[Settings], Finding]

_CHECKS: tuple[tuple[str, Check], ...] = (
    ("keys", environment.open_without_keys),
    ("data directory", storage.writable),
    ("free space", storage.space),
    ("database", database.answers),
    ("schema", database.at_head),
    ("database file", storage.database_file),
    ("clock", database.clock),
    ("broker", broker.answers),
    ("broker's memory", broker.evicts),
    ("service", service.port),
    ("workers", service.workers),
    ("torch", machine.torch),
    ("threads", machine.threads),
    ("fonts", machine.fonts),
    ("data sets", machine.datasets),
)


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
    for name, check in _CHECKS:
        try:
            yield check(settings)
        except Exception as error:  # what keeps a check from looking is a finding as well
            yield fail(name, f"it could not be looked at: {str(error).partition(chr(10))[0]}", "See the checks above.")
