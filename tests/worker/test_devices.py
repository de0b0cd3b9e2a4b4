"""The device of the settings, mixed precision and compiled networks, as far as a CPU can test them."""

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

from app.core.settings import Settings
from app.data.recipes import Recipe
from tests.worker.support import TINY, digits, load_weights, train_small
from tests.worker.test_training import comparable, count_stop_checks, equal_weights, stop_at
from worker import devices
from worker.devices import Device
from worker.networks import build
from worker.training.loop import TrainingStopped

RECIPE = Recipe(epochs=3, batch_size=32, lr=0.01, dropout=0.2)
MIXED = Device("cpu", mixed_precision=True)

without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU would be selected")


def settings(**options: Any) -> Settings:
    return Settings(data_dir=Path("absent"), **options)


@without_gpu
def test_default_device_without_gpu_is_cpu_in_float32() -> None:
    assert devices.select_device(settings()) == Device("cpu", mixed_precision=False, compiled=False)


def test_settings_select_device_and_precision() -> None:
    device = devices.select_device(settings(device="cpu", precision="bfloat16", compile=True))

    assert device == Device("cpu", mixed_precision=True, compiled=True)


@without_gpu
@pytest.mark.parametrize("name", ["cuda", "cuda:3"])
def test_missing_gpu_is_rejected_with_remedy(name: str) -> None:
    with pytest.raises(devices.DeviceError, match=f"RDW_DEVICE is {name}.*set it to cpu"):
        devices.select_device(settings(device=name))


@pytest.mark.exhaustive
@without_gpu
def test_worker_does_not_start_without_configured_gpu(tmp_path: Path) -> None:
    environment = {**os.environ, "RDW_DEVICE": "cuda", "RDW_DATA_DIR": str(tmp_path)}

    ended = subprocess.run([sys.executable, "-m", "app.cli", "worker"], env=environment, capture_output=True, text=True)

    assert ended.returncode != 0
    assert "RDW_DEVICE is cuda" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "CUDA", ""])
def test_invalid_device_name_is_rejected(name: str) -> None:
    with pytest.raises(ValidationError):
        settings(device=name)


def test_mixed_precision_learns_repeats_and_is_recorded(tmp_path: Path) -> None:
    full = train_small(tmp_path / "full", RECIPE, splits=digits())

    one = train_small(tmp_path / "one", RECIPE, splits=digits(), device=MIXED)
    other = train_small(tmp_path / "other", RECIPE, splits=digits(), device=MIXED)

    assert comparable(one) == comparable(other)
    assert one.accuracy > 0.7
    assert not equal_weights(load_weights(tmp_path / "one"), load_weights(tmp_path / "full"))
    assert all(tensor.dtype != torch.bfloat16 for tensor in load_weights(tmp_path / "one").values())
    assert (full.environment["precision"], one.environment["precision"]) == ("float32", "bfloat16")


def test_result_names_previous_environments_of_resumed_training(tmp_path: Path) -> None:
    with pytest.raises(TrainingStopped):
        train_small(tmp_path, RECIPE, device=MIXED, should_stop=stop_at(count_stop_checks(200, RECIPE) + 1))

    result = train_small(tmp_path, RECIPE)

    assert result.environment["precision"] == "float32"
    assert [before["precision"] for before in result.environment["earlier"]] == ["bfloat16"]
    assert "earlier" not in train_small(tmp_path / "at once", RECIPE).environment


@pytest.mark.exhaustive
@pytest.mark.skipif(shutil.which("g++") is None, reason="NOT TESTED: torch.compile needs a C++ compiler")
@pytest.mark.filterwarnings("ignore")
def test_compiled_network_keeps_names_of_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch._inductor.config.compile_threads", 1)  # a pool of compilers would outlive the test
    smallest = replace(TINY, stages=TINY.stages[:1])
    recipe = Recipe(epochs=1, batch_size=96, lr=0.01, ema_decay=0.5)

    eager = train_small(tmp_path / "eager", recipe, config=smallest, splits=digits(192))
    result = train_small(tmp_path, recipe, config=smallest, device=Device("cpu", compiled=True), splits=digits(192))

    assert result.environment["compiled"] is True
    assert result.history[0]["train_loss"] == pytest.approx(eager.history[0]["train_loss"], rel=1e-3)
    assert result.history[-1]["train_loss"] < 2.4
    build(smallest).load_state_dict(load_weights(tmp_path))


def test_peak_memory_is_reset_between_trainings() -> None:
    device = Device()
    device.reset_peak_memory()
    before = device.peak_memory()
    large = torch.ones(300_000_000, dtype=torch.uint8)
    during = device.peak_memory()
    del large
    device.reset_peak_memory()

    assert during - before > 200_000_000
    assert device.peak_memory() < during - 200_000_000
