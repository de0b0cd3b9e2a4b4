"""Measures an ONNX model in onnxruntime, as a whole and by node, on one core. It imports nothing else of rdw."""

from __future__ import annotations

import json
import math
import os
import platform
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

FORMAT = 1
_MIN_RUNS, _MAX_RUNS = 6, 1000
_MIN_WARM_UP_RUNS = 2
_RUNS_BETWEEN_CHECKS = 20
_WARM_UP = 0.3  # of the longest time to measure
_FASTEST = 0.25  # the share of runs whose mean is the latency
_MAX_HALF_WIDTH = 0.01  # of the 95 % interval of the median, relative to it
_FIFO_PRIORITY = 1  # any real-time priority precedes all processes that have none
_VECTOR_INSTRUCTIONS = ("avx512f", "avx2", "asimd")  # the first that a processor has is named
_PROCESSORS = Path("/proc/cpuinfo")


class ProfileError(Exception):
    """The model cannot be measured; the message says why."""


def profile(
    model: bytes, *, max_seconds: float = 0.5, with_nodes: bool = True, real_time: bool = True
) -> dict[str, Any]:
    """Return the latency of the model for one image, and of each of its nodes, as plain data.

    It runs until the interval of the median is narrow, for at most `max_seconds` or the fewest runs, whichever takes
    longer; then as often and at most as long with onnxruntime's profiler, if `with_nodes`. `ms` is the mean of the
    fastest quarter of the runs, which other processes disturb least; on an idle machine it is within a few percent of
    `median_ms`. `nodes` are in the order in which they run, each with its operator, the shapes of its inputs and of its
    output, and its own `ms`.

    The times of runs are those of the thread on the processor. With `real_time`, it also precedes all other processes
    on its core if it may.

    Raises: ProfileError.
    """
    session = _load(model)
    feed = _random_input(session)
    nodes: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        profiled = _load(model, Path(folder) / "profile") if with_nodes else None
        with _one_core(real_time) as scheduling:
            _warm_up(session, feed, _WARM_UP * max_seconds)
            seconds = _time_runs(session, feed, max_seconds)
            if profiled is not None:
                warm_up_runs = _warm_up(profiled, feed, _WARM_UP * max_seconds)
                _run(profiled, feed, len(seconds), max_seconds)
        if profiled is not None:
            events = json.loads(Path(profiled.end_profiling()).read_text())
            nodes = _nodes(events, warm_up_runs)
    return {
        "format": FORMAT,
        "runtime": f"onnxruntime {onnxruntime.__version__}",
        "provider": "CPUExecutionProvider",
        "processor": describe_processor(),
        "threads": 1,
        "precision": "float32",
        "scheduling": scheduling,
        "runs": len(seconds),
        "ms": 1000 * float(_mean_of_fastest(np.array(seconds))),
        "median_ms": 1000 * float(np.median(seconds)),
        "p90_ms": 1000 * float(np.quantile(seconds, 0.9)),
        "nodes": nodes,
    }


def describe_processor() -> str:
    """Return the processor's model and vector instructions; outside of Linux, the name of the architecture."""
    text = _PROCESSORS.read_text() if _PROCESSORS.is_file() else ""
    model = re.search(r"model name\s*: (.+)", text)
    vector = next((name for name in _VECTOR_INSTRUCTIONS if re.search(rf"\b{name}\b", text)), None)
    return ", ".join(filter(None, (model[1].strip() if model else platform.machine(), vector)))


