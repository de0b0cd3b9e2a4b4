"""Routes of baselines."""

from __future__ import annotations

from functools import lru_cache

from fastapi import APIRouter, Response

from app.db.tables import ArchitectureRow
from app.http import openapi_examples
from app.http.auth import ADMIN, READ, TRAIN
from app.http.conditional import check_if_match
from app.http.deletion import DELETION, deletion_response
from app.http.dependencies import ArchitectureName, Archived, CatalogDep, DryRun, Force, IfMatch, ReadUow, WriteUow
from app.http.openapi import identifies
from app.http.problems import RESPONSES, STALE
from app.http.route import ApiRoute
from app.http.schemas.architectures import ArchitectureDetail, ArchitectureItem, NewArchitecture, config_json
from app.http.schemas.common import CatalogUpdate, Page
from app.scaling import families
from app.scaling.network import Architecture
from app.services.catalog import architectures

router = APIRouter(prefix="/v1/architectures", tags=["architectures"], responses=RESPONSES, route_class=ApiRoute)


@router.get("", summary="List baselines", dependencies=[READ])
def list_architectures(work: ReadUow, archived: Archived = False) -> Page[ArchitectureItem]:
    """List the built-in baselines, then the registered ones. Archived ones are left out."""
    rows = {row.name: row for row in work.architectures.list_all()}
    items = [_item(a, rows.get(a.name)) for a in architectures.list_all(work)]
    return Page(items=[item for item in items if (item.archived_at is not None) is archived])


@router.get("/{name}", summary="Read a baseline", dependencies=[READ])
def read_architecture(name: ArchitectureName, work: ReadUow) -> ArchitectureDetail:
    """Read a baseline with its network and scaling rules."""
    architecture = architectures.find(work, name)
    return _detail(architecture, work.architectures.get(architecture.name))


@router.post(
    "",
    status_code=201,
    summary="Register a baseline",
    responses={200: {"model": ArchitectureDetail}, 201: identifies("architectures", "/name", "name")},
    openapi_extra=openapi_examples.ARCHITECTURE,
    dependencies=[ADMIN],
)
def register_architecture(body: NewArchitecture, work: WriteUow, response: Response) -> ArchitectureDetail:
    """Register a baseline under a name.

    Registering the same baseline again returns 200. If another baseline has the name, the response is 409.
    """
    architecture = body.to_architecture("")
    if not architectures.register(work, architecture):
        response.status_code = 200
    response.headers["Location"] = f"/v1/architectures/{architecture.name}"
    return _detail(architecture, work.architectures.get(architecture.name))


@router.patch(
    "/{name}",
    summary="Change a baseline",
    responses=STALE,
    openapi_extra=openapi_examples.UPDATE_CATALOG,
    dependencies=[TRAIN],
)
def update_architecture(
    name: ArchitectureName, body: CatalogUpdate, work: WriteUow, catalog: CatalogDep, if_match: IfMatch = None
) -> ArchitectureDetail:
    """Rename, describe or archive a registered baseline.

    Studies, trials, observations and predictors get the new name as well. The former name goes on to stand for the
    baseline and is given to no other one. An archived baseline can be scaled but not trained; what was queued before
    goes on.
    """
    row = architectures.find_row(work, name)
    former = row.name
    check_if_match(_detail(Architecture.from_json(row.spec), row), if_match)
    architecture = architectures.update(work, row, body.to_changes())
    catalog.invalidate_architecture(former)
    return _detail(architecture, row)


@router.delete("/{name}", summary="Delete a baseline", dependencies=[TRAIN], **DELETION)
def delete_architecture(
    name: ArchitectureName, work: WriteUow, catalog: CatalogDep, force: Force = False, dry_run: DryRun = False
) -> Response:
    """Delete a registered baseline. Its studies, trials and predictors remain, since they have their own copies.

    No predictor of it stays active, since it would answer for another baseline that is registered under the name.

    Without `force` one with studies or predictors is not deleted; the problem lists them in `dependents`.
    """
    deletion = architectures.delete(work, name, force=force, dry_run=dry_run)
    catalog.invalidate_architecture(name)
    return deletion_response(deletion, dry_run=dry_run)


def _item(architecture: Architecture, row: ArchitectureRow | None) -> ArchitectureItem:
    """Describe a baseline; `row` is that of a registered one."""
    item = _computed_item(architecture)
    if row is None:
        return item
    given = {"owner": row.owner, "description": row.description, "archived_at": row.archived_at}
    return item.model_copy(update=given)


@lru_cache(maxsize=512)
def _computed_item(architecture: Architecture) -> ArchitectureItem:
    cost = families.network_cost(architecture.baseline)
    return ArchitectureItem(
        name=architecture.name,
        owner=None,
        family=architecture.baseline.family,
        resolution=architecture.baseline.resolution,
        flops=cost.flops,
        params=cost.params,
        built_in=architecture.name in families.baselines(),
    )


def _detail(architecture: Architecture, row: ArchitectureRow | None) -> ArchitectureDetail:
    plain = {**architecture.to_json(), "baseline": config_json(architecture.baseline)}
    return ArchitectureDetail.model_validate({**_item(architecture, row).model_dump(), **plain})
