"""The Kubernetes manifests are valid, refer to existing settings and paths, and allow no more than is needed."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from fastapi.testclient import TestClient

from app.core.settings import Settings
from app.http.app import create_app
from app.http.body_limit import body_limit_of
from app.http.route import ApiRoute
from tests.contract.spec import committed
from tests.support import skip_without

FOLDER = Path(__file__).parents[1] / "deploy" / "kubernetes"
OVERLAYS = ("small", "large")
FILES = sorted(
    f"{path.parent.name}/{path.name}" for path in FOLDER.glob("*/*.yaml") if path.name != "kustomization.yaml"
)
CUSTOM = ("ScaledObject", "PrometheusRule")  # resources of KEDA and of the Prometheus operator, without a schema here


def load(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((FOLDER / name).read_text()))


def load_resources() -> list[dict[str, Any]]:
    """Return the resources of the base."""
    return [resource for name in FILES if name.startswith("base/") for resource in load(name)]


def render(overlay: str) -> list[dict[str, Any]]:
    """Return the resources of an overlay as `kubectl apply -k` sends them."""
    if shutil.which("kubectl") is None:
        skip_without("kubectl")
    command = ["kubectl", "kustomize", str(FOLDER / overlay)]
    return list(yaml.safe_load_all(subprocess.run(command, capture_output=True, text=True, check=True).stdout))


def select_kinds(*kinds: str) -> list[dict[str, Any]]:
    return [resource for resource in load_resources() if resource["kind"] in kinds]


def list_containers() -> list[dict[str, Any]]:
    return [
        c for resource in select_kinds("Deployment", "Job") for c in resource["spec"]["template"]["spec"]["containers"]
    ]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_rendered_manifests_are_valid(overlay: str) -> None:
    resources = render(overlay)

    for resource in resources:
        if resource["kind"] not in CUSTOM:
            kubernetes_validate.validate(resource, "1.31", strict=True)
        assert resource["kind"] == "Namespace" or resource["metadata"]["namespace"] == "rdw"
    assert {r["kind"] for r in resources} >= {"Deployment", "Job", "NetworkPolicy", "Ingress", "ServiceAccount"}


@pytest.mark.parametrize("folder", ["base", *OVERLAYS])
def test_every_manifest_is_applied(folder: str) -> None:
    (kustomization,) = load(f"{folder}/kustomization.yaml")
    applied = {name for name in kustomization["resources"] if name.endswith(".yaml")}
    applied |= {patch["path"] for patch in kustomization.get("patches", ()) if "path" in patch}

    assert {f"{folder}/{name}" for name in applied} == {name for name in FILES if name.startswith(f"{folder}/")}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_image_can_be_pinned(overlay: str) -> None:
    """`deploy/pin-images` replaces the tags in `images`, so each image of a container has to be there."""
    (kustomization,) = load(f"{overlay}/kustomization.yaml")

    assert {image["name"] for image in kustomization["images"]} == {c["image"] for c in list_containers()}
    pinned = [image for image in kustomization["images"] if "digest" in image]
    assert pinned == [], "a digest of an image that nobody has published"


def test_autoscalers_own_the_number_of_replicas() -> None:
    resources = render("large")
    scaled = {r["spec"]["scaleTargetRef"]["name"] for r in resources if "scaleTargetRef" in r.get("spec", ())}

    assert scaled == {"api", "worker"}
    for resource in resources:
        if resource["kind"] == "Deployment":
            assert ("replicas" in resource["spec"]) is (resource["metadata"]["name"] not in scaled)


def test_workers_of_the_large_overlay_have_a_gpu() -> None:
    (worker,) = (
        r["spec"]["template"]["spec"]["containers"][0]
        for r in render("large")
        if r["kind"] == "Deployment" and r["metadata"]["name"] == "worker"
    )

    assert worker["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert {"name": "RDW_DEVICE", "value": "cuda"} in worker["env"]
    assert any(mount["mountPath"] == "/dev/shm" for mount in worker["volumeMounts"])  # noqa: S108


def test_alerts_and_autoscaler_use_existing_metrics(client: TestClient) -> None:
    client.get("/healthz")  # a request to count
    served = set(re.findall(r"^(rdw_\w+)", client.get("/metrics").text, re.MULTILINE))
    (autoscaler,), (rules,) = load("large/worker-autoscaler.yaml"), load("large/alerts.yaml")
    queries = [trigger["metadata"]["query"] for trigger in autoscaler["spec"]["triggers"]]
    queries += [rule["expr"] for group in rules["spec"]["groups"] for rule in group["rules"]]

    used = {name for query in queries for name in re.findall(r"\brdw_\w+", query)}

    assert used and used <= served


def test_alerts_are_valid(tmp_path: Path) -> None:
    if shutil.which("promtool") is None:
        skip_without("promtool")
    (rules,) = load("large/alerts.yaml")
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump(rules["spec"]))

    checked = subprocess.run(["promtool", "check", "rules", file], capture_output=True, text=True)

    assert checked.returncode == 0, checked.stderr


def test_pods_reach_only_what_they_need() -> None:
    policies = {policy["metadata"]["name"]: policy["spec"] for policy in select_kinds("NetworkPolicy")}
    assert policies["deny-all"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    pods = {r["spec"]["template"]["metadata"]["labels"]["app"] for r in select_kinds("Deployment", "Job")}

    def chosen(spec: dict[str, Any]) -> set[str]:
        selector = spec["podSelector"]
        labels = {selector["matchLabels"]["app"]} if "matchLabels" in selector else set[str]()
        return labels | {app for each in selector.get("matchExpressions", ()) for app in each["values"]}

    by_direction = {
        direction: set().union(*(chosen(s) for n, s in policies.items() if n != "deny-all" and direction in s))
        for direction in ("ingress", "egress")
    }
    assert by_direction == {"ingress": {"api", "redis"}, "egress": {"api", "worker", "migrate"}}
    assert pods == {"api", "worker", "migrate", "redis"}


def test_settings_are_settings() -> None:
    named = {name for resource in select_kinds("ConfigMap") for name in resource["data"]}
    named |= {variable["name"] for container in list_containers() for variable in container.get("env", ())}

    assert named >= {"RDW_BROKER_URL", "REDIS_PASSWORD"}
    assert {name.removeprefix("RDW_").lower() for name in named - {"REDIS_PASSWORD", "REDISCLI_AUTH"}} <= set(
        Settings.model_fields
    )


def test_no_secret_is_written_down() -> None:
    assert select_kinds("Secret") == []
    assert {"RDW_DATABASE_URL", "RDW_API_KEYS"}.isdisjoint(
        name for resource in select_kinds("ConfigMap") for name in resource["data"]
    )


def test_probes_and_selectors_match_existing_targets() -> None:
    paths = committed()["paths"]
    for container in list_containers():
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            asked = container.get(probe, {}).get("httpGet")
            if asked is not None:
                assert asked["path"].partition("?")[0] in paths
    pods = [resource["spec"]["template"]["metadata"]["labels"] for resource in select_kinds("Deployment")]
    for service in select_kinds("Service"):
        assert service["spec"]["selector"] in pods


def test_containers_run_confined_with_limits() -> None:
    for resource in select_kinds("Deployment", "Job"):
        spec = resource["spec"]["template"]["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
        for container in spec["containers"]:
            assert "memory" in container["resources"]["limits"]
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


def test_redis_needs_a_password() -> None:
    (redis,) = (c for c in list_containers() if c["name"] == "redis")

    assert '--requirepass "$REDIS_PASSWORD"' in redis["command"][-1]
    assert all("value" not in v for v in redis["env"] if v["name"] == "REDIS_PASSWORD")


def test_workers_have_shared_memory_for_loaders() -> None:
    (spec,) = (
        each["spec"]["template"]["spec"] for each in select_kinds("Deployment") if each["metadata"]["name"] == "worker"
    )
    (name,) = (
        mount["name"]
        for mount in spec["containers"][0]["volumeMounts"]
        if mount["mountPath"] == "/dev/shm"  # noqa: S108
    )
    (volume,) = (volume for volume in spec["volumes"] if volume["name"] == name)

    assert volume["emptyDir"]["medium"] == "Memory"


def test_the_ingress_leads_to_all_but_the_metrics() -> None:
    pages = {
        "/",
        "/docs",
        "/openapi.json",
        "/problems",
        "/problems/validation",
        "/dashboard/main.js",
        "/assets/docs.js",
    }
    assert {path for path in {*pages, *committed()["paths"]} if find_ingress(path) is None} == {"/metrics"}


def find_ingress(path: str) -> dict[str, Any] | None:
    """Return the Ingress with the longest matching prefix, or None if no rule matches."""
    found = ("", None)
    for ingress in select_kinds("Ingress"):
        (rule,) = ingress["spec"]["rules"]
        for each in rule["http"]["paths"]:
            leads = path == each["path"] or (each["pathType"] == "Prefix" and path.startswith(f"{each['path']}/"))
            if leads and len(each["path"]) > len(found[0]):
                found = each["path"], ingress
    return found[1]


def test_the_ingress_bounds_bodies_as_the_api_does(settings: Settings) -> None:
    limits: dict[str, list[int]] = {}
    for route in create_app(settings).routes:
        if isinstance(route, ApiRoute) and (ingress := find_ingress(route.path)) is not None:
            size = ingress["metadata"]["annotations"]["nginx.ingress.kubernetes.io/proxy-body-size"]
            limits.setdefault(size, []).append(body_limit_of(route.endpoint))

    units = {"k": 2**10, "m": 2**20}
    assert len(limits) == 2
    for size, of_routes in limits.items():
        assert max(of_routes) < int(size[:-1]) * units[size[-1]] <= 2 * max(of_routes)
