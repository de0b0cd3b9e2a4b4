"""The bench of ask and tell asks what it says it asks."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

BENCH: dict[str, Any] = runpy.run_path(str(Path(__file__).parents[2] / "bench" / "ask_tell.py"))


def test_each_ask_stands_on_what_was_told_before_and_refits_follow(
    client: TestClient, capsys: pytest.CaptureFixture[str]
) -> None:
    taken, study = BENCH["asked_of_rdw"](client, 20, 3)

    assert len(taken) == 3
    items = client.get(f"/v1/studies/{study}/observations").json()["items"]
    assert [item["role"] for item in items] == ["import"] * 20 + ["told"] * 3
    assert len({item["flops"] for item in items[20:]}) == 3
    BENCH["refit_line"](client, study, 20, times=1)
    assert "Refit at 20 observations" in capsys.readouterr().out


def test_imports_are_the_same_in_both_formats(client: TestClient, capsys: pytest.CaptureFixture[str]) -> None:
    BENCH["import_table"](client, "here", BENCH["rows"](200))

    said = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in said] == [["here", "JSON"], ["here", "CSV"]]
    json_study, csv_study = (s["id"] for s in client.get("/v1/studies").json()["items"])
    found = [
        [(o["r"], o["d"], o["w"], o["flops"], o["accuracy"]) for o in items]
        for study in (json_study, csv_study)
        for items in (client.get(f"/v1/studies/{study}/observations").json()["items"],)
    ]
    assert len(found[0]) == 200
    assert found[0] == found[1]


def test_optuna_is_asked_on_the_same_observations() -> None:
    assert len(list(BENCH["optuna_side"](BENCH["rows"](12), 1))) == 1
