"""The client of a service that asks for a key."""

from __future__ import annotations

import hashlib
from contextlib import closing
from pathlib import Path

import pytest

from app.reproduce.client import Client, Refused
from tests.serving import served


def test_a_service_that_has_keys_is_asked_with_one(tmp_path: Path) -> None:
    with served(tmp_path, api_keys=hashlib.sha256(b"a key").hexdigest()) as service:
        with closing(Client(service.url, "a key")) as client:
            assert client.every("/v1/predictors")[0]["id"] == "published-tinynets"
        with closing(Client(service.url)) as client, pytest.raises(Refused) as refused:
            client.get("/v1/predictors")

    assert refused.value.status == 401
