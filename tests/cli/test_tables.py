"""Tables fit a terminal, and are complete in a pipe."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import pytest
from rich.cells import cell_len

from app.core.trials import TrainingProgress
from rdw_client import Client
from tests.cli.conftest import Rdw
from tests.serving import RunningService

CODES = re.compile(r"\033\[[0-9;?]*[A-Za-z]")


def on_a_terminal(service: RunningService, columns: int, *command: str, painted: str = "stdout") -> str:
    """Return what the command writes to a terminal of that width."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, painted: theirs}
    subprocess.run(
        [sys.executable, "-m", "app.cli", *command], check=True, **streams,  # type: ignore[call-overload]
        env={**{n: v for n, v in service.environment.items() if n not in ("NO_COLOR", "COLUMNS")}, "TERM": "xterm"},
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    while part := _read(ours):
        shown += part
    os.close(ours)
    return shown.decode()


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 10_000)
    except OSError:  # the other end is closed
        return b""


@pytest.fixture(scope="module")
def lists(service: RunningService) -> None:
    with Client(service.url) as client:
        for name in (
            "論文の追試",
            "🔬 emoji",
            "a name that is as long as names of studies are when people are thorough",
        ):
            client.create_study(name, "mobilenetv3_small_100", "articles-on-photos", recipe="detection-quick", trials=2)
        trial = client.train("tinynet_e", dataset="articles-on-photos", recipe="detection-quick")
        client.train("small", dataset="digits", recipe="digits-smoke", seed=2**31 - 1)
    claim = service.claim(trial.id)
    with service.work() as work:
        from app.services.trials import lifecycle

        lifecycle.report(work, claim, TrainingProgress(1, 2, 0, 21))
        work.commit()


@pytest.mark.parametrize("command", ["trials", "study"])
def test_list_fits_a_terminal(service: RunningService, lists: None, command: str) -> None:
    shown = CODES.sub("", on_a_terminal(service, 80, command, "list")).splitlines()

    assert len(shown) >= 3
    assert max(cell_len(line) for line in shown) <= 80


def test_ids_are_short_in_lists_and_whole_in_json(rdw: Rdw, lists: None) -> None:
    for command in ("trials", "study"):
        rows = [line.split()[0] for line in rdw(command, "list").splitlines()[1:]]
        whole = [one["id"] for one in rdw.json(command, "list")]
        assert [len(one) for one in whole] == [32] * len(rows)
        assert rows == [one[:8] for one in whole]
        assert whole[0] in rdw(command, "show", rows[0])


def test_ids_are_aligned_left(rdw: Rdw, lists: None) -> None:
    assert rdw("trials", "list").startswith("trial ")
    assert rdw("study", "list").startswith("study ")


def test_piped_table_has_one_whole_line_per_row(rdw: Rdw, lists: None) -> None:
    lines = rdw("study", "list").splitlines()

    assert len(lines) == 1 + len(rdw.json("study", "list"))
    assert any("when people are thorough" in line for line in lines)


def test_columns_are_aligned_with_wide_characters(rdw: Rdw, lists: None) -> None:
    lines = rdw("study", "list").splitlines()
    words = ("state", "created")
    assert len({cell_len(line[: line.index(word)]) for line in lines for word in words if word in line}) == 1


def test_running_trial_shows_its_progress(rdw: Rdw, lists: None) -> None:
    assert "running 50%" in rdw("trials", "list")


def test_progress_fits_one_line_of_a_terminal(service: RunningService) -> None:
    with Client(service.url) as client:
        trial = client.train("small", dataset="digits", recipe="digits-smoke", seed=60).id
    done = {
        "phase": "training", "epoch": 1, "epochs": 2, "step": 0, "steps": 21, "train_loss": 1.5,
        "validation_accuracy": 0.104, "seconds_left": 600,
    }  # fmt: skip
    with service.work() as work:
        work.events.record(trial, "progress", done)
        work.commit()
    service.finish(trial)

    shown = on_a_terminal(service, 60, "trials", "watch", trial, painted="stderr")

    lines = CODES.sub("", shown).replace("\n", "").split("\r")
    assert max(cell_len(line) for line in lines) <= 60
    assert shown.count("\n") == 1
    assert " 50%" in CODES.sub("", shown)
