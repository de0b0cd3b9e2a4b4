"""The files of a finished training: its weights, a checked ONNX model, and its history."""

from __future__ import annotations

import csv
import io
import json
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from app.core.trials import Latency
from app.data.builtin_datasets import Task
from app.scaling import families
from app.scaling.network import Config
from app.scaling.resolution import resolution_json, to_resolution
from worker.atomic_files import replace_atomically
from worker.data.preprocessing import Normalisation, resize_px
from worker.networks import build
from worker.onnx_profile import open_session
from worker.training.ssdlite import DecodedSSDLite, SSDLite

_TOLERANCE = 1e-4  # the maximum difference of an output, relative to the largest value if that is above 1
_BATCH_SIZES = (1, 3)  # two sizes reveal a frozen batch axis
_STANDARD_DOMAINS = ("", "ai.onnx")  # two names of one domain
_OPSET = 18
WARM_UP_SECONDS, MEASURED_SECONDS, MIN_RUNS = 0.2, 1.0, 5


class ExportError(Exception):
    """The network cannot be exported correctly; the message says why."""


@dataclass(frozen=True)
class _ExportFormat:
    """How networks of a task are built and wrapped for ONNX, and the names of the outputs."""

    build: Callable[[Any], nn.Module]
    wrap: Callable[[nn.Module], nn.Module]
    outputs: tuple[str, ...]


def _wrap_detector(network: nn.Module) -> nn.Module:
    assert isinstance(network, SSDLite)
    return DecodedSSDLite(network)


_FORMATS: dict[Task, _ExportFormat] = {
    "classification": _ExportFormat(build, lambda network: network, ("logits",)),
    "detection": _ExportFormat(SSDLite, _wrap_detector, ("boxes", "scores")),
}


@dataclass(frozen=True)
class ExportResult:
    """The latency of the ONNX model and the sorted names of its operators."""

    latency: Latency
    operators: list[str]


def export(
    config: Config,
    state: dict[str, torch.Tensor],
    normalisation: Normalisation,
    history: list[dict[str, float]],
    folder: Path,
    task: Task = "classification",
    classes: tuple[str, ...] = (),
    crop_pct: float = 1.0,
) -> ExportResult:
    """Write `weights.safetensors`, `log.csv`, `labels.txt` and, if it passes its checks, `model.onnx` to the folder.

    `state` is the trained network's state_dict; `history` has one row per epoch; `classes` has the names of the
    outputs, one of which is in each line of `labels.txt` and which are a JSON list in the metadata; `crop_pct` is that
    of the evaluation. Each file is complete or absent.
    Raises: ExportError if ONNX's outputs differ from PyTorch's, or an operator is not in the ONNX standard.
    """
    network = _FORMATS[task].build(config)
    network.load_state_dict(state)
    network.eval()
    metadata = _metadata(config, normalisation, task, classes, crop_pct)
    tensors = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    _write(folder / "weights.safetensors", save(tensors, metadata))
    _write(folder / "log.csv", _to_csv(history))
    if classes:
        _write(folder / "labels.txt", "".join(f"{name}\n" for name in classes).encode())
    (folder / "model.onnx").unlink(missing_ok=True)  # an earlier export's model has other weights
    model = convert_to_onnx(network, config, task)
    operators = list_operators(model)
    onnx.helper.set_model_props(model, metadata)
    content = model.SerializeToString()
    check_outputs(content, network, config, task)
    _write(folder / "model.onnx", content)
    return ExportResult(measure_latency(folder / "model.onnx"), operators)


def load(file: Path) -> nn.Module:
    """Rebuild the network of a `weights.safetensors` from the config in its metadata, in evaluation mode.

    A classifier is a network of `worker.networks.build`, a detector an `SSDLite`.

    Raises: ExportError if the file is damaged, has no config, or the weights do not fit the config.
    """
    try:
        with safe_open(file, "pt") as opened:
            metadata = opened.metadata() or {}
            state = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ExportError(f"{file.name} is damaged: {error}") from error
    if "config" not in metadata:
        raise ExportError(f"{file.name} was not written by rdw: it has no config in its metadata.")
    export_format = _FORMATS["detection" if metadata.get("task") == "detection" else "classification"]
    network = export_format.build(Config.from_json(json.loads(metadata["config"])))
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise ExportError(f"The weights in {file.name} do not fit its config: {error}") from error
    return network.eval()


def convert_to_onnx(network: nn.Module, config: Config, task: Task = "classification") -> onnx.ModelProto:
    """Convert the network to ONNX: float32 `images` [batch, in_chans, height, width] to `logits` [batch, num_classes].

    A detector has `boxes` [batch, anchors, 4] in pixels of the input and `scores` [batch, anchors, num_classes], both
    before non-maximum suppression.

    Raises: ExportError if PyTorch cannot convert it.
    """
    # Tracing takes 0.1 to 3 s per network; torch.export takes 2 to 14 s even for the smallest.
    export_format = _FORMATS[task]
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        file = Path(folder) / "model.onnx"
        try:
            torch.onnx.export(
                export_format.wrap(network).eval(),
                (_random_images(config, 2),),
                file,
                dynamo=False,
                opset_version=_OPSET,
                input_names=["images"],
                output_names=list(export_format.outputs),
                dynamic_axes={name: {0: "batch"} for name in ("images", *export_format.outputs)},
            )
        except (RuntimeError, torch.onnx.errors.OnnxExporterError) as error:
            raise ExportError(f"PyTorch cannot convert the network to ONNX: {error}") from error
        return onnx.load(file)


