"""Images and packages, as far as they can be checked without a Docker daemon."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import find_free_port

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
from app.services.predictors.store import store_built_in
from app.db.unit_of_work import UnitOfWork
from app.core.settings import get_settings

upgrade(get_settings().database)
with UnitOfWork(get_settings().database) as work:
    store_built_in(work)
with TestClient(create_app(), base_url="http://127.0.0.1", client=("127.0.0.1", 1)) as client:
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
    assert (ROOT / "app" / "data" / "font-packages.txt").is_file()


def test_every_subcommand_explains_itself() -> None:
    overview = rdw("--help").stdout
    for command in ("serve", "api", "worker", "migrate", "alive", "keys"):
        assert command in overview
        assert rdw(command, "--help").returncode == 0


def test_service_without_keys_refuses_public_host(tmp_path: Path) -> None:
    for command in ("serve", "api"):
        refused = rdw(command, RDW_HOST="0.0.0.0", RDW_API_KEYS="", RDW_DATA_DIR=str(tmp_path))
        assert refused.returncode == 1
        assert "RDW_API_KEYS" in refused.stderr


def test_a_wrong_setting_is_named() -> None:
    refused = rdw("migrate", RDW_API_KEYS="the key itself")

    assert refused.returncode == 2
    assert refused.stderr.startswith("RDW_API_KEYS:")
    assert "sha256sum" in refused.stderr


def test_unavailable_database_is_reported_in_one_line(tmp_path: Path) -> None:
    away = f"postgresql://nobody@127.0.0.1:{find_free_port()}/none"
    refused = rdw("migrate", RDW_DATABASE_URL=away, RDW_DATA_DIR=str(tmp_path))

    assert refused.returncode == 1
    assert "The database does not answer" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.fixture
def compose() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]


def test_compose_starts_in_order_and_watches_everything(compose: dict[str, Any]) -> None:
    assert set(compose) == {"migrate", "api", "proxy", "worker", "postgres", "redis"}
    assert compose["proxy"]["depends_on"]["api"] == {"condition": "service_healthy"}
    for name in ("api", "worker"):
        assert compose[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert compose["migrate"]["depends_on"]["postgres"] == {"condition": "service_healthy"}
    assert all("healthcheck" in compose[name] for name in ("proxy", "postgres", "redis"))


def test_compose_has_no_secrets_and_binds_loopback(compose: dict[str, Any]) -> None:
    environment = {**compose["api"]["environment"], **compose["postgres"]["environment"]}
    published = {name: service["ports"] for name, service in compose.items() if "ports" in service}

    assert environment["RDW_API_KEYS"].startswith("${RDW_API_KEYS:?")
    assert environment["POSTGRES_PASSWORD"].startswith("${POSTGRES_PASSWORD:?")
    assert compose["redis"]["environment"]["REDIS_PASSWORD"].startswith("${REDIS_PASSWORD:?")
    assert "redis://:${REDIS_PASSWORD" in environment["RDW_BROKER_URL"]
    assert set(published) == {"proxy"}
    assert all(port.startswith("127.0.0.1:") for port in published["proxy"])


def test_compose_confines_every_process(compose: dict[str, Any]) -> None:
    for name, service in compose.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "/tmp" in service["tmpfs"], name  # noqa: S108


def test_images_of_others_can_be_pinned(compose: dict[str, Any]) -> None:
    """Nobody can look up a digest here, so each has a variable that `deploy/pin-images` sets."""
    script = (ROOT / "deploy" / "pin-images").read_text()
    for name, variable in (("proxy", "NGINX"), ("postgres", "POSTGRES"), ("redis", "REDIS")):
        image, _, digest = compose[name]["image"].partition("$")
        assert digest == f"{{{variable}_DIGEST:-}}"
        assert f"{variable}_DIGEST {image}\n" in script
    assert "FROM python:3.11-slim${PYTHON_DIGEST} AS base" in (ROOT / "Dockerfile").read_text()
    assert "PYTHON_DIGEST python:3.11-slim\n" in script
    assert "sha256:" not in script


def test_compose_gives_workers_shared_memory(compose: dict[str, Any]) -> None:
    assert compose["worker"]["shm_size"] == "1gb"


def test_the_documents_list_every_setting() -> None:
    from app.core.settings import Settings

    page = (ROOT / "docs" / "settings.md").read_text()
    for name in Settings.model_fields:
        assert f"`RDW_{name.upper()}`" in page
