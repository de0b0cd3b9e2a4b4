"""What goes wrong around an answer: keys, addresses, outputs that take nothing, terminals that know few letters."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from app.services import keys
from rdw_client import Client
from tests.cli.conftest import Rdw
from tests.serving import Served, served

KEY = "rdw_0123456789abcdef"


def shell(service: Served, line: str, **more: str) -> subprocess.CompletedProcess[str]:
    """`rdw` as bash runs it."""
    program = f'rdw() {{ "{sys.executable}" -m app.cli "$@"; }}\n{line}'
    return subprocess.run(
        ["bash", "-c", program], capture_output=True, text=True, env={**service.environment, **more}, timeout=60
    )


def test_a_key_that_cannot_be_one_is_not_shown(rdw: Rdw, monkeypatch: pytest.MonkeyPatch) -> None:
    err = rdw.both("queue", "--key", f"{KEY}\nx", code=2)[1]
    assert err.startswith("key: ") and KEY not in err

    monkeypatch.setenv("RDW_API_KEY", f"{KEY}é")
    err = rdw.both("queue", code=2)[1]
    assert err.startswith("RDW_API_KEY: ") and KEY not in err


def test_who_may_not_is_told_of_the_scope(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rdw = Rdw(capsys)
    with served(tmp_path, api_keys="0" * 64) as closed:
        with closed.work() as work:
            key = keys.create(work, "reader", "read", None)[1]
        err = rdw.both("train", "tinynet_e", "--dataset", "digits", "--url", closed.url, "--key", key, code=4)[1]

        assert "needs a key of scope `train`" in err
        assert "larger scope" in err
        assert "Set RDW_API_KEY to a key of this service" not in err


def test_an_address_that_is_none_is_a_mistake_of_usage(rdw: Rdw) -> None:
    err = rdw.both("queue", "--url", "http://[::1", code=2)[1]

    assert "is no address of a service" in err and err.count("\n") == 1


def test_an_address_with_a_path_too_much_is_asked_about(rdw: Rdw, service: Served) -> None:
    assert "RDW_URL" in rdw.both("queue", "--url", f"{service.url}/docs", code=1)[1]
    assert "RDW_URL" not in rdw.both("trials", "show", "0" * 32, code=1)[1]


@pytest.mark.parametrize("output", [">/dev/full", ">&-"])
@pytest.mark.parametrize(
    "command",
    ["scale efficientnet_b0 --flops 200M", "architectures --json", "workers", "keys list", "completion bash"],
)
def test_an_output_that_takes_nothing_is_said_in_a_line(service: Served, command: str, output: str) -> None:
    ran = shell(service, f"rdw {command} {output}")

    assert ran.returncode == 1
    lines = [line for line in ran.stderr.splitlines() if not line.startswith(("Nobody trains", "warning:"))]
    assert len(lines) == 1, ran.stderr
    assert lines[0].startswith("The output could not be written: ")


def test_a_full_disk_is_said_with_the_file(rdw: Rdw) -> None:
    err = rdw.both("scale", "small", "--ratio", ".5", "--config", "/dev/full", code=1)[1]

    assert err == "/dev/full: No space left on device\n"


def test_what_is_said_beside_never_goes_into_the_answer(service: Served) -> None:
    ran = shell(service, "rdw workers 2>&-")

    assert (ran.returncode, ran.stdout) == (0, "none\n")


def test_a_terminal_that_knows_few_letters_gets_the_rest_as_question_marks(service: Served) -> None:
    with Client(service.url) as client:
        study = client.create_study("für später", "small", "digits", trials=1)

    plain = {"PYTHONIOENCODING": "ascii"}
    shown = shell(service, f"rdw study show {study.id}; rdw scale efficientnet_b0 --flops 200M", **plain)
    assert shown.returncode == 0, shown.stderr
    assert "f?r sp?ter" in shown.stdout and "0.840 ? 0.00" in shown.stdout
    answered = shell(service, f"rdw study show {study.id} --json", **plain)
    assert json.loads(answered.stdout) == httpx.get(f"{service.url}/v1/studies/{study.id}").json()


def test_a_baseline_that_is_none_is_said_without_a_pattern(rdw: Rdw) -> None:
    for command in (
        ("scale", "EfficientNet_B0", "--flops", "200M"),
        ("train", "EfficientNet_B0", "--dataset", "digits"),
        ("study", "create", "a", "EfficientNet_B0", "--dataset", "digits"),
        ("trials", "list", "--architecture", "EfficientNet_B0"),
    ):
        err = rdw.both(*command, code=1)[1]
        assert err == "error: There is no baseline 'EfficientNet_B0': see `rdw architectures`\n"
    err = rdw.both("scale", "EfficientNet_B0", "--flops", "200M", "--json", code=2)[1]
    assert json.loads(err)["errors"][0]["pointer"] == "/architecture"
