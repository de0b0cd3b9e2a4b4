"""The files of a completed training can be used without rdw."""

from __future__ import annotations

import csv
import itertools
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from app.core.settings import Settings
from app.data.builtin_datasets import DIGITS
from app.data.recipes import PRESETS
from app.db.tables import ObservationRow
from app.db.unit_of_work import UnitOfWork
from app.scaling import families
from app.scaling.network import Config
from app.services.trials import artifacts, requests
from tests.worker.support import TINY
from tests.worker.test_training_families import ONE_PER_FAMILY, narrow
from worker import export, run_trial
from worker.data.preprocessing import Normalisation
from worker.heartbeat import Heartbeat
from worker.networks import build
from worker.training.ssdlite import SSDLite

REBUILD = Path(__file__).parents[2] / "examples" / "rebuild.py"
NORMALISATION = Normalisation(mean=(72.5,), sd=(90.25,))
HISTORY = [
    {"epoch": 1, "train_loss": 2.25, "validation_accuracy": 0.125},
    {"epoch": 2, "train_loss": 1.5, "validation_accuracy": 0.5},
]


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "WARM_UP_SECONDS", 0.01)
    monkeypatch.setattr(export, "MEASURED_SECONDS", 0.05)


def network_of(config: Config) -> nn.Module:
    """Build a network with random norms and biases, so that each affects the logits."""
    torch.manual_seed(0)
    network = build(config).to(memory_format=torch.channels_last).eval()
    for tensor in network.state_dict().values():
        if tensor.ndim == 1:
            nn.init.uniform_(tensor, 0.5, 1.5)
    return network


def export_files(network: nn.Module, config: Config, folder: Path) -> export.ExportResult:
    return export.export(config, network.state_dict(), NORMALISATION, HISTORY, folder)


def images(config: Config, n: int) -> torch.Tensor:
    return torch.rand(n, config.in_chans, config.resolution, config.resolution, generator=torch.manual_seed(1))


def logits(network: nn.Module, batch: torch.Tensor) -> Any:
    with torch.inference_mode():
        return network(batch).numpy()


@pytest.mark.parametrize("name", ONE_PER_FAMILY)
def test_classifier_of_every_family_is_exported_and_loaded(tmp_path: Path, name: str) -> None:
    config = narrow(name)
    network = network_of(config)

    result = export_files(network, config, tmp_path)

    loaded, state = export.load(tmp_path / "weights.safetensors"), network.state_dict()
    assert not loaded.training
    assert list(loaded.state_dict()) == list(state)
    assert all(torch.equal(tensor, state[name]) for name, tensor in loaded.state_dict().items())
    assert {"Conv", "Gemm"} <= set(result.operators) <= set(standard_operators())
    assert sorted(file.name for file in tmp_path.iterdir()) == ["log.csv", "model.onnx", "weights.safetensors"]


@pytest.mark.parametrize(
    "name", [*ONE_PER_FAMILY[:3], *(pytest.param(name, marks=pytest.mark.exhaustive) for name in ONE_PER_FAMILY[3:])]
)
def test_detector_of_every_family_is_exported_and_loaded(tmp_path: Path, name: str) -> None:
    config = replace(narrow(name), resolution=64)
    torch.manual_seed(0)
    detector = SSDLite(config).to(memory_format=torch.channels_last).eval()

    result = export.export(config, detector.state_dict(), NORMALISATION, HISTORY, tmp_path, "detection")

    loaded, state = export.load(tmp_path / "weights.safetensors"), detector.state_dict()
    assert isinstance(loaded, SSDLite) and not loaded.training
    assert all(torch.equal(tensor, state[name]) for name, tensor in loaded.state_dict().items())
    assert {"Conv", "Softmax"} <= set(result.operators) <= set(standard_operators())
    assert result.latency.median_ms > 0
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    for n in (1, 2, 5):  # a size that the export does not check
        batch = images(config, n)
        boxes, scores = session.run(["boxes", "scores"], {"images": batch.numpy()})
        with torch.inference_mode():
            expected = loaded.decode(loaded(batch))
        assert np.abs(boxes - expected[0].numpy()).max() < 64e-4
        assert np.abs(scores - expected[1].numpy()).max() < 1e-4
        assert boxes.shape == (n, len(loaded.anchors), 4)
        assert scores.shape == (n, len(loaded.anchors), 10)
    metadata = {p.key: p.value for p in onnx.load(tmp_path / "model.onnx").metadata_props}
    assert metadata["task"] == "detection"


