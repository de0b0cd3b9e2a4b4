"""The design can be read off the imports: they only go down, and each framework stays in its place."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# A module may import from its own layer and from those after it.
LAYERS = [
    ("app.cli", "app.supervisor", "app.reproduce", "app.serving"),
    ("app.doctor", "app.startup"),
    ("app.main",),
    ("app.playground",),
    (
        "app.safe_routes",
        "app.plain_http",
        "app.idempotency",
        "app.etags",
        "app.bodies",
        "app.heads",
        "app.callers",
        "app.deps",
        "app.problems",
        "app.routers",
        "app.security_headers",
    ),
    ("app.schemas", "app.services"),
    ("app.metrics", "app.report", "app.rate_limits", "app.troubles"),
    ("app.figures", "app.jobs", "app.db", "app.image_folders", "app.typefaces"),
    (
        "app.errors",
        "app.problem_kinds",
        "app.settings",
        "app.recipes",
        "app.datasets",
        "app.logs",
        "app.scopes",
        "app.accepts",
    ),
    ("app.scaling",),
]

# Where a package may be imported, and nowhere else.
HOMES = {
    "torch": ("worker",),
    "torchvision": ("worker",),
    "timm": ("worker",),
    "fvcore": ("worker",),
    "onnx": ("worker.export",),
    "onnxruntime": ("worker.export",),
    "safetensors": ("worker.export",),
    "pycocotools": ("worker.detection",),
    "sqlalchemy": ("app.db", "migrations"),
    "alembic": ("app.db.migrate", "migrations"),
    "redis": ("app.rate_limits", "app.doctor.broker"),
    "celery": ("app.jobs", "worker"),
    "kombu": ("app.jobs",),
    "fastapi": (
        "app.main",
        "app.playground",
        "app.callers",
        "app.deps",
        "app.problems",
        "app.routers",
        "app.safe_routes",
        "app.idempotency",
        "app.etags",
    ),
    "starlette": (
        "app.main",
        "app.bodies",
        "app.heads",
        "app.callers",
        "app.idempotency",
        "app.plain_http",
        "app.problems",
        "app.routers.dashboard",
        "app.security_headers",
    ),
    "uvicorn": ("app.serving",),
    "prometheus_client": ("app.metrics",),
    "matplotlib": ("app.figures",),
    "httpx": ("app.reproduce", "rdw_client"),
    "rdw_client": ("app.cli", "rdw_client"),
    "sklearn": ("app.scaling.predictor", "worker.datasets"),
    "pymoo": ("app.scaling.front",),
    "threadpoolctl": ("app.scaling.blas",),
    "PIL": ("app.image_folders", "app.typefaces", "worker"),
}

MODULES = {
    ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path
    for root, folder in ((ROOT, "app"), (ROOT, "worker"), (ROOT, "migrations"), (ROOT / "client", "rdw_client"))
    for path in sorted((root / folder).rglob("*.py"))
}


def within(module: str, places: tuple[str, ...]) -> bool:
    return any(module == place or module.startswith(f"{place}.") for place in places)


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def layer(module: str) -> int | None:
    return next((i for i, places in enumerate(LAYERS) if within(module, places)), None)


@pytest.mark.parametrize("module", MODULES)
def test_imports_only_go_down(module: str) -> None:
    own = layer(module)
    for name in imported(MODULES[module]):
        assert not (module.startswith("app") and within(name, ("worker",))), f"{module} imports {name}"
        other = layer(name)
        if own is not None and other is not None:
            assert other >= own, f"{module} imports {name}, which lies above it"


@pytest.mark.parametrize("module", MODULES)
def test_each_framework_stays_in_its_place(module: str) -> None:
    for name in imported(MODULES[module]):
        homes = HOMES.get(name.partition(".")[0])
        assert homes is None or within(module, homes), f"{module} imports {name}"


@pytest.mark.parametrize("module", [m for m in MODULES if within(m, ("rdw_client",))])
def test_the_client_stands_on_the_standard_library_and_httpx_alone(module: str) -> None:
    for name in imported(MODULES[module]):
        top = name.partition(".")[0]
        assert top in ("rdw_client", "httpx") or top in sys.stdlib_module_names, f"{module} imports {name}"


def test_every_module_of_the_app_has_its_layer() -> None:
    assert [m for m in MODULES if m.startswith("app.") and layer(m) is None] == []
