"""The command `rdw reproduce` itself, on digits, without fakes."""

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


def get_attempts(folder: Path) -> dict[str, int]:
    """Return the number of attempts of each completed trial."""
    database = folder / "out" / "data" / "rdw.sqlite3"
    if not database.exists():
        return {}
    try:
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
            return dict(connection.execute("select id, attempt from trials where state = 'completed'"))
    except sqlite3.OperationalError:  # not yet migrated
        return {}


@pytest.mark.exhaustive
def test_killed_run_resumes_and_repeats_no_training(tmp_path: Path) -> None:
    first = subprocess.Popen(command(tmp_path), stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 280
    while len(get_attempts(tmp_path)) < 3 and time.monotonic() < deadline:
        time.sleep(0.1)
    first.send_signal(signal.SIGKILL)
    first.wait()
    before = get_attempts(tmp_path)
    second = subprocess.run(command(tmp_path), capture_output=True, text=True)
    after = get_attempts(tmp_path)

    assert second.returncode == 0, second.stdout + second.stderr
    assert len(before) >= 3
    assert before.items() <= after.items()  # no completed trial was started again
    out = tmp_path / "out"
    results = json.loads((out / "results.json").read_text())
    trained = sum(bool(item["accuracies"]) for item in results["family"])
    assert results["missing"] == []
    assert len(results["family"]) == 3 * 3 * 2 and trained >= 3 * 2
    assert results["provenance"]["trainings"] == len(after)
    assert "<h2" in (out / "report.html").read_text()
    assert (out / "figures" / "family.csv").read_text().count("\n") == 1 + trained


def test_folder_with_another_reproduction_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    choices = {"dataset": "fashion-mnist", "architecture": None, "recipe": None, "url": None}
    (tmp_path / "out" / "reproduce.json").write_text(json.dumps({"choices": choices}))
    finished = subprocess.run(command(tmp_path), capture_output=True, text=True)

    assert finished.returncode == 1
    assert "a reproduction with another dataset. Choose another folder." in finished.stdout


@pytest.mark.parametrize("option", [("--networks", "0"), ("--minutes", "-1"), ("--seeds", "many")])
def test_invalid_sizes_are_refused(tmp_path: Path, option: tuple[str, str]) -> None:
    finished = subprocess.run(command(tmp_path, *option), capture_output=True, text=True)

    assert finished.returncode == 2
    assert option[0] in finished.stderr


def test_malformed_url_is_reported_without_traceback(tmp_path: Path) -> None:
    finished = subprocess.run(command(tmp_path, "--url", "nowhere"), capture_output=True, text=True)

    assert finished.returncode == 1
    assert "'nowhere' is not a valid service URL" in finished.stdout
    assert finished.stderr == ""


def experiment(folder: Path, machine: str, *more: str) -> list[str]:
    """Return the command of an experiment whose records lie in the folder and the rest of whose files on a machine."""
    (folder / "small.json").write_text(json.dumps(SMALL))
    (folder / "recipe.json").write_text(json.dumps({"epochs": 1, "batch_size": 64, "train_images": 200}))
    sizes = ("--networks", "8", "--seeds", "1", "--budgets", "2:0.3:0.7")
    files = ("--baseline", str(folder / "small.json"), "--recipe", str(folder / "recipe.json"))
    places = ("--out", str(folder / machine), "--records", str(folder / "records"))
    return [sys.executable, "-m", "app.cli", "reproduce", "--dataset", "digits", *sizes, *files, *places, *more]


def read_record_lines(folder: Path) -> list[str]:
    return [line for file in folder.glob("*.jsonl") for line in file.read_text().splitlines()[1:]]


@pytest.mark.exhaustive
def test_killed_experiment_resumes_on_another_machine(tmp_path: Path) -> None:
    first = subprocess.Popen(experiment(tmp_path, "first", "--studies", "2"), stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 280
    while len(read_record_lines(tmp_path / "records")) < 5 and time.monotonic() < deadline:
        time.sleep(0.1)
    first.send_signal(signal.SIGKILL)
    first.wait()
    before = read_record_lines(tmp_path / "records")
    second = subprocess.run(
        experiment(tmp_path, "second", "--studies", "2"), capture_output=True, text=True, check=True
    )
    after = read_record_lines(tmp_path / "records")

    assert len(before) >= 5
    assert after[: len(before)] == before
    assert f"{len(before)} of them are recorded already." in second.stdout
    keys = [
        (r["kind"], r["study"], r["rule"], r["budget"], r["px"], r["flops"], r["params"])
        for r in map(json.loads, after)
    ]
    assert len(keys) == len(set(keys)) and sum(kind == "study" for kind, *_ in keys) == 2 * 8
    with sqlite3.connect(tmp_path / "second" / "data" / "rdw.sqlite3") as connection:
        (trained,) = connection.execute("select count(*) from trials where state = 'completed'").fetchone()
    assert trained <= len(after) - len(before)  # two rules may recommend one network

    (file,) = (tmp_path / "records").glob("*.jsonl")
    third = subprocess.run(
        experiment(tmp_path, "third", "--from-study", str(file), "--rules", "compound,dwr"),
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "0 of random networks" in third.stdout
    assert len(read_record_lines(tmp_path / "records")) == len(after)
