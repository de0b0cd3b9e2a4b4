"""Devices: chosen by the settings, and all that holds of CUDA's path on a CPU: reduced precision, compiled networks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from app.recipes import Recipe
from app.settings import Settings
from tests.worker.support import TINY, digits, trained, weights
from tests.worker.test_training import asked, measured, same, stop_at
from worker import devices
from worker.devices import Device
from worker.networks import build
from worker.training import Stopped

RECIPE = Recipe(epochs=3, batch_size=32, lr=0.01, dropout=0.2)
REDUCED = Device("cpu", reduced=True)

without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU: it would be chosen")


def settings(**given: Any) -> Settings:
    return Settings(data_dir=Path("absent"), **given)


@without_gpu
def test_without_a_gpu_networks_are_trained_on_the_cpu_in_full_precision() -> None:
    assert devices.chosen(settings()) == Device("cpu", reduced=False, compiled=False)


def test_the_settings_have_their_way() -> None:
    chosen = devices.chosen(settings(device="cpu", precision="bfloat16", compile=True))

    assert chosen == Device("cpu", reduced=True, compiled=True)


@without_gpu
@pytest.mark.parametrize("name", ["cuda", "cuda:3"])
def test_a_gpu_that_is_not_there_is_refused_and_the_cure_named(name: str) -> None:
    with pytest.raises(devices.DeviceError, match=f"RDW_DEVICE is {name}.*set it to cpu"):
        devices.chosen(settings(device=name))


@without_gpu
def test_a_worker_does_not_start_without_the_gpu_that_it_is_to_use(tmp_path: Path) -> None:
    environment = {**os.environ, "RDW_DEVICE": "cuda", "RDW_DATA_DIR": str(tmp_path)}

    ended = subprocess.run([sys.executable, "-m", "app.cli", "worker"], env=environment, capture_output=True, text=True)

    assert ended.returncode != 0
    assert "RDW_DEVICE is cuda" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "CUDA", ""])
def test_what_is_no_device_is_no_setting(name: str) -> None:
    with pytest.raises(ValidationError):
        settings(device=name)


def test_in_reduced_precision_it_is_learned_repeated_and_recorded(tmp_path: Path) -> None:
    full = trained(tmp_path / "full", RECIPE, splits=digits())

    one = trained(tmp_path / "one", RECIPE, splits=digits(), device=REDUCED)
    other = trained(tmp_path / "other", RECIPE, splits=digits(), device=REDUCED)

    assert measured(one) == measured(other)
    assert one.accuracy > 0.7
    assert not same(weights(tmp_path / "one"), weights(tmp_path / "full"))
    assert all(tensor.dtype != torch.bfloat16 for tensor in weights(tmp_path / "one").values())
    assert (full.environment["precision"], one.environment["precision"]) == ("float32", "bfloat16")


def test_resumed_elsewhere_a_result_names_both_environments(tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        trained(tmp_path, RECIPE, device=REDUCED, should_stop=stop_at(asked(200, RECIPE) + 1))

    result = trained(tmp_path, RECIPE)

    assert result.environment["precision"] == "float32"
    assert [before["precision"] for before in result.environment["earlier"]] == ["bfloat16"]
    assert "earlier" not in trained(tmp_path / "at once", RECIPE).environment


@pytest.mark.skipif(shutil.which("g++") is None, reason="NOT TESTED: torch.compile needs a C++ compiler")
@pytest.mark.filterwarnings("ignore")
def test_a_compiled_network_is_trained_and_its_weights_keep_their_names(tmp_path: Path) -> None:
    smallest = replace(TINY, stages=TINY.stages[:1])
    recipe = Recipe(epochs=1, batch_size=96, lr=0.01, ema_decay=0.5)

    eager = trained(tmp_path / "eager", recipe, config=smallest, splits=digits(192))
    result = trained(tmp_path, recipe, config=smallest, device=Device("cpu", compiled=True), splits=digits(192))

    assert result.environment["compiled"] is True
    assert result.history[0]["train_loss"] == pytest.approx(eager.history[0]["train_loss"], rel=1e-3)
    assert result.history[-1]["train_loss"] < 2.4
    build(smallest).load_state_dict(weights(tmp_path))


def test_the_peak_of_memory_is_a_trainings_own() -> None:
    device = Device()
    device.forget_peak()
    before = device.peak_memory()
    large = torch.ones(300_000_000, dtype=torch.uint8)
    during = device.peak_memory()
    del large
    device.forget_peak()

    assert during - before > 200_000_000
    assert device.peak_memory() < during - 200_000_000
