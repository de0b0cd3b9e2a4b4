"""Requests over connections that drop at random are executed exactly once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from rdw_client import AsyncClient, Client
from tests.client.unreliable_proxy import WAYS, Unreliable, unreliable
from tests.serving import RunningService, serve_api

SEEDS = range(200)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[RunningService]:
    with serve_api(tmp_path) as service:
        yield service


@pytest.fixture
def proxy(service: RunningService) -> Iterator[Unreliable]:
    with unreliable(int(service.url.rpartition(":")[2]), share=0.3, seed=20) as proxy:
        yield proxy


def test_dropped_connections_create_each_trial_once(service: RunningService, proxy: Unreliable) -> None:
    with Client(proxy.url, retries=30, backoff=0.001) as rdw:
        ids = {rdw.train("small", dataset="digits", recipe="digits-smoke", seed=seed).id for seed in SEEDS}
        listed = list(rdw.trials())

    assert {trial.id for trial in listed} == ids
    assert sorted(trial.seed for trial in listed) == list(SEEDS)
    assert all(proxy.dropped[way] > 5 for way in WAYS), proxy.dropped


def test_dropped_connections_create_each_study_once(service: RunningService, proxy: Unreliable) -> None:
    """Creating a study is not idempotent by itself: only the idempotency key identifies a retry."""

    async def create() -> set[str]:
        async with AsyncClient(proxy.url, retries=30, backoff=0.001) as rdw:
            limit = asyncio.Semaphore(8)

            async def one(number: int) -> str:
                async with limit:
                    return (await rdw.create_study(f"study {number}", "small", "digits", trials=1)).id

            return set(await asyncio.gather(*(one(number) for number in SEEDS)))

    ids = asyncio.run(create())

    with Client(service.url) as direct:
        listed = [study for study in direct.studies() if study.name.startswith("study ")]
    assert {study.id for study in listed} == ids
    assert sorted(study.name for study in listed) == sorted(f"study {number}" for number in SEEDS)
    assert all(proxy.dropped[way] > 5 for way in WAYS), proxy.dropped
