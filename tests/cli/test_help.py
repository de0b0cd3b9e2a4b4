"""The help of every command, and usage errors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command

from app.cli.main import app
from tests.cli.conftest import Rdw


def commands(command: Any, path: str = "rdw") -> Iterator[tuple[str, Any]]:
    yield path, command
    for name, subcommand in getattr(command, "commands", {}).items():
        yield from commands(subcommand, f"{path} {name}")


ALL = dict(commands(get_command(app)))


@pytest.mark.parametrize("path", ALL)
def test_every_command_and_option_has_help(path: str) -> None:
    assert ALL[path].help
    assert [param.name for param in ALL[path].params if not param.help] == []


def test_version_is_printed(rdw: Rdw) -> None:
    assert rdw("--version").startswith("rdw 0.")


def test_unknown_command_is_a_usage_error(rdw: Rdw) -> None:
    err = rdw.both("sclae", code=2)[1]

    assert err == "error: No such command 'sclae'. Did you mean 'scale'?\nSee `rdw --help`.\n"


@pytest.mark.parametrize("text", ["nan", "inf", "many"])
def test_invalid_number_is_a_usage_error(rdw: Rdw, text: str) -> None:
    for command in (
        ("scale", "small", f"--ratio={text}"),
        ("family", "small", f"--ratio={text}"),
        ("cost", "small", f"--r={text}"),
        ("study", "tell", "0" * 32, f"--accuracy={text}"),
        ("predictor", "curve", "published-tinynets", f"--min-c={text}"),
    ):
        out, err = rdw.both(*command, code=2)
        assert out == ""
        assert err.startswith("error: ")


@pytest.mark.parametrize("text", ["-1", "0", "1.5", "all"])
def test_limit_below_one_is_a_usage_error(rdw: Rdw, text: str) -> None:
    for command in ("trials", "study", "predictor"):
        assert "error: Invalid value for '--limit': " in rdw.both(command, "list", f"--limit={text}", code=2)[1]


@pytest.mark.parametrize(
    "command",
    [
        ("scale", "small", "--flops", "1M", "--ratio", ".5"),
        ("cost",),
        ("cost", "small", "--config", "/dev/null"),
        ("compare", "small"),
        ("family", "small"),
        ("train", "small", "--dataset", "digits", "--ratio", ".5", "--r", ".5"),
        ("study", "tell", "0" * 32),
        ("study", "refit", "0" * 32, "--activate", "--gate"),
    ],
    ids=" ".join,
)
def test_contradictory_or_missing_options_are_refused(rdw: Rdw, command: tuple[str, ...]) -> None:
    out, err = rdw.both(*command, code=2)

    assert out == ""
    assert err.startswith("error: ")
