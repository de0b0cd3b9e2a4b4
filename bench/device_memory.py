"""Peak activation memory as rdw counts it, beside what onnxruntime plans for the same network in float32.

For one or two baselines of each family: rdw's bytes, the block that onnxruntime reserves for the activations of a run,
and their ratio, with extended optimizations and with all. The block is the plan of onnxruntime's memory patterns, made
in the first run and allocated in the second; the log of its arena says how large it is. The image, which the caller
holds, is not in the block, and in rdw's peak only if that is at the first layer. Each network is measured in a process
of its own, since an arena keeps its memory.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable

import numpy as np
import onnxruntime

from app.scaling.families import baseline, network_cost
from app.scaling.network import Config
from app.scaling.resolution import sides_of
from worker.export import convert_to_onnx
from worker.networks import build

NETWORKS = (
    "efficientnet_b0",
    "efficientnet_lite0",
    "mobilenetv1_100",
    "mobilenetv2_100",
    "mobilenetv3_large_100",
    "mnasnet_100",
    "ghostnet_100",
    "lcnet_100",
    "resnet18",
    "resnet50",
    "regnetx_002",
    "regnety_002",
    "convnext_atto",
)
LEVELS = {
    "extended": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "all": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
}
_REQUESTED = re.compile(r"\(requested\) num_bytes: (\d+)")


def convert(config: Config) -> bytes:
    """Return the ONNX model of the network for one image."""
    model = convert_to_onnx(build(config).eval(), config)
    for value in (*model.graph.input, *model.graph.output):
        batch = value.type.tensor_type.shape.dim[0]
        batch.ClearField("dim_param")
        batch.dim_value = 1
    return model.SerializeToString()


def planned_bytes(config: Config, level: str) -> int:
    """Return the largest block that a second run allocates from onnxruntime's arena."""
    onnxruntime.set_default_logger_severity(0)
    arena = onnxruntime.OrtArenaCfg({"max_mem": 0, "arena_extend_strategy": 1, "initial_chunk_size_bytes": 1})
    memory = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    onnxruntime.create_and_register_allocator(memory, arena)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.use_env_allocators", "1")
    options.graph_optimization_level = LEVELS[level]
    session = onnxruntime.InferenceSession(convert(config), options, providers=["CPUExecutionProvider"])
    images = {"images": np.zeros((1, config.in_chans, *sides_of(config.resolution)), np.float32)}
    session.run(None, images)
    log = _capture_stderr(lambda: session.run(None, images))
    return max((int(size) for size in _REQUESTED.findall(log)), default=0)


def _capture_stderr(run: Callable[[], object]) -> str:
    """Return what C++ code writes to the standard error output meanwhile."""
    with tempfile.TemporaryFile() as file:
        saved = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            run()
        finally:
            os.dup2(saved, 2)
            os.close(saved)
        file.seek(0)
        return file.read().decode(errors="replace")


def _measure_in_process(name: str, level: str) -> int:
    command = [sys.executable, __file__, name, "--only", level]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    measured: int = json.loads(printed.splitlines()[-1])
    return measured


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=NETWORKS, help="baselines (default: some of each family)")
    parser.add_argument("--only", choices=LEVELS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        print(planned_bytes(baseline(arguments.networks[0]).baseline, arguments.only))
        return 0
    print(f"onnxruntime {onnxruntime.__version__}")
    print(f"{'network':24}{'rdw':>12}{'extended':>12}{'ratio':>7}{'all':>12}{'ratio':>7}")
    for name in arguments.networks:
        counted = network_cost(baseline(name).baseline).activation_bytes("float32")
        planned = [_measure_in_process(name, level) for level in LEVELS]
        columns = "".join(f"{size:12,}{size / counted:7.2f}" for size in planned)
        print(f"{name:24}{counted:12,}{columns}", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
