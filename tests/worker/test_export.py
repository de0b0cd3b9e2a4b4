"""What a training leaves is used without rdw: every file is opened by somebody else's program here."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import time
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
from safetensors.torch import load_file, save_file
from torch import nn

from app.datasets import DIGITS
from app.db.tables import ObservationRow
from app.db.unit_of_work import UnitOfWork
from app.recipes import PRESETS
from app.scaling import families
from app.scaling.architecture import Config
from app.services import artifacts, trials
from app.settings import Settings
from tests.worker.support import TINY
from tests.worker.test_training_families import OF_EACH, narrow
from worker import export
from worker import trials as worker_trials
from worker.images import Normalisation
from worker.leases import Heartbeat
from worker.networks import build
from worker.ssdlite import SSDLite

REBUILD = Path(__file__).parents[2] / "examples" / "rebuild.py"
NORMALISATION = Normalisation(mean=72.5, sd=90.25)
HISTORY = [
    {"epoch": 1, "train_loss": 2.25, "validation_accuracy": 0.125},
    {"epoch": 2, "train_loss": 1.5, "validation_accuracy": 0.5},
]


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "_WARM_UP_SECONDS", 0.01)
    monkeypatch.setattr(export, "_SECONDS", 0.05)


def network_of(config: Config) -> nn.Module:
    """With norms and biases as a training leaves them, so that each shows in the logits."""
    torch.manual_seed(0)
    network = build(config).to(memory_format=torch.channels_last).eval()
    for tensor in network.state_dict().values():
        if tensor.ndim == 1:
            nn.init.uniform_(tensor, 0.5, 1.5)
    return network


def exported(network: nn.Module, config: Config, folder: Path) -> export.Exported:
    return export.export(config, network.state_dict(), NORMALISATION, HISTORY, folder)


def images(config: Config, n: int) -> torch.Tensor:
    return torch.rand(n, config.in_chans, config.resolution, config.resolution, generator=torch.manual_seed(1))


def logits(network: nn.Module, batch: torch.Tensor) -> Any:
    with torch.inference_mode():
        return network(batch).numpy()


@pytest.mark.parametrize("name", OF_EACH)
def test_a_network_of_any_family_is_exported_and_read_back(tmp_path: Path, name: str) -> None:
    config = narrow(name)
    network = network_of(config)

    found = exported(network, config, tmp_path)

    again, state = export.load(tmp_path / "weights.safetensors"), network.state_dict()
    assert not again.training
    assert list(again.state_dict()) == list(state)
    assert all(torch.equal(tensor, state[name]) for name, tensor in again.state_dict().items())
    assert {"Conv", "Gemm"} <= set(found.operators) <= set(standard_operators())
    assert sorted(file.name for file in tmp_path.iterdir()) == ["log.csv", "model.onnx", "weights.safetensors"]


@pytest.mark.parametrize("name", OF_EACH)
def test_a_detector_of_any_family_is_exported_and_read_back(tmp_path: Path, name: str) -> None:
    config = replace(narrow(name), resolution=64)
    torch.manual_seed(0)
    detector = SSDLite(config).to(memory_format=torch.channels_last).eval()

    found = export.export(config, detector.state_dict(), NORMALISATION, HISTORY, tmp_path, "detection")

    again, state = export.load(tmp_path / "weights.safetensors"), detector.state_dict()
    assert isinstance(again, SSDLite) and not again.training
    assert all(torch.equal(tensor, state[name]) for name, tensor in again.state_dict().items())
    assert {"Conv", "Softmax"} <= set(found.operators) <= set(standard_operators())
    assert found.latency.median_ms > 0
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    for n in (1, 2, 5):  # a size that the export did not try
        batch = images(config, n)
        boxes, scores = session.run(["boxes", "scores"], {"images": batch.numpy()})
        with torch.inference_mode():
            expected = again.decoded(again(batch))
        assert np.abs(boxes - expected[0].numpy()).max() < 64e-4
        assert np.abs(scores - expected[1].numpy()).max() < 1e-4
        assert boxes.shape == (n, len(again.anchors), 4)
        assert scores.shape == (n, len(again.anchors), 10)
    metadata = {p.key: p.value for p in onnx.load(tmp_path / "model.onnx").metadata_props}
    assert metadata["task"] == "detection"


@pytest.mark.parametrize("part", ["regression_head", "classification_head"])
def test_boxes_and_scores_that_differ_from_pytorchs_are_refused(part: str) -> None:
    config = replace(narrow("efficientnet_b0"), resolution=64)
    detector = SSDLite(config).eval()
    content = export.converted(detector, config, "detection").SerializeToString()
    export.compare(content, detector, config, "detection")

    for parameter in getattr(detector.head, part).parameters():
        nn.init.normal_(parameter)

    wrong = "boxes" if part == "regression_head" else "scores"
    with pytest.raises(export.ExportError, match=f"ONNX's {wrong} differ from PyTorch's"):
        export.compare(content, detector, config, "detection")


def standard_operators() -> list[str]:
    return [schema.name for schema in onnx.defs.get_all_schemas() if schema.domain == ""]


# Reads the weights into what stock timm builds by the recipe, and runs the ONNX model; nothing of rdw's is imported.
ELSEWHERE = """
import json, sys
sys.path.insert(0, sys.argv[1])
from rebuild import rebuilt
import numpy, onnxruntime, safetensors, safetensors.torch, torch