@pytest.mark.parametrize("part", ["regression_head", "classification_head"])
def test_differing_boxes_and_scores_are_rejected(part: str) -> None:
    config = replace(narrow("efficientnet_b0"), resolution=64)
    detector = SSDLite(config).eval()
    content = export.convert_to_onnx(detector, config, "detection").SerializeToString()
    export.check_outputs(content, detector, config, "detection")

    for parameter in getattr(detector.head, part).parameters():
        nn.init.normal_(parameter)

    wrong = "boxes" if part == "regression_head" else "scores"
    with pytest.raises(export.ExportError, match=f"ONNX's {wrong} differ from PyTorch's"):
        export.check_outputs(content, detector, config, "detection")


def standard_operators() -> list[str]:
    return [schema.name for schema in onnx.defs.get_all_schemas() if schema.domain == ""]


# Loads the weights into the network that stock timm builds, and runs the ONNX model, without importing rdw.
WITHOUT_RDW = """
import json, sys
sys.path.insert(0, sys.argv[1])
from rebuild import rebuild
import numpy, onnxruntime, safetensors, safetensors.torch, torch

torch.set_num_threads(1)
with safetensors.safe_open("weights.safetensors", "pt") as opened:
    config = json.loads(opened.metadata()["config"])
network = rebuild(config["timm"]).eval()
network.load_state_dict(safetensors.torch.load_file("weights.safetensors"), strict=True)
images = numpy.load("images.npy")
with torch.inference_mode():
    numpy.save("timm.npy", network(torch.from_numpy(images)).numpy())
session = onnxruntime.InferenceSession("model.onnx")
numpy.save("onnx.npy", session.run(["logits"], {"images": images})[0])
assert not [name for name in sys.modules if name.partition(".")[0] in ("app", "worker")]
"""


@pytest.mark.parametrize(
    "name",
    ["efficientnet_b0", *(pytest.param(n, marks=pytest.mark.exhaustive) for n in ("ghostnet_050", "regnetx_002"))],
)
def test_exported_files_work_in_program_without_rdw(tmp_path: Path, name: str) -> None:
    config = narrow(name)
    network, batch = network_of(config), images(narrow(name), 5)
    export_files(network, config, tmp_path)
    np.save(tmp_path / "images.npy", batch.numpy())

    command = [sys.executable, "-I", "-c", WITHOUT_RDW, str(REBUILD.parent)]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)

    assert ran.returncode == 0, ran.stderr
    expected = logits(network, batch)
    assert np.abs(expected).max() > 0.01, "zeros would equal anything"
    assert np.load(tmp_path / "timm.npy") == pytest.approx(expected, rel=1e-5, abs=1e-6)
    assert np.load(tmp_path / "onnx.npy") == pytest.approx(expected, abs=1e-4 * max(1.0, float(np.abs(expected).max())))


def test_metadata_have_config_and_normalisation(tmp_path: Path) -> None:
    export_files(network_of(TINY), TINY, tmp_path)

    with export.safe_open(tmp_path / "weights.safetensors", "pt") as opened:
        metadata = opened.metadata()
    of_model = {p.key: p.value for p in onnx.load(tmp_path / "model.onnx").metadata_props}

    config = json.loads(metadata["config"])
    assert (Config.from_json(config), config["timm"]) == (TINY, families.rebuild_recipe(TINY))
    assert json.loads(metadata["normalisation"]) == {"mean": [72.5], "sd": [90.25]}
    assert json.loads(metadata["evaluation"]) == {"crop_pct": 1.0, "resize_px": TINY.resolution, "px": TINY.resolution}
    assert metadata["torch"] == torch.__version__.partition("+")[0]
    assert metadata["rdw"]
    assert of_model == metadata


def test_log_has_one_row_per_epoch(tmp_path: Path) -> None:
    export_files(network_of(TINY), TINY, tmp_path)

    rows = list(csv.DictReader((tmp_path / "log.csv").read_text().splitlines()))
    assert [{name: float(value) for name, value in row.items()} for row in rows] == HISTORY


def test_unusable_weights_files_are_rejected(tmp_path: Path) -> None:
    export_files(network_of(TINY), TINY, tmp_path)
    file = tmp_path / "weights.safetensors"
    with export.safe_open(file, "pt") as opened:
        metadata = opened.metadata()
    state = load_file(file)

    (cut := tmp_path / "cut.safetensors").write_bytes(file.read_bytes()[:-9])
    save_file(state, bare := tmp_path / "bare.safetensors")
    state.popitem()
    save_file(state, other := tmp_path / "other.safetensors", metadata)

    for broken, why in ((cut, "damaged"), (bare, "no config"), (other, "do not fit its config")):
        with pytest.raises(export.ExportError, match=why):
            export.load(broken)


