"""What a finished training leaves for others: its weights, an ONNX model that was checked, its history."""

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

from app.datasets import Task
from app.scaling import families
from app.scaling.architecture import Config
from worker import checkpoints
from worker.images import Normalisation
from worker.networks import build
from worker.ssdlite import Decoded, SSDLite

_TOLERANCE = 1e-4  # the greatest difference of an output, relative to the largest value where that is above 1
_BATCHES = (1, 3)  # two sizes: a batch axis that was frozen shows
_STANDARD = ("", "ai.onnx")  # two names of one domain
_OPSET = 18
_WARM_UP_SECONDS, _SECONDS, _FEWEST_RUNS = 0.2, 1.0, 5


class ExportError(Exception):
    """The network cannot be handed on as it should be; the message says why."""


@dataclass(frozen=True)
class _Form:
    """What networks of a task are as files: how they are built, what of them is in ONNX, its outputs' names."""

    build: Callable[[Any], nn.Module]
    whole: Callable[[nn.Module], nn.Module]
    outputs: tuple[str, ...]


_FORMS: dict[Task, _Form] = {
    "classification": _Form(build, lambda network: network, ("logits",)),
    "detection": _Form(SSDLite, Decoded, ("boxes", "scores")),
}


@dataclass(frozen=True)
class Latency:
    """Milliseconds for one image in onnxruntime on one thread of this machine, over so many runs."""

    median_ms: float
    p95_ms: float
    runs: int
    threads: int
    batch: int
    runtime: str


@dataclass(frozen=True)
class Exported:
    """How fast the ONNX model is, and the operators that it uses, sorted."""

    latency: Latency
    operators: list[str]


def export(
    config: Config,
    state: dict[str, torch.Tensor],
    normalisation: Normalisation,
    history: list[dict[str, float]],
    folder: Path,
    task: Task = "classification",
) -> Exported:
    """Leave `weights.safetensors`, `log.csv` and, once it has passed its checks, `model.onnx` in the folder.

    `state` is the trained network's state_dict, `history` has a row an epoch. Each file is whole or absent.
    Raises: ExportError where ONNX's outputs differ from PyTorch's, or an operator is not of the ONNX standard.
    """
    network = _FORMS[task].build(config)
    network.load_state_dict(state)
    network.eval()
    metadata = _metadata(config, normalisation, task)
    tensors = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    _write(folder / "weights.safetensors", save(tensors, metadata))
    _write(folder / "log.csv", _csv(history))
    (folder / "model.onnx").unlink(missing_ok=True)  # an earlier attempt's: it has other weights
    model = converted(network, config, task)
    used = operators(model)
    onnx.helper.set_model_props(model, metadata)
    content = model.SerializeToString()
    compare(content, network, config, task)
    _write(folder / "model.onnx", content)
    return Exported(latency(folder / "model.onnx"), used)


def load(file: Path) -> nn.Module:
    """The network of a `weights.safetensors`, rebuilt from the config in its metadata, ready to use.

    Of a classifier what `worker.networks.build` gives, of a detector an `SSDLite`.

    Raises: ExportError where the file is damaged, has no config, or the weights are not that network's.
    """
    try:
        with safe_open(file, "pt") as opened:
            metadata = opened.metadata() or {}
            state = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ExportError(f"{file.name} is damaged: {error}") from error
    if "config" not in metadata:
        raise ExportError(f"{file.name} has no config in its metadata: it is not one of rdw's.")
    form = _FORMS["detection" if metadata.get("task") == "detection" else "classification"]
    network = form.build(Config.from_json(json.loads(metadata["config"])))
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise ExportError(f"The weights in {file.name} are not those of its config: {error}") from error
    return network.eval()


def converted(network: nn.Module, config: Config, task: Task = "classification") -> onnx.ModelProto:
    """The network as ONNX: float32 `images` [batch, in_chans, px, px] to `logits` [batch, num_classes].

    A detector gives `boxes` [batch, anchors, 4], px of the input, and `scores` [batch, anchors, num_classes]: all of
    them, since non-maximum suppression is the user's affair.

    Raises: ExportError where PyTorch cannot convert it.
    """
    # By tracing: .1 to 3 s a network, where torch.export takes 2 to 14 s even for the smallest.
    form = _FORMS[task]
    with TemporaryDirectory() as place, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        target = Path(place) / "model.onnx"
        try:
            torch.onnx.export(
                form.whole(network).eval(),
                (_images(config, 2),),
                target,
                dynamo=False,
                opset_version=_OPSET,
                input_names=["images"],
                output_names=list(form.outputs),
                dynamic_axes={name: {0: "batch"} for name in ("images", *form.outputs)},
            )
        except (RuntimeError, torch.onnx.errors.OnnxExporterError) as error:
            raise ExportError(f"PyTorch cannot convert the network to ONNX: {error}") from error
        return onnx.load(target)


