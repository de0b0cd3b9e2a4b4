"""Routes of data sets."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from app.data.builtin_datasets import BUILT_IN_NAMES, Dataset
from app.data.image_checks import name_location
from app.data.image_folders import MAX_LISTED_CLASSES
from app.data.sample_choice import location_of
from app.db.tables import DatasetRow
from app.http import openapi_examples
from app.http.auth import ADMIN, READ, TRAIN
from app.http.conditional import check_if_match, is_current
from app.http.deletion import DELETION, deletion_response
from app.http.dependencies import Archived, DatasetName, DryRun, Force, IfMatch, ReadUow, SettingsDep, WriteUow
from app.http.long_requests import takes_long
from app.http.openapi import identifies
from app.http.problems import CONFLICT, RESPONSES, STALE
from app.http.route import ApiRoute
from app.http.schemas.common import CatalogUpdate, Page
from app.http.schemas.datasets import DatasetDetail, DatasetItem, NewDataset
from app.services.catalog import dataset_life, dataset_registration, datasets, sample_sheets
from app.services.catalog.dataset_checks import FolderRequest
from app.services.catalog.dataset_registration import Registered

router = APIRouter(prefix="/v1/datasets", tags=["datasets"], responses=RESPONSES, route_class=ApiRoute)


@router.get("", summary="List data sets", dependencies=[READ])
def list_datasets(work: ReadUow, settings: SettingsDep, archived: Archived = False) -> Page[DatasetItem]:
    """List the built-in data sets, then the registered folders, each with whether the service can read it.

    Archived ones are left out.
    """
    rows = {row.name: row for row in work.datasets.list_all()}
    found = dataset_registration.list_all(work)
    items = [_item(one, settings.data_dir, rows.get(one.dataset.name)) for one in found]
    return Page(items=[item for item in items if (item.archived_at is not None) is archived])


@router.get("/{name}", summary="Get a data set", dependencies=[READ])
def get_dataset(name: DatasetName, work: ReadUow, settings: SettingsDep) -> DatasetDetail:
    """Return a data set with its classes, what was understood of its folder, and the progress of its check."""
    found = dataset_registration.find(work, name)
    return _detail(found, settings.data_dir, work.datasets.get(found.dataset.name))


@router.get(
    "/{name}/samples.png",
    summary="Draw sample images",
    response_class=Response,
    responses=CONFLICT,
    dependencies=[READ],
)
@takes_long
def read_samples(
    name: DatasetName,
    work: ReadUow,
    settings: SettingsDep,
    request: Request,
    px: Annotated[
        int | None,
        Query(ge=8, le=512, description="Longer side of the images in pixels; that of the stored ones by default."),
    ] = None,
) -> Response:
    """Draw 16 training images with their labels, as they enter a network before they are normalised, as PNG.

    They are spread over the classes and always the same. Scenes for detection have their boxes. 409 if the images are
    not on the machine of the service, or have changed since they were checked.
    """
    sheet = sample_sheets.find(work, name, px)
    work.release()  # drawing takes long
    tag = f'"{sheet.tag}"'
    if is_current(request, tag):
        return Response(headers={"ETag": tag})
    return Response(sheet.draw(settings.data_dir), media_type="image/png", headers={"ETag": tag})


@router.post(
    "",
    status_code=201,
    summary="Register a folder of images",
    responses={
        200: {"model": DatasetDetail},
        201: identifies("datasets", "/name", "name"),
        202: {"model": DatasetDetail},
    },
    openapi_extra=openapi_examples.DATASET,
    dependencies=[ADMIN],
)
def register_dataset(body: NewDataset, work: WriteUow, settings: SettingsDep, response: Response) -> DatasetDetail:
    """Register a folder of images below the data root under a name, after every image has been decoded once.

    Registering the same folder again returns 200. A large folder is checked in the background: the response is 202
    with the state `checking`, and it can be trained on once `GET /v1/datasets/{name}` says `ready`. With
    `validate_only` nothing is registered, and the response is 200 with what is understood of the folder.
    """
    request = FolderRequest(body.folder, body.native_px, body.layout, body.background, body.channels)
    if body.validate_only:
        response.status_code = 200
        validated = dataset_registration.validate(body.name, request, settings.data_dir)
        return _detail(validated, settings.data_dir, None)
    found = dataset_registration.register(work, body.name, request, settings.data_dir)
    if found.state == "checking":
        response.status_code = 202
    elif not found.is_new:
        response.status_code = 200
    return _detail(found, settings.data_dir, work.datasets.get(body.name))


@router.patch(
    "/{name}",
    summary="Change a data set",
    responses=STALE,
    openapi_extra=openapi_examples.UPDATE_CATALOG,
    dependencies=[TRAIN],
)
def update_dataset(
    name: DatasetName, body: CatalogUpdate, work: WriteUow, settings: SettingsDep, if_match: IfMatch = None
) -> DatasetItem:
    """Rename, describe or archive a registered data set.

    Studies, trials, observations and predictors get the new name as well. The former name goes on to stand for the data
    set and is given to no other one. An archived data set is not trained on; what was queued before goes on.
    """
    row = dataset_life.find_row(work, name)
    before = Registered(Dataset.from_json(row.spec), report=row.report)
    check_if_match(_detail(before, settings.data_dir, row), if_match)
    dataset = dataset_life.update(work, row, body.to_changes())
    return _item(Registered(dataset), settings.data_dir, row)


@router.post(
    "/{name}/refresh",
    summary="Read a data set again",
    responses={202: {"model": DatasetItem}},
    dependencies=[TRAIN],
)
def refresh_dataset(name: DatasetName, work: WriteUow, settings: SettingsDep, response: Response) -> DatasetItem:
    """Read the images of a registered data set again, after they have changed.

    A large folder is checked in the background: the response is 202 with the state `checking`, the data set has its
    former digest until the check has ended, and it cannot be trained on until then. Trials keep the digest that they
    were trained on. While trials or studies on it have not ended, a changed or large data set is not read; the problem
    lists them in `dependents`.
    """
    found = dataset_life.refresh(work, name, settings.data_dir)
    if found.state == "checking":
        response.status_code = 202
    return _item(found, settings.data_dir, work.datasets.get(found.dataset.name))


@router.delete("/{name}", summary="Delete a data set", dependencies=[TRAIN], **DELETION)
def delete_dataset(name: DatasetName, work: WriteUow, force: Force = False, dry_run: DryRun = False) -> Response:
    """Delete a registered data set. Its files, and what was trained on it, remain.

    Without `force` one with studies is not deleted; the problem lists them in `dependents`. One with unfinished trials
    or running studies is not deleted at all.
    """
    deletion = dataset_life.delete(work, name, force=force, dry_run=dry_run)
    return deletion_response(deletion, dry_run=dry_run)


def _item(found: Registered, data_dir: Path, row: DatasetRow | None) -> DatasetItem:
    return DatasetItem.model_validate(_plain(found, data_dir, row))


def _plain(found: Registered, data_dir: Path, row: DatasetRow | None) -> dict[str, Any]:
    """Describe a data set; `row` is that of a registered one."""
    dataset = datasets.with_image_counts(found.dataset, data_dir)
    return {
        **asdict(dataset),
        "state": found.state,
        "progress": found.progress,
        "error": found.error,
        "owner": row.owner if row else None,
        "built_in": dataset.name in BUILT_IN_NAMES,
        "archived_at": row.archived_at if row else None,
        "description": (row.description if row else None) or dataset.description,
        "missing": datasets.unavailable_reason(dataset, data_dir),
    }


def _detail(found: Registered, data_dir: Path, row: DatasetRow | None) -> DatasetDetail:
    unknown: dict[str, int | None] = dict.fromkeys(("train", "validation", "test"))
    names = found.dataset.classes[:MAX_LISTED_CLASSES]
    nothing = {"splits": [], "classes": [{"name": name, **unknown} for name in names], "skipped": [], "warnings": []}
    report = found.report or {}
    samples = [
        {"path": name_location(location_of(sample)), "label": found.dataset.classes[sample["label"]]}
        for sample in report.get("samples", [])
    ]
    return DatasetDetail.model_validate({**_plain(found, data_dir, row), **nothing, **report, "samples": samples})
