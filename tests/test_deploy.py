"""The Kubernetes manifests are valid, and name what there is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from app.settings import Settings
from tests.contract.spec import committed

FOLDER = Path(__file__).parents[1] / "deploy" / "kubernetes"
FILES = sorted(path.name for path in FOLDER.glob("*.yaml") if path.name != "kustomization.yaml")


def resources() -> list[dict[str, Any]]:
    return [one for name in FILES for one in yaml.safe_load_all((FOLDER / name).read_text())]


def of_kind(*kinds: str) -> list[dict[str, Any]]:
    return [one for one in resources() if one["kind"] in kinds]


def containers() -> list[dict[str, Any]]:
    return [c for one in of_kind("Deployment", "Job") for c in one["spec"]["template"]["spec"]["containers"]]


@pytest.mark.parametrize("name", FILES)
def test_a_manifest_is_valid(name: str) -> None:
    for one in yaml.safe_load_all((FOLDER / name).read_text()):
        kubernetes_validate.validate(one, "1.31", strict=True)


def test_every_manifest_is_applied() -> None:
    assert sorted(yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["resources"]) == FILES


def test_settings_are_settings() -> None:
    named = {name for one in of_kind("ConfigMap") for name in one["data"]}
    named |= {variable["name"] for container in containers() for variable in container.get("env", ())}

    assert {name.removeprefix("RDW_").lower() for name in named} <= set(Settings.model_fields)


def test_no_secret_is_written_down() -> None:
    assert of_kind("Secret") == []
    assert {"RDW_DATABASE_URL", "RDW_API_KEYS"}.isdisjoint(name for one in of_kind("ConfigMap") for name in one["data"])


def test_probes_ask_for_what_is_there_and_services_find_their_pods() -> None:
    paths = committed()["paths"]
    for container in containers():
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            asked = container.get(probe, {}).get("httpGet")
            if asked is not None:
                assert asked["path"].partition("?")[0] in paths
    pods = [one["spec"]["template"]["metadata"]["labels"] for one in of_kind("Deployment")]
    for service in of_kind("Service"):
        assert service["spec"]["selector"] in pods


def test_our_processes_run_as_a_user_of_their_own_with_bounds() -> None:
    for one in of_kind("Deployment", "Job"):
        if one["metadata"]["name"] == "redis":
            continue
        spec = one["spec"]["template"]["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert all("memory" in container["resources"]["limits"] for container in spec["containers"])


def test_the_ingress_leads_to_all_but_the_metrics() -> None:
    (ingress,) = of_kind("Ingress")
    (rule,) = ingress["spec"]["rules"]

    def led(path: str) -> bool:
        exact = {p["path"] for p in rule["http"]["paths"] if p["pathType"] == "Exact"}
        prefixes = [p["path"] for p in rule["http"]["paths"] if p["pathType"] == "Prefix"]
        return path in exact or any(path == prefix or path.startswith(f"{prefix}/") for prefix in prefixes)

    pages = {
        "/",
        "/docs",
        "/openapi.json",
        "/problems",
        "/problems/validation",
        "/dashboard/main.js",
        "/assets/docs.js",
    }
    assert {path for path in {*pages, *committed()["paths"]} if not led(path)} == {"/metrics"}
