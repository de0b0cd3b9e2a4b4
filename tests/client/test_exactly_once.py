"""Connections that drop at random: what was asked for is there, once."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from rdw_client import AsyncClient, Client
from tests.client.unreliable import WAYS, Unreliable, unreliable
from tests.serving import Served, served

SEEDS = range(200)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path) as service:
        yield service


@pytest.fixture
def proxy(service: Served) -> Iterator[Unreliable]:
    with unreliable(int(service.url.rpartition(":")[2]), share=0.3, seed=20) as proxy:
        yield proxy


def test_trials_are_created_once_each(service: Served, proxy: Unreliable) -> None:
    with Client(proxy.url, retries=30, backoff=0.001) as rdw:
        ids = {rdw.train("small", dataset="digits", recipe="digits-smoke", seed=seed).id for seed in SEEDS}
        there = list(rdw.trials())

    assert {trial.id for trial in there} == ids
    assert sorted(trial.seed for trial in there) == list(SEEDS)
    assert all(proxy.dropped[way] > 5 for way in WAYS), proxy.dropped


def test_studies_are_created_once_each(service: Served, proxy: Unreliable) -> None:
    """A study is new each time that it is asked for: only its key says that it is the same request again."""
    if not replays(service):
        pytest.skip("NOT TESTED: this service does not honour Idempotency-Key")

    async def create() -> set[str]:
        async with AsyncClient(proxy.url, retries=30, backoff=0.001) as rdw:
            limit = asyncio.Semaphore(8)

            async def one(number: int) -> str:
                async with limit:
                    return (await rdw.create_study(f"study {number}", "small", "digits", trials=1)).id

            return set(await asyncio.gather(*(one(number) for number in SEEDS)))

    ids = asyncio.run(create())

    with Client(service.url) as direct:
        there = [study for study in direct.studies() if study.name.startswith("study ")]
    assert {study.id for study in there} == ids
    assert sorted(study.name for study in there) == sorted(f"study {number}" for number in SEEDS)
    assert all(proxy.dropped[way] > 5 for way in WAYS), proxy.dropped


def replays(service: Served) -> bool:
    body = {"name": "probe", "architecture": "small", "dataset": "digits", "trials": 1}
    key = {"Idempotency-Key": str(uuid.uuid4())}
    answers = [httpx.post(f"{service.url}/v1/studies", json=body, headers=key) for _ in range(2)]
    return answers[1].headers.get("Idempotent-Replayed") == "true"