def operators(model: onnx.ModelProto) -> list[str]:
    """The names of the operators used, subgraphs' and functions' too, sorted.

    Raises: ExportError where one is of another domain than the ONNX standard's, or the standard does not know it.
    """
    nodes = list(_nodes(model.graph.node))
    for function in model.functions:
        nodes += _nodes(function.node)
    special = sorted(
        {
            f"{node.domain or 'ai.onnx'}.{node.op_type}"
            for node in nodes
            if node.domain not in _STANDARD or not onnx.defs.has(node.op_type)
        }
    )
    if special:
        raise ExportError(f"Operators that are not of the ONNX standard: {', '.join(special)}.")
    return sorted({node.op_type for node in nodes})


def compare(content: bytes, network: nn.Module, config: Config, task: Task = "classification") -> None:
    """Random images through onnxruntime and PyTorch.

    Raises: ExportError where an output differs by more than 1e-4 (relative to its largest value where that is above 1),
    or onnxruntime does not run the model at each batch size.
    """
    form = _FORMS[task]
    whole = form.whole(network).eval()
    for batch in _BATCHES:
        images = _images(config, batch)
        with torch.inference_mode():
            expected = whole(images)
        try:
            found = _session(content).run(list(form.outputs), {"images": images.numpy()})
        except Exception as error:  # its errors have no base of their own
            raise ExportError(f"onnxruntime does not run the model at batch {batch}: {error}") from error
        tensors = (expected,) if isinstance(expected, torch.Tensor) else expected
        for name, values, tensor in zip(form.outputs, found, tensors, strict=True):
            _alike(name, values, tensor.numpy(), batch)


def _alike(name: str, found: np.ndarray[Any, Any], expected: np.ndarray[Any, Any], batch: int) -> None:
    if found.shape != expected.shape:
        raise ExportError(f"ONNX gives {name} of shape {found.shape}, PyTorch {expected.shape}.")
    difference = float(np.abs(found - expected).max() / max(1.0, float(np.abs(expected).max())))
    if not difference <= _TOLERANCE:  # NaN, too, is refused
        raise ExportError(
            f"ONNX's {name} differ from PyTorch's by {difference:.2g} at batch {batch}; {_TOLERANCE:g} is allowed."
        )


def latency(file: Path) -> Latency:
    """Of an ONNX file, warm: for one second, and at least five runs."""
    session = _session(file.read_bytes())
    (images,) = session.get_inputs()
    feed = {images.name: np.random.default_rng(0).standard_normal((1, *images.shape[1:]), dtype=np.float32)}
    _timed(session, feed, _WARM_UP_SECONDS)
    taken = _timed(session, feed, _SECONDS)
    median, p95 = np.percentile(taken, (50, 95))
    return Latency(float(median), float(p95), len(taken), 1, 1, f"onnxruntime {onnxruntime.__version__}")


def _timed(session: onnxruntime.InferenceSession, feed: dict[str, Any], seconds: float) -> list[float]:
    """Milliseconds of each run."""
    taken: list[float] = []
    deadline = time.perf_counter() + seconds
    while time.perf_counter() < deadline or len(taken) < _FEWEST_RUNS:
        began = time.perf_counter()
        session.run(None, feed)
        taken.append(1000 * (time.perf_counter() - began))
    return taken


def _session(content: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _images(config: Config, batch: int) -> torch.Tensor:
    """Random ones, the same each time, normalised."""
    random = torch.Generator().manual_seed(batch)
    return torch.randn(batch, config.in_chans, config.resolution, config.resolution, generator=random)


def _nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """The nodes and those of the graphs inside them."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from _nodes(graph.node)


def _metadata(config: Config, normalisation: Normalisation, task: Task) -> dict[str, str]:
    """What one needs to use the weights: `normalisation` is of pixels from 0 to 255, all channels alike."""
    return {
        "format": "pt",
        "task": task,
        "config": json.dumps({**config.to_json(), "timm": families.rebuild(config)}),
        "normalisation": json.dumps({"mean": normalisation.mean, "sd": normalisation.sd}),
        **{name: version(name) for name in ("rdw", "torch", "timm")},
    }


def _csv(history: list[dict[str, float]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(history[0]))
    writer.writeheader()
    writer.writerows(history)
    return text.getvalue().encode()


def _write(file: Path, content: bytes) -> None:
    with checkpoints.whole(file) as opened:
        opened.write(content)
