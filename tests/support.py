"""Helpers and constants for all tests."""

from __future__ import annotations

import itertools
import os
import random
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

import pytest
from fastapi.testclient import TestClient
from hypothesis import settings as hypothesis_settings
from sqlalchemy import update

from app.core.settings import Settings
from app.db.tables import TrialRow
from app.db.unit_of_work import Send, UnitOfWork
from app.services.studies import autopilot
from app.services.trials import lifecycle

POSTGRES = os.environ.get("RDW_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres")
# Each parallel test process (make test) has a Redis database of its own, from the last one down.
REDIS = os.environ.get(
    "RDW_TEST_REDIS", f"redis://127.0.0.1:6379/{15 - int(os.environ.get('PYTEST_XDIST_WORKER', 'gw0')[2:])}"
)
DATA_DIR = Settings().data_dir.resolve()
"""The folder in which `make demo` and `python -m worker.data.fetch` store the data sets that they download."""


class LocalClient(TestClient):
    """A client on the machine of the service: only such a client needs no key."""

    def __init__(self, app: Any, **options: Any) -> None:
        local = {"base_url": "http://127.0.0.1:8000", "client": ("127.0.0.1", 50_000)}
        super().__init__(app, **{**local, **options})


def skip_without(requirement: str) -> NoReturn:
    """Skip the test since the requirement is missing; fail it if RDW_TEST_REQUIRE_SERVICES is set, as in CI."""
    if os.environ.get("RDW_TEST_REQUIRE_SERVICES"):
        pytest.fail(f"{requirement} is missing, and RDW_TEST_REQUIRE_SERVICES is set")
    pytest.skip(f"NOT TESTED: {requirement} is missing on this machine")


def example_count(exhaustive: int) -> int:
    """Return on how many examples to try a property: `exhaustive` in `make test-exhaustive`, a part in `make test`."""
    return max(2, exhaustive * hypothesis_settings.default.max_examples // 100)


def is_listening(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


def find_free_port() -> int:
    """Return a free port below the range of outgoing connections, so that it stays free."""
    while True:
        port = _PORTS.randrange(10_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


_PORTS = random.SystemRandom()  # parallel test processes must not choose the same ports


def claim_trial(
    open_work: Callable[[], UnitOfWork], trial_id: str, settings: Settings, owner: str = "a"
) -> lifecycle.Claim:
    """Move the trial to the front of the queue, and claim it as a worker does."""
    with open_work() as work:
        work.session.execute(
            update(TrialRow).where(TrialRow.id == trial_id).values(priority=next(_priorities), on_demand=True)
        )
        claim = lifecycle.claim(work, owner, settings)
    assert claim is not None and claim.trial.id == trial_id
    return claim


_priorities = itertools.count(1000)  # each higher than before, as a trial claimed earlier may be queued again


def expire_lease(open_work: Callable[[], UnitOfWork], trial_id: str) -> None:
    """Make the trial's lease expire, as if its worker had sent no heartbeats for long."""
    with open_work() as work:
        work.session.execute(update(TrialRow).where(TrialRow.id == trial_id).values(lease_expires_at=1.0))
        work.commit()


def process_changes(settings: Settings, send: Send = lambda trial_ids: None) -> int:
    """Process the changes of studies as the maintenance loop does; return the number of studies."""
    with UnitOfWork(settings.database, writes=False) as work:
        pending = autopilot.find_pending(work)
    return autopilot.process_study_changes(settings, send, pending)


SMALL: dict[str, Any] = {
    "name": "small",
    "baseline": {
        "family": "efficientnet",
        "resolution": 16,
        "in_chans": 1,
        "num_classes": 10,
        "stem": {"channels": 8},
        "stages": [
            {"block": "ds", "repeats": 1, "channels": 8},
            {"block": "ir", "repeats": 2, "channels": 16, "stride": 2, "expansion": 3, "se_ratio": 0.25},
        ],
        "head": {"channels": 32},
        "activation": "relu",
    },
    "rules": {"divisor": 4},
}