def with_nonstandard_operator(model: onnx.ModelProto) -> onnx.ModelProto:
    """Append an operator of another domain to the model."""
    model.graph.node[-1].output[0] = "before"
    model.graph.node.append(helper.make_node("Swirl", ["before"], ["logits"], domain="com.example"))
    model.opset_import.append(helper.make_opsetid("com.example", 1))
    return model


def with_subgraph(inner: onnx.NodeProto) -> onnx.ModelProto:
    """Return a model whose only node besides an If is inside it."""
    branch = helper.make_graph([inner], "branch", [], [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
    choice = helper.make_node("If", ["which"], ["y"], then_branch=branch, else_branch=branch)
    which = helper.make_tensor_value_info("which", TensorProto.BOOL, [])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    return helper.make_model(helper.make_graph([choice], "whole", [which], [out]))


def test_nonstandard_operator_is_rejected_and_no_model_remains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = network_of(TINY)
    export_files(network, TINY, tmp_path)
    convert = export.convert_to_onnx
    monkeypatch.setattr(export, "convert_to_onnx", lambda *arguments: with_nonstandard_operator(convert(*arguments)))

    with pytest.raises(export.ExportError, match=r"com\.example\.Swirl"):
        export_files(network, TINY, tmp_path)

    assert sorted(file.name for file in tmp_path.iterdir()) == ["log.csv", "weights.safetensors"]


def test_model_with_wrong_logits_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    convert = export.convert_to_onnx

    def convert_with_wrong_bias(*arguments: Any) -> onnx.ModelProto:
        model = convert(*arguments)
        (bias,) = [tensor for tensor in model.graph.initializer if tensor.name == "classifier.bias"]
        bias.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(bias) + 1, bias.name))
        return model

    monkeypatch.setattr(export, "convert_to_onnx", convert_with_wrong_bias)

    with pytest.raises(export.ExportError, match="differ from PyTorch's by"):
        export_files(network_of(TINY), TINY, tmp_path)

    assert not (tmp_path / "model.onnx").exists()


def test_operators_in_subgraphs_are_listed_and_checked() -> None:
    assert export.list_operators(with_subgraph(helper.make_node("Relu", ["x"], ["y"]))) == ["If", "Relu"]
    for special in (
        helper.make_node("Relu", ["x"], ["y"], domain="com.microsoft"),
        helper.make_node("Swirl", ["x"], ["y"]),
    ):
        with pytest.raises(export.ExportError, match=special.op_type):
            export.list_operators(with_subgraph(special))


def test_operators_in_functions_are_checked() -> None:
    model = with_subgraph(helper.make_node("Relu", ["x"], ["y"]))
    swirl = helper.make_node("Swirl", ["x"], ["y"], domain="com.example")
    model.functions.append(helper.make_function("", "Relu", ["x"], ["y"], [swirl], [helper.make_opsetid("", 18)]))

    with pytest.raises(export.ExportError, match="Swirl"):
        export.list_operators(model)


@pytest.mark.parametrize(("difference", "refused"), [(5e-5, False), (3e-4, True), (float("nan"), True)])
def test_differing_logits_are_rejected_with_difference(difference: float, refused: bool) -> None:
    network = network_of(TINY)
    content = export.convert_to_onnx(network, TINY).SerializeToString()
    with torch.no_grad():
        scale = max(1.0, float(network(images(TINY, 3)).abs().max()))
        network.get_submodule("classifier").bias[3] += difference * scale

    if not refused:
        export.check_outputs(content, network, TINY)
        return
    with pytest.raises(export.ExportError, match=r"differ from PyTorch's by (nan|0\.000\d+)"):
        export.check_outputs(content, network, TINY)


def test_frozen_batch_size_is_rejected() -> None:
    network = network_of(TINY)
    model = export.convert_to_onnx(network, TINY)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1

    with pytest.raises(export.ExportError, match="cannot run the model with batch size 3"):
        export.check_outputs(model.SerializeToString(), network, TINY)


