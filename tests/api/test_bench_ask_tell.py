"""The bench of ask and tell measures what it claims to."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

BENCH: dict[str, Any] = runpy.run_path(str(Path(__file__).parents[2] / "bench" / "ask_tell.py"))


def test_each_ask_uses_earlier_results_and_refit_follows(
    client: TestClient, capsys: pytest.CaptureFixture[str]
) -> None:
    seconds, study = BENCH["time_rdw"](client, 20, 3)

    assert len(seconds) == 3
    items = client.get(f"/v1/studies/{study}/observations").json()["items"]
    assert [item["role"] for item in items] == ["import"] * 20 + ["reported"] * 3
    assert len({item["flops"] for item in items[20:]}) == 3
    BENCH["print_refit"](client, study, 20, times=1)
    assert "Refit at 20 observations" in capsys.readouterr().out


def test_imports_are_equal_in_both_formats(client: TestClient, capsys: pytest.CaptureFixture[str]) -> None:
    BENCH["print_imports"](client, "here", BENCH["create_rows"](200))

    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [["here", "JSON"], ["here", "CSV"]]
    json_study, csv_study = (s["id"] for s in client.get("/v1/studies").json()["items"])
    imported = [
        [(o["r"], o["d"], o["w"], o["flops"], o["accuracy"]) for o in items]
        for study in (json_study, csv_study)
        for items in (client.get(f"/v1/studies/{study}/observations").json()["items"],)
    ]
    assert len(imported[0]) == 200
    assert imported[0] == imported[1]


def test_optuna_learns_from_the_same_observations() -> None:
    assert len(list(BENCH["time_optuna"](BENCH["create_rows"](12), 1))) == 1
