"""What the tests share beside fixtures."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
from sqlalchemy import update

from app.db.tables import TrialRow
from app.db.unit_of_work import UnitOfWork
from app.services import leases
from app.settings import Settings

POSTGRES = os.environ.get("RDW_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres")
# Test processes that run side by side (make test) have a Redis database each, from the last one down.
REDIS = os.environ.get(
    "RDW_TEST_REDIS", f"redis://127.0.0.1:6379/{15 - int(os.environ.get('PYTEST_XDIST_WORKER', 'gw0')[2:])}"
)
FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")


def absent(what: str) -> NoReturn:
    """Skip, loudly; fail where absence is an error (CI)."""
    if os.environ.get("RDW_TEST_REQUIRE_SERVICES"):
        pytest.fail(f"{what} is needed here and absent")
    pytest.skip(f"NOT TESTED: {what} is absent on this machine")


def listening(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def claim_of(open_work: Callable[[], UnitOfWork], trial_id: str, settings: Settings, owner: str = "a") -> leases.Claim:
    """A worker's claim of this very trial: it is put first in line before."""
    with open_work() as work:
        work.session.execute(update(TrialRow).where(TrialRow.id == trial_id).values(priority=1000, on_demand=True))
        claim = leases.claim(work, owner, settings)
    assert claim is not None and claim.trial.id == trial_id
    return claim


def expire(open_work: Callable[[], UnitOfWork], trial_id: str) -> None:
    """As if the trial's worker had been silent for long."""
    with open_work() as work:
        work.session.execute(update(TrialRow).where(TrialRow.id == trial_id).values(lease_expires_at=1.0))
        work.commit()


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