def open_session(model: bytes, profile_prefix: Path | None = None) -> onnxruntime.InferenceSession:
    """Return a session on the CPU with one thread; with `profile_prefix`, one that writes a profile to such a file."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    if profile_prefix is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile_prefix)
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _load(model: bytes, profile_prefix: Path | None = None) -> onnxruntime.InferenceSession:
    """Open a session. Raises: ProfileError."""
    try:
        return open_session(model, profile_prefix)
    except Exception as error:  # onnxruntime's errors have no base class
        raise ProfileError(f"onnxruntime cannot load the model: {error}") from error


def _random_input(session: onnxruntime.InferenceSession) -> dict[str, Any]:
    inputs = session.get_inputs()
    if len(inputs) != 1 or inputs[0].type != "tensor(float)":
        raise ProfileError("The model must have one input, of float32 images.")
    _, *shape = inputs[0].shape
    if len(shape) != 3 or not all(isinstance(side, int) for side in shape):
        raise ProfileError("The input must have the shape [batch, channels, height, width], all but the batch fixed.")
    return {inputs[0].name: np.random.default_rng(0).standard_normal((1, *shape), dtype=np.float32)}


@contextmanager
def _one_core(real_time: bool) -> Iterator[str]:
    """Keep the thread on one core, before all other processes if it should and may; yield the scheduling."""
    if not hasattr(os, "sched_setaffinity"):
        yield "normal"
        return
    cores, policy, parameters = os.sched_getaffinity(0), os.sched_getscheduler(0), os.sched_getparam(0)
    os.sched_setaffinity(0, {max(cores)})
    scheduling = "normal"
    try:
        if real_time:
            with suppress(PermissionError):
                os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(_FIFO_PRIORITY))
                scheduling = "fifo"
        yield scheduling
    finally:
        os.sched_setscheduler(0, policy, parameters)
        os.sched_setaffinity(0, cores)


def _warm_up(session: onnxruntime.InferenceSession, feed: dict[str, Any], seconds: float) -> int:
    """Run the model for that long and return how often."""
    deadline, runs = time.perf_counter() + seconds, 0
    while time.perf_counter() < deadline or runs < _MIN_WARM_UP_RUNS:
        session.run(None, feed)
        runs += 1
    return runs


def _time_runs(session: onnxruntime.InferenceSession, feed: dict[str, Any], max_seconds: float) -> list[float]:
    """Return the seconds of each run."""
    seconds: list[float] = []
    deadline = time.perf_counter() + max_seconds
    while len(seconds) < _MAX_RUNS:
        start = time.thread_time()
        session.run(None, feed)
        seconds.append(time.thread_time() - start)
        is_checked = len(seconds) % _RUNS_BETWEEN_CHECKS == 0
        if len(seconds) >= _MIN_RUNS and (time.perf_counter() > deadline or (is_checked and is_narrow(seconds))):
            break
    return seconds


def _run(session: onnxruntime.InferenceSession, feed: dict[str, Any], max_runs: int, max_seconds: float) -> None:
    deadline = time.perf_counter() + max_seconds
    for run in range(max_runs):
        if run >= _MIN_RUNS and time.perf_counter() > deadline:
            return
        session.run(None, feed)


def is_narrow(seconds: list[float]) -> bool:
    """Return whether the 95 % interval of the median, between two order statistics, is within 1 % of it."""
    ordered, n = sorted(seconds), len(seconds)
    margin = 1.96 * math.sqrt(n) / 2
    low, high = ordered[max(0, math.floor(n / 2 - margin))], ordered[min(n - 1, math.ceil(n / 2 + margin))]
    return high - low <= 2 * _MAX_HALF_WIDTH * ordered[n // 2]


def _mean_of_fastest(times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of the fastest runs, along the first axis."""
    fastest = np.sort(times, axis=0)[: math.ceil(_FASTEST * len(times))]
    return np.asarray(fastest.mean(0))


def _nodes(events: list[dict[str, Any]], warm_up_runs: int) -> list[dict[str, Any]]:
    """Return the nodes of a run from the events of all."""
    runs = sum(event["name"] == "model_run" for event in events)
    timed = [event for event in events if event["cat"] == "Node" and event["name"].endswith("_kernel_time")]
    timed.sort(key=lambda event: int(event["ts"]))
    n = len(timed) // runs
    warm = timed[warm_up_runs * n :]
    milliseconds = _mean_of_fastest(np.array([event["dur"] for event in warm], float).reshape(-1, n) / 1000)
    return [
        {
            "op": event["args"]["op_name"],
            "inputs": _shapes(event["args"]["input_type_shape"]),
            "output": _shapes(event["args"]["output_type_shape"])[0],
            "ms": round(ms, 6),
        }
        for event, ms in zip(warm, milliseconds.tolist(), strict=False)
    ]


def _shapes(typed: list[dict[str, list[int]]]) -> list[list[int]]:
    return [shape for tensor in typed for shape in tensor.values()]
