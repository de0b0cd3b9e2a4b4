"""Baselines that can be scaled."""

from __future__ import annotations

from functools import lru_cache

from fastapi import APIRouter, Response

from app.deps import Look, NamePath, Work
from app.problems import RESPONSES
from app.safe_routes import SafeRoute
from app.scaling import families
from app.scaling.architecture import Architecture
from app.schemas.architectures import ArchitectureDetail, ArchitectureItem, NewArchitecture, config_json
from app.schemas.common import Listed
from app.services import architectures

router = APIRouter(prefix="/v1/architectures", tags=["architectures"], responses=RESPONSES, route_class=SafeRoute)


@router.get("", summary="List baselines")
def list_architectures(work: Look) -> Listed[ArchitectureItem]:
    """The built-in baselines, then the registered ones."""
    return Listed(items=[_item(a) for a in architectures.all_of_them(work)])


@router.get("/{name}", summary="Read a baseline")
def read_architecture(name: NamePath, work: Look) -> ArchitectureDetail:
    """A baseline with its network and the rules by which it scales."""
    return _detail(architectures.find(work, name))


@router.post("", status_code=201, summary="Register a baseline", responses={200: {"model": ArchitectureDetail}})
def register_architecture(body: NewArchitecture, work: Work, response: Response) -> ArchitectureDetail:
    """Keep a baseline of your own under a name. The same again answers 200; another one under that name, 409."""
    architecture = body.to_architecture("")
    if not architectures.register(work, architecture):
        response.status_code = 200
    response.headers["Location"] = f"/v1/architectures/{architecture.name}"
    return _detail(architecture)


@lru_cache(maxsize=1024)
def _item(architecture: Architecture) -> ArchitectureItem:
    cost = families.network_cost(architecture.baseline)
    return ArchitectureItem(
        name=architecture.name,
        family=architecture.baseline.family,
        resolution=architecture.baseline.resolution,
        flops=cost.flops,
        params=cost.params,
        built_in=architecture.name in families.baselines(),
    )


def _detail(architecture: Architecture) -> ArchitectureDetail:
    plain = {**architecture.to_json(), "baseline": config_json(architecture.baseline)}
    return ArchitectureDetail.model_validate({**_item(architecture).model_dump(), **plain})
