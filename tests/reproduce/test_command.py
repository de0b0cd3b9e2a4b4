"""`rdw reproduce` for real, on digits: killed, started again, and nothing trained twice."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support import SMALL


def command(folder: Path, *more: str) -> list[str]:
    (folder / "small.json").write_text(json.dumps(SMALL))
    (folder / "recipe.json").write_text(json.dumps({"epochs": 1, "batch_size": 64, "train_images": 200}))
    sizes = ("--networks", "3", "--at-one-budget", "1", "--compound", "0", "--seeds", "1")
    files = ("--architecture", str(folder / "small.json"), "--recipe", str(folder / "recipe.json"))
    rdw = [sys.executable, "-m", "app.cli", "reproduce"]
    return [*rdw, "--dataset", "digits", "--out", str(folder / "out"), *sizes, *files, *more]


def finished(folder: Path) -> dict[str, int]:
    """How many attempts each finished training took."""
    database = folder / "out" / "data" / "rdw.sqlite3"
    if not database.exists():
        return {}
    try:
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as opened:
            return dict(opened.execute("select id, attempt from trials where state = 'completed'"))
    except sqlite3.OperationalError:  # not migrated yet
        return {}


def test_killed_and_started_again_it_goes_on_and_trains_nothing_twice(tmp_path: Path) -> None:
    first = subprocess.Popen(command(tmp_path), stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(finished(tmp_path)) < 3 and time.monotonic() < deadline:
        time.sleep(0.1)
    first.send_signal(signal.SIGKILL)
    first.wait()
    before = finished(tmp_path)
    again = subprocess.run(command(tmp_path), capture_output=True, text=True)
    after = finished(tmp_path)

    assert again.returncode == 0, again.stdout + again.stderr
    assert len(before) >= 3
    assert before.items() <= after.items()  # no finished training was begun anew
    out = tmp_path / "out"
    results = json.loads((out / "results.json").read_text())
    trained = sum(bool(item["accuracies"]) for item in results["family"])
    assert results["missing"] == []
    assert len(results["family"]) == 3 * 3 * 2 and trained >= 3 * 2
    assert results["provenance"]["trainings"] == len(after)
    assert "<h2" in (out / "report.html").read_text()
    assert (out / "figures" / "family.csv").read_text().count("\n") == 1 + trained


def test_a_folder_with_another_reproduction_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    choices = {"dataset": "fashion-mnist", "architecture": None, "recipe": None, "url": None}
    (tmp_path / "out" / "reproduce.json").write_text(json.dumps({"choices": choices}))
    answer = subprocess.run(command(tmp_path), capture_output=True, text=True)

    assert answer.returncode == 1
    assert "another dataset: take another folder" in answer.stdout


@pytest.mark.parametrize("wrong", [("--networks", "0"), ("--minutes", "-1"), ("--seeds", "many")])
def test_senseless_sizes_are_refused(tmp_path: Path, wrong: tuple[str, str]) -> None:
    answer = subprocess.run(command(tmp_path, *wrong), capture_output=True, text=True)

    assert answer.returncode == 2
    assert wrong[0] in answer.stderr
