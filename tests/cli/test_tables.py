"""Tables for people: aligned by what a terminal shows, and as wide as one is."""

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

from app.cli.cells import cut, width
from rdw_client import Client
from tests.cli.conftest import Rdw
from tests.serving import Served

CODES = re.compile(r"\033\[[0-9;]*[A-Za-z]")


def on_a_terminal(service: Served, columns: int, *command: str, painted: str = "stdout") -> str:
    """What the command writes to a terminal that is so wide."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, painted: theirs}
    subprocess.run(
        [sys.executable, "-m", "app.cli", *command], check=True, **streams,  # type: ignore[call-overload]
        env={**{n: v for n, v in service.environment.items() if n != "NO_COLOR"}, "TERM": "xterm"},
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
    except OSError:  # nobody writes any more
        return b""


@pytest.fixture(scope="module")
def lists(service: Served) -> None:
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
        from app.services import leases

        leases.report(work, claim, {"phase": "training", "epoch": 1, "epochs": 2, "step": 0, "steps": 21})
        work.commit()


@pytest.mark.parametrize("command", ["trials", "study"])
def test_lists_fit_a_terminal(service: Served, lists: None, command: str) -> None:
    shown = CODES.sub("", on_a_terminal(service, 80, command, "list")).splitlines()

    assert len(shown) >= 3
    assert max(width(line) for line in shown) <= 80


def test_ids_in_lists_are_short_for_people_and_whole_for_programs(rdw: Rdw, lists: None) -> None:
    for command in ("trials", "study"):
        rows = [line.split()[0] for line in rdw(command, "list").splitlines()[1:]]
        whole = [one["id"] for one in rdw.json(command, "list")]
        assert [len(one) for one in whole] == [32] * len(rows)
        assert rows == [one[:8] for one in whole]
        assert whole[0] in rdw(command, "show", rows[0])


def test_ids_stand_to_the_left_whatever_digit_they_begin_with(rdw: Rdw, lists: None) -> None:
    assert rdw("trials", "list").startswith("trial ")
    assert rdw("study", "list").startswith("study ")


def test_names_are_whole_where_they_are_not_for_a_terminal(rdw: Rdw, lists: None) -> None:
    assert "when people are thorough" in rdw("study", "list")


def test_columns_are_aligned_by_what_a_terminal_shows(rdw: Rdw, lists: None) -> None:
    lines = rdw("study", "list").splitlines()
    assert (
        len({width(line[: line.index(word)]) for line in lines for word in ("state", "created") if word in line}) == 1
    )


def test_a_running_training_says_how_far_it_is(rdw: Rdw, lists: None) -> None:
    assert "running 50%" in rdw("trials", "list")


def test_nothing_is_painted_around_nothing(service: Served, lists: None) -> None:
    shown = on_a_terminal(service, 200, "workers") + on_a_terminal(service, 200, "architectures")

    assert not re.search(r"\033\[[0-9]+m *\033\[0m", shown)


def test_cells() -> None:
    assert [width(text) for text in ("abc", "論文", "🔬", "é", "e\u0301", "█░")] == [3, 4, 2, 1, 1, 2]
    assert cut("abcdef", 6) == "abcdef"
    assert cut("abcdef", 5) == "abcd…"
    assert cut("論文の", 5) == "論文…"
    assert cut("論文の", 4) == "論…"
    assert cut("abc", 0) == ""


@pytest.mark.parametrize("columns", [20, 60, 80, 120])
def test_the_line_that_moves_fits_the_terminal(service: Served, columns: int) -> None:
    with Client(service.url) as client:
        trial = client.train("small", dataset="digits", recipe="digits-smoke", seed=columns).id
    done = {
        "phase": "training", "epoch": 1, "epochs": 2, "step": 0, "steps": 21, "train_loss": 1.5,
        "validation_accuracy": 0.104, "seconds_left": 600,
    }  # fmt: skip
    with service.work() as work:
        work.events.record(trial, "progress", done)
        work.commit()
    service.finish(trial)

    shown = on_a_terminal(service, columns, "trials", "watch", trial, painted="stderr")

    lines = CODES.sub("\r", shown).replace("\n", "").split("\r")
    assert max(width(line) for line in lines) <= columns - 1
    assert shown.count("\n") == 1
    assert " 50%  " in shown
    assert ("█" in shown) == (columns >= 80)
    assert ("10 min left" in shown) == (columns > 60)
