"""The synchronous client is generated from the asynchronous one."""

from __future__ import annotations

import importlib.util
import inspect
from pathlib import Path

import pytest

from rdw_client import AsyncClient, Client
from tests.support import skip_without

SCRIPT = Path(__file__).parents[2] / "client" / "generate_sync.py"


@pytest.mark.parametrize("source", ["async_client.py", "async_transport.py"])
def test_generated_module_is_up_to_date(source: str, tmp_path: Path) -> None:
    if importlib.util.find_spec("unasync") is None:
        skip_without("unasync")
    spec = importlib.util.spec_from_file_location("generate_sync", SCRIPT)
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)

    committed = (script.PACKAGE / script.GENERATED[source]).read_text()
    assert script.generate(source, tmp_path) == committed, "run `python client/generate_sync.py`"


def test_methods_have_signatures_and_docstrings() -> None:
    for client in (Client, AsyncClient):
        for name, method in inspect.getmembers(client, inspect.isfunction):
            assert name.startswith("_") or inspect.getdoc(method), f"{client.__name__}.{name}"
    assert list(inspect.signature(Client.scale).parameters)[:4] == ["self", "architecture", "flops", "ratio"]
