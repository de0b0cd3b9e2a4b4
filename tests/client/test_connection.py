"""The service URL and the API key."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from rdw_client import AsyncClient, Client
from tests.serving import RunningService, serve_api

SECRET = "rdw_0123456789abcdef"


def test_white_space_around_key_and_url_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve_api(tmp_path, api_keys=hashlib.sha256(SECRET.encode()).hexdigest()) as closed:
        monkeypatch.setenv("RDW_URL", f"{closed.url} \n")
        monkeypatch.setenv("RDW_API_KEY", f"{SECRET} \n")
        with Client() as rdw:
            assert rdw.queue().queued == 0
        with Client(closed.url, f"\t{SECRET}\n") as rdw:
            assert rdw.queue().queued == 0


@pytest.mark.parametrize("key", [f"{SECRET}\nx", f"{SECRET}é", f"{SECRET}\x7f"])
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_malformed_key_is_refused_but_not_shown(
    kind: Callable[..., object], key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match=r"^key: ") as given:
        kind(key=key)
    monkeypatch.setenv("RDW_API_KEY", key)
    with pytest.raises(ValueError, match=r"^RDW_API_KEY: ") as found:
        kind()
    assert SECRET not in f"{given.value!r} {found.value!r}"


@pytest.mark.parametrize(
    "address", ["127.0.0.1:8000", "http://[::1", "http://", "http:///v1", "http://x:port", "http://x\ny"]
)
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_malformed_url_is_refused(kind: Callable[..., object], address: str) -> None:
    with pytest.raises(ValueError, match=r"is not a valid service URL: .*RDW_URL"):
        kind(address)


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/"])
def test_url_may_end_in_v1(service: RunningService, path: str) -> None:
    with Client(service.url + path) as rdw:
        assert rdw.queue().queued == 0
