"""Clients, responses and errors can be pickled and copied, as frameworks such as Ray do."""

from __future__ import annotations

import asyncio
import copy
import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import rdw_client
from rdw_client import AsyncClient, Client, errors
from tests.serving import RunningService, serve_api

SECRET = "rdw_0123456789abcdef"
COPIES: dict[str, Callable[[Any], Any]] = {
    "pickled": lambda original: pickle.loads(pickle.dumps(original)),  # noqa: S301 (its own data)
    "deep copy": copy.deepcopy,
}


@pytest.mark.parametrize("kind", COPIES)
def test_copied_client_has_url_and_key(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve_api(tmp_path, api_keys=hashlib.sha256(SECRET.encode()).hexdigest()) as closed:
        monkeypatch.setenv("RDW_URL", closed.url)
        monkeypatch.setenv("RDW_API_KEY", SECRET)
        with Client(timeout=7.0, retries=0) as rdw:
            rdw.queue()
            copied = COPIES[kind](rdw)
        monkeypatch.delenv("RDW_URL")
        monkeypatch.delenv("RDW_API_KEY")

        with copied:
            assert copied.queue().queued == 0


@pytest.mark.parametrize("kind", COPIES)
def test_copied_async_client_works(service: RunningService, kind: str) -> None:
    async def use_copy() -> None:
        async with AsyncClient(service.url) as rdw, COPIES[kind](rdw) as copied:
            assert (await copied.health()).status == (await rdw.health()).status == "ok"

    asyncio.run(use_copy())


@pytest.mark.parametrize("kind", COPIES)
def test_copied_response_equals_the_original(rdw: Client, kind: str) -> None:
    found = rdw.scale("small", ratio=0.5)

    copied = COPIES[kind](found)

    assert copied == found and copied.raw == found.raw


@pytest.mark.parametrize("kind", COPIES)
def test_copied_error_keeps_class_and_members(rdw: Client, service: RunningService, kind: str) -> None:
    with pytest.raises(errors.TargetOutOfRange) as refused:
        rdw.scale("efficientnet_b0", flops=2)
    trial = rdw.train("small", dataset="digits", recipe="digits-smoke", seed=41)
    rdw.cancel_trial(trial)
    with pytest.raises(rdw_client.TrialCancelled) as cancelled:
        rdw.wait(trial)

    for error in (refused.value, cancelled.value, errors.Unreachable("no answer")):
        copied = COPIES[kind](error)
        assert type(copied) is type(error) and str(copied) == str(error)
        assert vars(copied) == vars(error)