torch.set_num_threads(1)
with safetensors.safe_open("weights.safetensors", "pt") as opened:
    config = json.loads(opened.metadata()["config"])
network = rebuilt(config["timm"]).eval()
network.load_state_dict(safetensors.torch.load_file("weights.safetensors"), strict=True)
images = numpy.load("images.npy")
with torch.inference_mode():
    numpy.save("timm.npy", network(torch.from_numpy(images)).numpy())
session = onnxruntime.InferenceSession("model.onnx")
numpy.save("onnx.npy", session.run(["logits"], {"images": images})[0])
assert not [name for name in sys.modules if name.partition(".")[0] in ("app", "worker")]
"""


@pytest.mark.parametrize("name", ["efficientnet_b0", "ghostnet_050", "regnetx_002"])
def test_stock_timm_and_onnxruntime_give_the_same_logits_in_a_program_without_rdw(tmp_path: Path, name: str) -> None:
    config = narrow(name)
    network, batch = network_of(config), images(narrow(name), 5)
    exported(network, config, tmp_path)
    np.save(tmp_path / "images.npy", batch.numpy())

    command = [sys.executable, "-I", "-c", ELSEWHERE, str(REBUILD.parent)]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)

    assert ran.returncode == 0, ran.stderr
    expected = logits(network, batch)
    assert np.abs(expected).max() > 0.01, "all nought would equal anything"
    assert np.load(tmp_path / "timm.npy") == pytest.approx(expected, rel=1e-5, abs=1e-6)
    assert np.load(tmp_path / "onnx.npy") == pytest.approx(expected, abs=1e-4 * max(1.0, float(np.abs(expected).max())))


def test_the_metadata_say_how_images_are_brought_in(tmp_path: Path) -> None:
    exported(network_of(TINY), TINY, tmp_path)

    with export.safe_open(tmp_path / "weights.safetensors", "pt") as opened:
        metadata = opened.metadata()
    of_model = {p.key: p.value for p in onnx.load(tmp_path / "model.onnx").metadata_props}

    config = json.loads(metadata["config"])
    assert (Config.from_json(config), config["timm"]) == (TINY, families.rebuild(TINY))
    assert json.loads(metadata["normalisation"]) == {"mean": 72.5, "sd": 90.25}
    assert metadata["torch"] == torch.__version__.partition("+")[0]
    assert metadata["rdw"]
    assert of_model == metadata


def test_the_log_has_a_row_an_epoch(tmp_path: Path) -> None:
    exported(network_of(TINY), TINY, tmp_path)

    rows = list(csv.DictReader((tmp_path / "log.csv").read_text().splitlines()))
    assert [{name: float(value) for name, value in row.items()} for row in rows] == HISTORY


def test_weights_that_are_damaged_anothers_or_without_a_config_are_refused(tmp_path: Path) -> None:
    exported(network_of(TINY), TINY, tmp_path)
    file = tmp_path / "weights.safetensors"
    with export.safe_open(file, "pt") as opened:
        metadata = opened.metadata()
    state = load_file(file)

    (cut := tmp_path / "cut.safetensors").write_bytes(file.read_bytes()[:-9])
    save_file(state, bare := tmp_path / "bare.safetensors")
    state.popitem()
    save_file(state, other := tmp_path / "other.safetensors", metadata)

    for broken, why in ((cut, "damaged"), (bare, "no config"), (other, "not those of its config")):
        with pytest.raises(export.ExportError, match=why):
            export.load(broken)


def planted(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with an operator of another domain at its end."""
    model.graph.node[-1].output[0] = "before"
    model.graph.node.append(helper.make_node("Swirl", ["before"], ["logits"], domain="com.example"))
    model.opset_import.append(helper.make_opsetid("com.example", 1))
    return model


