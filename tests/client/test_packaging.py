"""The client is a distribution of its own, on which the server's depends."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement

from rdw_client import __version__
from tests.support import skip_without

ROOT = Path(__file__).parents[2]
SERVER = ("app", "worker", "migrations", "pyproject.toml", "README.md")


def build(project: Path, *kinds: str) -> list[Path]:
    """Build distributions of a copy of a project, without a download of setuptools."""
    for tool in ("build", "setuptools"):
        if find_spec(tool) is None:
            skip_without(tool)
    command = [sys.executable, "-m", "build", "--no-isolation", "--skip-dependency-check", *kinds, str(project)]
    built = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert built.returncode == 0, built.stdout + built.stderr
    return sorted((project / "dist").iterdir())


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    project = tmp_path_factory.mktemp("built") / "client"
    shutil.copytree(ROOT / "client", project, ignore=shutil.ignore_patterns("build", "dist", "*.egg-info"))
    return build(project)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = tmp_path_factory.mktemp("built") / "server"
    project.mkdir()
    for name in SERVER:
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, project / name)
    (wheel,) = build(project, "--wheel")
    return wheel


def contents(wheel: Path) -> set[str]:
    return set(ZipFile(wheel).namelist())


def test_client_distributions_pass_twine_check(client: list[Path]) -> None:
    if find_spec("twine") is None:
        skip_without("twine")
    command = [sys.executable, "-m", "twine", "check", "--strict", *map(str, client)]
    checked = subprocess.run(command, capture_output=True, text=True, timeout=60)

    assert [path.name.partition("-")[0] for path in client] == ["rdw_client", "rdw_client"]
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_client_wheel_has_types_and_licence(client: list[Path]) -> None:
    names = contents(client[0])
    modules = {path.name for path in (ROOT / "client" / "rdw_client").glob("*.py")}

    assert {f"rdw_client/{name}" for name in modules | {"py.typed"}} <= names
    assert f"rdw_client-{__version__}.dist-info/licenses/LICENSE" in names


def test_wheels_share_no_file(client: list[Path], server: Path) -> None:
    assert not contents(client[0]) & contents(server)
    assert not [name for name in contents(server) if name.startswith("rdw_client/")]


def test_server_depends_on_this_version_of_the_client() -> None:
    server = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (requirement,) = [r for r in map(Requirement, server["dependencies"]) if r.name == "rdw-client"]

    assert __version__ in requirement.specifier
    assert server["version"] == __version__
