"""What is shipped, as far as it can be checked without a docker daemon."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.support import free_port

ROOT = Path(__file__).parent.parent

# An import hook that refuses what the API must do without, then the API is started and asked.
WITHOUT_TORCH = """
import importlib.abc, sys

REFUSED = set("torch torchvision timm fvcore onnx onnxruntime safetensors pycocotools worker".split())

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in REFUSED:
            raise ModuleNotFoundError(f"No module named {name!r} (refused)", name=name)

sys.meta_path.insert(0, Refuse())
from fastapi.testclient import TestClient
from app.db.migrate import upgrade
from app.main import create_app
from app.services.predictors import install_published
from app.db.unit_of_work import UnitOfWork
from app.settings import get_settings

upgrade(get_settings().database)
with UnitOfWork(get_settings().database) as work:
    install_published(work)
with TestClient(create_app()) as client:
    answer = client.post("/v1/scale", json={"architecture": "efficientnet_b0", "target": {"flops": 200_000_000}})
    print(answer.status_code, answer.json()["config"]["resolution"])
"""


def rdw(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **settings},
    )


def test_the_api_answers_without_torch(tmp_path: Path) -> None:
    asked = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        env={**os.environ, "RDW_DATA_DIR": str(tmp_path), "RDW_DATABASE_URL": "", "RDW_BROKER_URL": ""},
    )

    assert asked.stdout.split() == ["200", "188"], asked.stderr


def test_all_that_lies_beside_the_code_is_packaged() -> None:
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    for package in ("app", "worker"):
        beside = [
            f.relative_to(ROOT / package) for f in (ROOT / package).rglob("*.*") if f.suffix not in (".py", ".pyc")
        ]
        packaged = patterns.get(package, [])
        assert [f for f in beside if not any(f.match(pattern) for pattern in packaged)] == []
    assert (ROOT / "app" / "font-packages.txt").is_file()


def test_every_subcommand_explains_itself() -> None:
    overview = rdw("--help").stdout
    for command in ("serve", "api", "worker", "migrate", "alive", "keys"):
        assert command in overview
        assert rdw(command, "--help").returncode == 0


def test_a_service_open_to_others_without_keys_does_not_start(tmp_path: Path) -> None:
    for command in ("serve", "api"):
        refused = rdw(command, RDW_HOST="0.0.0.0", RDW_API_KEYS="", RDW_DATA_DIR=str(tmp_path))
        assert refused.returncode == 1
        assert "RDW_API_KEYS" in refused.stderr


def test_a_taken_port_is_said_at_once(tmp_path: Path) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        refused = rdw("serve", RDW_PORT=port, RDW_DATA_DIR=str(tmp_path))

    assert refused.returncode == 1
    assert f"port {port} is taken" in refused.stderr


def test_a_wrong_setting_is_named() -> None:
    refused = rdw("migrate", RDW_API_KEYS="the key itself")

    assert refused.returncode == 2
    assert refused.stderr.startswith("RDW_API_KEYS:")
    assert "sha256sum" in refused.stderr


def test_a_database_that_is_away_is_said_in_a_line(tmp_path: Path) -> None:
    away = f"postgresql://nobody@127.0.0.1:{free_port()}/none"
    refused = rdw("migrate", RDW_DATABASE_URL=away, RDW_DATA_DIR=str(tmp_path))

    assert refused.returncode == 1
    assert "The database does not answer" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.fixture
def compose() -> dict:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())


def test_compose_starts_in_order_and_watches_everything(compose: dict) -> None:
    services = compose["services"]

    assert set(services) == {"migrate", "api", "proxy", "worker", "postgres", "redis"}
    assert services["proxy"]["depends_on"]["api"] == {"condition": "service_healthy"}
    for name in ("api", "worker"):
        assert services[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert services["migrate"]["depends_on"]["postgres"] == {"condition": "service_healthy"}
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert dockerfile.count("HEALTHCHECK") == 2
    assert all("healthcheck" in services[name] for name in ("proxy", "postgres", "redis"))


def test_compose_has_no_default_secrets_and_opens_loopback_only(compose: dict) -> None:
    text = (ROOT / "docker-compose.yml").read_text()

    assert "${POSTGRES_PASSWORD:?" in text
    assert "${RDW_API_KEYS:?" in text
    published = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    assert set(published) == {"proxy"}
    assert all(port.startswith("127.0.0.1:") for port in published["proxy"])


def test_the_images_run_as_a_user_of_their_own_and_the_api_has_no_torch() -> None:
    api, worker = (ROOT / "Dockerfile").read_text().split("AS worker")
    assert "USER 10001" in api
    assert "USER 10001" in worker
    assert "[worker]" not in api.split("AS api")[1]
    assert ".[worker]" in worker


def test_the_images_have_every_package() -> None:
    found = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]
    folders = {name.rstrip("*") for name in found["include"]} - {"rdw_client"} | {"client"}

    assert found["where"] == [".", "client"]
    assert all(f"COPY {folder} {folder}\n" in (ROOT / "Dockerfile").read_text() for folder in folders)


def test_the_images_are_built_from_what_the_build_is_given() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    copied = {source for line in lines if line.startswith("COPY ") for source in line.split()[1:-1]}
    given = {line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().split() if line.startswith("!")}

    assert copied == given


def test_the_readme_lists_every_setting() -> None:
    from app.settings import Settings

    readme = (ROOT / "README.md").read_text()
    for name in Settings.model_fields:
        assert f"`RDW_{name.upper()}`" in readme
