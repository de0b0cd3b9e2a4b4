"""Bodies accept what training loops hand over: scalars of numpy and torch, paths and dataclasses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rdw_client import Client, Invalid
from tests.serving import RunningService
from tests.support import skip_without


@dataclass
class Network:
    r: Any = 0.9
    d: Any = 1.0
    w: Any = 0.9


@dataclass
class Training:
    epochs: int = 1
    batch_size: Any = field(default_factory=lambda: np.int64(64))


def tensor(value: float) -> Any:
    if find_spec("torch") is None:
        skip_without("torch")
    import torch

    return torch.tensor(value, requires_grad=True)


SCALARS: dict[str, Callable[[float], Any]] = {
    "numpy scalar": np.float32,
    "0-d array": np.array,
    "torch tensor": tensor,
}


@pytest.fixture
def study(rdw: Client) -> str:
    return rdw.create_study("mine", "small", "digits", trials=3).id


@pytest.mark.parametrize("kind", SCALARS)
def test_told_scalar_is_stored_as_number(rdw: Client, study: str, kind: str) -> None:
    scalar = SCALARS[kind]

    rdw.tell(
        study,
        multipliers=Network(r=scalar(0.75)),
        accuracy=scalar(0.625),
        seconds=scalar(2.0),
        metrics={"f1": scalar(0.5)},
    )

    (stored,) = rdw.observations(study)
    assert (stored.r, stored.accuracy, stored.seconds) == (0.75, 0.625, 2.0)


def test_dataclasses_are_sent_as_objects(rdw: Client) -> None:
    trial = rdw.train("small", dataset="digits", multipliers=Network(), recipe=Training(), seed=np.int64(3))

    assert trial.multipliers is not None and trial.multipliers["r"] == 0.9
    assert trial.recipe is not None and trial.recipe["batch_size"] == 64
    assert trial.seed == 3


def test_response_can_be_sent_back(rdw: Client) -> None:
    found = rdw.scale("small", ratio=np.float32(0.5))

    assert rdw.cost("small", multipliers=found.multipliers).cost.flops == found.cost.flops


def test_arrays_are_sent_as_lists(rdw: Client) -> None:
    study = rdw.create_study("arrays", "small", "digits", space={"r": np.array([0.5, 1.0]), "d": (0.75, 1)})
    assert study.space is not None and (study.space["r"], study.space["d"]) == ([0.5, 1.0], [0.75, 1.0])
    assert len(rdw.family("efficientnet_b0", ratios=np.linspace(0.3, 0.9, 3)).items) == 3
    assert len(rdw.curve("published-tinynets", min_c=np.float32(0.25), max_c=0.5, steps=4).items) == 4


def test_paths_are_accepted(rdw: Client, study: str, service: RunningService, tmp_path: Path) -> None:
    for name in ("cats", "dogs"):
        folder = Path(service.settings.data_dir) / "datasets" / "pets" / name
        folder.mkdir(parents=True)
        for index in range(8):
            Image.new("RGB", (16, 16), (40 * index, len(name), 60)).save(folder / f"{index}.png")
    table = tmp_path / "results.csv"
    table.write_text("r,d,w,accuracy\n0.7,1.0,0.7,0.66\n")

    assert rdw.register_dataset("pets", PurePosixPath("pets")).num_classes == 2
    assert rdw.import_csv(study, table).imported == 1


def test_number_that_is_not_finite_is_refused_by_path(rdw: Client, study: str) -> None:
    with pytest.raises(ValueError, match=r"^multipliers\.r is nan: "):
        rdw.tell(study, multipliers=Network(r=np.float32("nan")), accuracy=0.5)


def test_value_that_json_cannot_represent_is_refused_by_path(rdw: Client, study: str) -> None:
    with pytest.raises(TypeError, match=r"^metrics\.f1 is of type complex, "):
        rdw.tell(study, multipliers=Network(), accuracy=0.5, metrics={"f1": 1j})


def test_body_that_the_service_refuses_says_where(rdw: Client, study: str) -> None:
    with pytest.raises(Invalid, match="/accuracy"):
        rdw.tell(study, multipliers=Network(), accuracy=np.float32(-1))