def branching(inner: onnx.NodeProto) -> onnx.ModelProto:
    """A model whose only node beside an If is inside of it."""
    branch = helper.make_graph([inner], "branch", [], [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
    choice = helper.make_node("If", ["which"], ["y"], then_branch=branch, else_branch=branch)
    which = helper.make_tensor_value_info("which", TensorProto.BOOL, [])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    return helper.make_model(helper.make_graph([choice], "whole", [which], [out]))


def test_an_operator_of_another_domain_is_refused_and_no_model_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = network_of(TINY)
    exported(network, TINY, tmp_path)
    converted = export.converted
    monkeypatch.setattr(export, "converted", lambda *given: planted(converted(*given)))

    with pytest.raises(export.ExportError, match=r"com\.example\.Swirl"):
        exported(network, TINY, tmp_path)

    assert sorted(file.name for file in tmp_path.iterdir()) == ["log.csv", "weights.safetensors"]


def test_a_model_with_other_logits_is_not_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    converted = export.converted

    def off(*given: Any) -> onnx.ModelProto:
        model = converted(*given)
        (bias,) = [tensor for tensor in model.graph.initializer if tensor.name == "classifier.bias"]
        bias.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(bias) + 1, bias.name))
        return model

    monkeypatch.setattr(export, "converted", off)

    with pytest.raises(export.ExportError, match="differ from PyTorch's by"):
        exported(network_of(TINY), TINY, tmp_path)

    assert not (tmp_path / "model.onnx").exists()


def test_operators_are_looked_for_inside_of_others_and_known_by_name() -> None:
    assert export.operators(branching(helper.make_node("Relu", ["x"], ["y"]))) == ["If", "Relu"]
    for special in (
        helper.make_node("Relu", ["x"], ["y"], domain="com.microsoft"),
        helper.make_node("Swirl", ["x"], ["y"]),
    ):
        with pytest.raises(export.ExportError, match=special.op_type):
            export.operators(branching(special))


def test_functions_of_a_model_are_looked_into_as_well() -> None:
    model = branching(helper.make_node("Relu", ["x"], ["y"]))
    swirl = helper.make_node("Swirl", ["x"], ["y"], domain="com.example")
    model.functions.append(helper.make_function("", "Relu", ["x"], ["y"], [swirl], [helper.make_opsetid("", 18)]))

    with pytest.raises(export.ExportError, match="Swirl"):
        export.operators(model)


