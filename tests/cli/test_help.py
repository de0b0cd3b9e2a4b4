"""What `--help` says of every command and option."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import pytest

from app.cli.parser import parser
from tests.cli.conftest import Rdw

OTHERS = ("rdw serve", "rdw api", "rdw worker", "rdw migrate", "rdw alive", "rdw doctor", "rdw reproduce")


def commands(of: argparse.ArgumentParser, path: str = "rdw") -> Iterator[tuple[str, argparse.ArgumentParser]]:
    yield path, of
    for action in of._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, one in action.choices.items():
                yield from commands(one, f"{path} {name}")


ALL = dict(commands(parser()))


@pytest.mark.parametrize("path", [path for path in ALL if path not in OTHERS])
def test_every_argument_has_a_help(path: str) -> None:
    assert [action.dest for action in ALL[path]._actions if not action.help and action.nargs != "A..."] == []


def test_names_and_formulas_keep_their_letters() -> None:
    assert ALL["rdw keys"].description == "Make, list and revoke API keys."
    assert ALL["rdw predictor curve"].description == "r(c) and d(c) with their uncertainty."
    assert "OF_FAMILY" not in ALL["rdw architectures"].format_help()


@pytest.mark.parametrize("written", ["nan", "inf", "-inf", "many"])
def test_numbers_that_are_none_are_mistakes_of_usage(rdw: Rdw, written: str) -> None:
    for command in (
        ("scale", "small", f"--ratio={written}"),
        ("family", "small", f"--ratio={written}"),
        ("cost", "small", f"--r={written}"),
        ("study", "tell", "0" * 32, f"--accuracy={written}"),
        ("predictor", "curve", "published-tinynets", f"--least={written}"),
    ):
        err = rdw.both(*command, code=2)[1]
        option = command[-1].partition("=")[0]
        assert f"argument {option}: '{written}' is no number" in err


@pytest.mark.parametrize("written", ["-1", "0", "1.5", "all"])
def test_a_limit_is_one_or_more(rdw: Rdw, written: str) -> None:
    for command in ("trials", "study", "predictor"):
        assert "argument --limit: " in rdw.both(command, "list", f"--limit={written}", code=2)[1]