def list_operators(model: onnx.ModelProto) -> list[str]:
    """Return the sorted names of the operators used, including those in subgraphs and functions.

    Raises: ExportError if an operator is not in the ONNX standard.
    """
    nodes = list(_walk_nodes(model.graph.node))
    for function in model.functions:
        nodes += _walk_nodes(function.node)
    nonstandard = {
        f"{node.domain or 'ai.onnx'}.{node.op_type}"
        for node in nodes
        if node.domain not in _STANDARD_DOMAINS or not onnx.defs.has(node.op_type)
    }
    if nonstandard:
        raise ExportError(f"Operators that are not in the ONNX standard: {', '.join(sorted(nonstandard))}.")
    return sorted({node.op_type for node in nodes})


def check_outputs(content: bytes, network: nn.Module, config: Config, task: Task = "classification") -> None:
    """Compare the outputs of onnxruntime and PyTorch for random images.

    Raises: ExportError if an output differs by more than 1e-4 (relative to its largest value if that is above 1), or
    onnxruntime cannot run the model with each batch size.
    """
    export_format = _FORMATS[task]
    wrapped = export_format.wrap(network).eval()
    for batch_size in _BATCH_SIZES:
        images = _random_images(config, batch_size)
        with torch.inference_mode():
            expected = wrapped(images)
        try:
            outputs = open_session(content).run(list(export_format.outputs), {"images": images.numpy()})
        except Exception as error:  # onnxruntime's errors have no base class
            raise ExportError(f"onnxruntime cannot run the model with batch size {batch_size}: {error}") from error
        tensors = (expected,) if isinstance(expected, torch.Tensor) else expected
        for name, values, tensor in zip(export_format.outputs, outputs, tensors, strict=True):
            _check_close(name, values, tensor.numpy(), batch_size)


def _check_close(name: str, values: np.ndarray[Any, Any], expected: np.ndarray[Any, Any], batch_size: int) -> None:
    if values.shape != expected.shape:
        raise ExportError(f"The shape of ONNX's {name} is {values.shape}, but that of PyTorch's is {expected.shape}.")
    difference = float(np.abs(values - expected).max() / max(1.0, float(np.abs(expected).max())))
    if not difference <= _TOLERANCE:  # also true for NaN
        raise ExportError(
            f"ONNX's {name} differ from PyTorch's by {difference:.2g} with batch size {batch_size}; "
            f"at most {_TOLERANCE:g} is allowed."
        )


def measure_latency(file: Path, clock: Callable[[], float] = time.perf_counter) -> Latency:
    """Measure the latency of an ONNX model after a warm-up, for one second and at least five runs."""
    session = open_session(file.read_bytes())
    (images,) = session.get_inputs()
    feed = {images.name: np.random.default_rng(0).standard_normal((1, *images.shape[1:]), dtype=np.float32)}
    _time_runs(session, feed, WARM_UP_SECONDS, clock)
    milliseconds = _time_runs(session, feed, MEASURED_SECONDS, clock)
    median, p95 = np.percentile(milliseconds, (50, 95))
    return Latency(float(median), float(p95), len(milliseconds), 1, 1, f"onnxruntime {onnxruntime.__version__}")


def _time_runs(
    session: onnxruntime.InferenceSession, feed: dict[str, Any], seconds: float, clock: Callable[[], float]
) -> list[float]:
    """Return the milliseconds of each run."""
    milliseconds: list[float] = []
    deadline = clock() + seconds
    while clock() < deadline or len(milliseconds) < MIN_RUNS:
        start = clock()
        session.run(None, feed)
        milliseconds.append(1000 * (clock() - start))
    return milliseconds


def _random_images(config: Config, batch_size: int) -> torch.Tensor:
    """Return normalised random images, the same ones each time."""
    generator = torch.Generator().manual_seed(batch_size)
    return torch.randn(batch_size, config.in_chans, *config.sides, generator=generator)


def _walk_nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """Yield the nodes and those of the graphs inside them."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from _walk_nodes(graph.node)


def _metadata(
    config: Config, normalisation: Normalisation, task: Task, classes: tuple[str, ...], crop_pct: float
) -> dict[str, str]:
    """Describe how to use the weights; `normalisation` is by channel, for pixels from 0 to 255.

    `evaluation` says how images were fed: resized to `resize_px`, of which the centre of `px` was cropped; each is
    the side of a square, or height and width.
    """
    resized = to_resolution([resize_px(side, crop_pct) for side in config.sides])
    evaluation = {
        "crop_pct": crop_pct,
        "resize_px": resolution_json(resized),
        "px": resolution_json(config.resolution),
    }
    return {
        "format": "pt",
        "task": task,
        "config": json.dumps({**config.to_json(), "timm": families.rebuild_recipe(config)}),
        "normalisation": json.dumps(normalisation.to_json()),
        "evaluation": json.dumps(evaluation),
        **({"classes": json.dumps(classes)} if classes else {}),
        **{name: version(name) for name in ("rdw", "torch", "timm")},
    }


def _to_csv(history: list[dict[str, float]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(history[0]))
    writer.writeheader()
    writer.writerows(history)
    return text.getvalue().encode()


def _write(file: Path, content: bytes) -> None:
    with replace_atomically(file) as opened:
        opened.write(content)