@pytest.mark.parametrize(("by", "refused"), [(5e-5, False), (3e-4, True), (float("nan"), True)])
def test_logits_that_differ_are_refused_with_the_difference(by: float, refused: bool) -> None:
    network = network_of(TINY)
    content = export.converted(network, TINY).SerializeToString()
    with torch.no_grad():
        scale = max(1.0, float(network(images(TINY, 3)).abs().max()))
        network.get_submodule("classifier").bias[3] += by * scale

    if not refused:
        export.compare(content, network, TINY)
        return
    with pytest.raises(export.ExportError, match=r"differ from PyTorch's by (nan|0\.000\d+)"):
        export.compare(content, network, TINY)


def test_a_batch_size_that_was_frozen_is_refused() -> None:
    network = network_of(TINY)
    model = export.converted(network, TINY)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1

    with pytest.raises(export.ExportError, match="does not run the model at batch 3"):
        export.compare(model.SerializeToString(), network, TINY)


def test_latency_is_of_one_image_and_grows_with_the_network(tmp_path: Path) -> None:
    small, large = (
        exported(network_of(config), config, tmp_path / name).latency
        for name, config in (("small", TINY), ("large", families.baseline("resnet18").for_classes(10).baseline))
    )

    for found in (small, large):
        assert 0 < found.median_ms <= found.p95_ms
        assert (found.threads, found.batch) == (1, 1)
        assert found.runs >= 5
        assert found.runtime == f"onnxruntime {export.onnxruntime.__version__}"
    assert small.median_ms < large.median_ms


def test_latency_takes_the_time_that_it_is_given_however_small_the_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported(network_of(TINY), TINY, tmp_path)
    monkeypatch.setattr(export, "_SECONDS", 1.0)  # tens of thousands of runs

    began = time.monotonic()
    export.latency(tmp_path / "model.onnx")

    assert time.monotonic() - began < 1.5


@pytest.fixture
def trained_trial(work: Callable[[], UnitOfWork], settings: Settings) -> Callable[[], dict[str, Any]]:
    """Trains a trial as a worker does; its row and observation."""

    def train() -> dict[str, Any]:
        with work() as unit:
            trial = trials.request(unit, trials.Plan("tiny", TINY, DIGITS, PRESETS["digits-smoke"], 0))
            unit.commit()
            trial_id = trial.id
        worker_trials.train_trial(settings, Heartbeat(settings, "a test"), trial_id)
        with work() as unit:
            row, observation = trials.find(unit, trial_id), unit.session.query(ObservationRow).one()
            return {"trial": row, "result": row.result, "observation": observation}

    return train


def test_a_worker_leaves_the_artifacts_and_the_latency_with_the_observation(
    trained_trial: Callable[[], dict[str, Any]], settings: Settings
) -> None:
    done = trained_trial()

    assert done["trial"].state == "completed"
    result, observation = done["result"], done["observation"]
    assert set(result["latency"]) == {"median_ms", "p95_ms", "runs", "threads", "batch", "runtime"}
    assert "Conv" in result["operators"]
    assert "export_error" not in result
    assert observation.latency_ms == pytest.approx(result["latency"]["median_ms"])
    folder = artifacts.folder(settings.data_dir, done["trial"].id)
    kept = torch.load(folder.parent / "weights.pt", weights_only=True)
    read = export.load(folder / "weights.safetensors").state_dict()
    assert all(torch.equal(read[name], tensor) for name, tensor in kept.items())
    assert len((folder / "log.csv").read_text().splitlines()) == 1 + len(result["history"])


@pytest.mark.parametrize(
    ("error", "said"), [(export.ExportError("too different"), "too different"), (OSError("disk"), "Unexpected OSError")]
)
def test_an_export_that_fails_does_not_lose_the_training(
    trained_trial: Callable[[], dict[str, Any]], monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(worker_trials, "export", fail)

    done = trained_trial()

    assert done["trial"].state == "completed"
    assert done["observation"].accuracy == done["result"]["accuracy"]
    assert done["observation"].latency_ms is None
    assert done["result"]["export_error"].startswith(said)
    assert "latency" not in done["result"]