def test_latency_grows_with_the_network(tmp_path: Path) -> None:
    small, large = (
        export_files(network_of(config), config, tmp_path / name).latency
        for name, config in (("small", TINY), ("large", families.baseline("resnet18").adapt(10).baseline))
    )

    for result in (small, large):
        assert 0 < result.median_ms <= result.p95_ms
        assert (result.threads, result.batch) == (1, 1)
        assert result.runs >= 5
        assert result.runtime == f"onnxruntime {export.onnxruntime.__version__}"
    assert small.median_ms < large.median_ms


@pytest.mark.parametrize(("step", "runs"), [(1 / 64, 21), (10.0, 5)])
def test_latency_takes_one_second_and_five_runs(
    tmp_path: Path, step: float, runs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_files(network_of(TINY), TINY, tmp_path)
    monkeypatch.setattr(export, "MEASURED_SECONDS", 1.0)
    times = itertools.count(0.0, step)  # the clock is read before, at the start and at the end of each run

    result = export.measure_latency(tmp_path / "model.onnx", lambda: next(times))

    assert result.runs == runs
    assert result.median_ms == pytest.approx(1000 * step)


@pytest.fixture
def trained_trial(work: Callable[[], UnitOfWork], settings: Settings) -> Callable[[], dict[str, Any]]:
    """Trains a trial as a worker does, and returns its row, result and observation."""

    def train() -> dict[str, Any]:
        with work() as unit:
            recipe = PRESETS["digits-smoke"].model_copy(update={"crop_pct": 0.75})
            trial = requests.get_or_create(unit, requests.TrialPlan("tiny", TINY, DIGITS, recipe, 0))
            unit.commit()
            trial_id = trial.id
        run_trial.train_next_trial(settings, Heartbeat(settings, "a test"), trial_id)
        with work() as unit:
            row, observation = requests.find(unit, trial_id), unit.session.query(ObservationRow).one()
            assert row.result is not None
            return {"trial": row, "result": row.result.to_json(), "observation": observation}

    return train


def test_completed_trial_has_artifacts_and_latency(
    trained_trial: Callable[[], dict[str, Any]], settings: Settings
) -> None:
    done = trained_trial()

    assert done["trial"].state == "completed"
    result, observation = done["result"], done["observation"]
    assert set(result["latency"]) == {"median_ms", "p95_ms", "runs", "threads", "batch", "runtime"}
    assert "Conv" in result["operators"]
    assert "export_error" not in result
    assert observation.latency_ms == pytest.approx(result["latency"]["median_ms"])
    folder = artifacts.attempt_folder(settings.data_dir, done["trial"].id, done["trial"].artifacts.token)
    kept = torch.load(folder / "weights.pt", weights_only=True)
    read = export.load(folder / "weights.safetensors").state_dict()
    assert all(torch.equal(read[name], tensor) for name, tensor in kept.items())
    model = {p.key: p.value for p in onnx.load(folder / "model.onnx").metadata_props}
    assert json.loads(model["evaluation"])["crop_pct"] == result["crop_pct"] == 0.75
    assert len((folder / "log.csv").read_text().splitlines()) == 1 + len(result["history"])
    assert {"confusion.csv", "labels.txt"} <= set(done["trial"].artifacts.files)
    assert result["better_than_chance"] is True
    assert "warnings" not in result


def test_files_have_the_names_of_the_classes(tmp_path: Path) -> None:
    config = narrow(ONE_PER_FAMILY[0])
    names = tuple(f"class {number}" for number in range(config.num_classes))

    export.export(config, network_of(config).state_dict(), NORMALISATION, HISTORY, tmp_path, classes=names)

    assert (tmp_path / "labels.txt").read_text().splitlines() == list(names)
    with safe_open(tmp_path / "weights.safetensors", "pt") as opened:
        assert json.loads(opened.metadata()["classes"]) == list(names)
    properties = {one.key: one.value for one in onnx.load(tmp_path / "model.onnx").metadata_props}
    assert json.loads(properties["classes"]) == list(names)


@pytest.mark.parametrize(
    ("error", "message"),
    [(export.ExportError("too different"), "too different"), (OSError("disk"), "Unexpected OSError")],
)
def test_failed_export_does_not_lose_training(
    trained_trial: Callable[[], dict[str, Any]], monkeypatch: pytest.MonkeyPatch, error: Exception, message: str
) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(run_trial, "export", fail)

    done = trained_trial()

    assert done["trial"].state == "completed"
    assert done["observation"].accuracy == done["result"]["accuracy"]
    assert done["observation"].latency_ms is None
    assert done["result"]["export_error"].startswith(message)
    assert "latency" not in done["result"]
