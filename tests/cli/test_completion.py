"""Completion in real shells."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

from rdw_client import Client
from tests.serving import RunningService, serve_api
from tests.support import skip_without

SHELLS = ("bash", *(pytest.param(shell, marks=pytest.mark.exhaustive) for shell in ("zsh", "fish")))
CASES = [
    ("rdw sc", {"scale"}),
    ("rdw trials r", {"retry", "rename"}),
    ("rdw scale efficientnet_b0 --fl", {"--flops"}),
    ("rdw scale efficientnet_b0 --flops 200M --rule d", {"dwr", "depth"}),
    ("rdw compare small --rule wi", {"width"}),
    ("rdw trials list --state c", {"completed", "cancelled"}),
    ("rdw train small --recipe digi", {"digits-smoke"}),
    ("rdw study create mine small --dataset fash", {"fashion-mnist"}),
    ("rdw trials download 0000 log.csv mod", {"model.onnx"}),
    ("rdw architectures a", {"add", "archive"}),
    ("rdw keys create --scope tr", {"train"}),
    ("rdw scale tinynet_", {"tinynet_a", "tinynet_b", "tinynet_c", "tinynet_d", "tinynet_e"}),
    ("rdw predictor show publ", {"published-tinynets"}),
]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with serve_api(tmp_path_factory.mktemp("service")) as service:
        yield service


@pytest.fixture(scope="module")
def environment(service: RunningService, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A home directory, and `rdw` on the path."""
    home = tmp_path_factory.mktemp("home")
    rdw = home / "rdw"
    rdw.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m app.cli "$@"\n')
    rdw.chmod(0o755)
    path = f"{home}{os.pathsep}{os.environ['PATH']}"
    return {**service.environment, "HOME": str(home), "PATH": path, "PYTHONPATH": os.pathsep.join(sys.path)}


def run(shell: str, program: str, environment: dict[str, str]) -> str:
    if shutil.which(shell) is None:
        skip_without(shell)
    ran = subprocess.run([shell, "-c", program], capture_output=True, text=True, timeout=60, env=environment)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def complete(shell: str, typed: str, environment: dict[str, str]) -> set[str]:
    """What the shell offers after it has loaded the script that `rdw` prints for it."""
    load = f"source <(_RDW_COMPLETE=source_{shell} rdw)"
    words = " ".join(f"'{word}'" for word in typed.split(" "))
    program = {
        "bash": f"""{load}
            COMP_WORDS=({words}); COMP_CWORD={typed.count(" ")}
            _rdw_completion rdw; printf '%s\\n' "${{COMPREPLY[@]}}" """,
        "fish": f"_RDW_COMPLETE=source_fish rdw | source; complete -C '{typed}'",
        # zsh offers the words of the list that the script hands to _arguments
        "zsh": f"""autoload -Uz compinit; compinit -u; {load}
            words=({words}); CURRENT={typed.count(" ") + 1}
            _arguments() {{ print -r -- "$1" }}; _files() {{ :; }}
            _rdw_completion""",
    }[shell]
    shown = run(shell, program, environment)
    if shell == "zsh":
        return set(re.findall(r'"([^"]+)"(?::"[^"]*")?', shown))
    return {line.partition("\t")[0] for line in shown.splitlines() if line}


@pytest.mark.parametrize(("typed", "offered"), CASES)
@pytest.mark.parametrize("shell", SHELLS)
def test_shell_offers_commands_options_and_values(
    shell: str, typed: str, offered: set[str], environment: dict[str, str]
) -> None:
    assert complete(shell, typed, environment) == offered


@pytest.mark.parametrize("shell", SHELLS)
def test_shell_offers_ids_of_trials_and_studies(
    shell: str, service: RunningService, environment: dict[str, str]
) -> None:
    with Client(service.url) as client:
        trial = client.train("small", dataset="digits", recipe="digits-smoke").id
        study = client.create_study("mine", "small", "digits", trials=1).id

    assert trial[:8] in complete(shell, "rdw trials show ", environment)
    assert study[:8] in complete(shell, "rdw study front ", environment)


def test_installed_completion_works_in_a_new_shell(environment: dict[str, str]) -> None:
    run("bash", "rdw --install-completion; true", {**environment, "SHELL": "/bin/bash"})

    shown = run("bash", "source ~/.bashrc; complete -p rdw", environment)
    assert shown == "complete -o default -F _rdw_completion rdw\n"


def test_completion_without_a_service_offers_names_of_files(environment: dict[str, str]) -> None:
    away = {**environment, "RDW_URL": "http://127.0.0.1:9"}

    assert complete("bash", "rdw trials show ", away) == set()
    assert "digits" in complete("bash", "rdw train small --dataset ", away)


def test_completion_imports_no_numpy_and_no_service() -> None:
    program = """
import sys
from app.cli import main
try:
    main([])
except SystemExit:
    pass
print(sorted({"fastapi", "sqlalchemy", "numpy", "celery", "httpx", "torch"} & set(sys.modules)))
"""
    request = {"_RDW_COMPLETE": "complete_bash", "COMP_WORDS": "rdw\nscale\nsmall\n--rule\n", "COMP_CWORD": "4"}
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env={**os.environ, **request}
    )

    assert ran.stdout.splitlines()[0] == "auto"
    assert ran.stdout.splitlines()[-1] == "[]"
