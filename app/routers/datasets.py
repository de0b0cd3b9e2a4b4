"""What can be trained on."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from fastapi import APIRouter, Response

from app.datasets import Dataset
from app.deps import Config, Look, Work
from app.problems import RESPONSES
from app.safe_routes import SafeRoute
from app.schemas.common import Listed
from app.schemas.datasets import DatasetItem, NewDataset
from app.services import datasets

router = APIRouter(prefix="/v1/datasets", tags=["datasets"], responses=RESPONSES, route_class=SafeRoute)


@router.get("", summary="List data sets")
def list_datasets(work: Look, settings: Config) -> Listed[DatasetItem]:
    """The built-in image sets, then the registered folders; of each whether it is on this machine."""
    return Listed(items=[_item(d, settings.data_dir) for d in datasets.all_of_them(work)])


@router.post("", status_code=201, summary="Register a folder of images", responses={200: {"model": DatasetItem}})
def register_dataset(body: NewDataset, work: Work, settings: Config, response: Response) -> DatasetItem:
    """Make an ImageFolder below the data root known under a name. The same again answers 200."""
    dataset, new = datasets.register(work, body.name, body.folder, body.native_px, settings.data_dir)
    if not new:
        response.status_code = 200
    return _item(dataset, settings.data_dir)


def _item(dataset: Dataset, data_dir: Path) -> DatasetItem:
    known = asdict(datasets.counted(dataset, data_dir))
    return DatasetItem.model_validate({**known, "missing": datasets.missing(dataset, data_dir)})
