"""How well a latency model predicts networks that it has not seen, beside 'proportional to FLOPs'.

Random networks (r, d and w, of .1 to 1 of their baseline's multiply-adds) of all families are measured in onnxruntime
on one thread, in rounds, so that a busy minute spoils no network. The model is fitted on the first ones, with the time
of each node, and predicts the others, of which only the whole is measured. FLOPs get the factor that fits them best on
the first networks.

The networks are those of bench/recorded/latency.jsonl, or with --record they are measured here, in about a quarter of
an hour; the next run with the same file measures only what is missing. With --real-time the measurement precedes all
other processes on one core, for up to .3 s per network and round.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from app.scaling.families import baseline, flops_of, network_cost
from app.scaling.latency.model import LatencyBatch, LatencyError, LatencyModel, MeasuredNetwork, fit_latency_model
from app.scaling.latency.profiles import layer_milliseconds
from app.scaling.network import Config, Multipliers
from worker.export import convert_to_onnx
from worker.networks import build
from worker.onnx_profile import profile

RECORDED = Path(__file__).parent / "recorded" / "latency.jsonl"
BASELINES = (
    "efficientnet_b0",
    "efficientnet_lite0",
    "mobilenetv1_100",
    "mobilenetv2_100",
    "mobilenetv3_large_100",
    "mnasnet_100",
    "semnasnet_100",
    "ghostnet_100",
    "lcnet_100",
    "fbnetc_100",
    "hardcorenas_a",
    "resnet18",
    "resnet50",
    "resnext50_32x4d",
    "regnetx_004",
    "regnety_004",
    "convnext_atto",
    "convnext_tiny",
)
FITTED, HELD_OUT, FIRST_HELD_OUT = 108, 100, 150
SECONDS = 0.12  # to measure a network, per round
SCALE_NETWORKS = 48  # that a search for a width examines: three rounds of 16 widths

Record = dict[str, Any]


def sample(seed: int) -> tuple[str, Multipliers]:
    """Return the baseline and the multipliers of the random network with that number."""
    name, rng = BASELINES[seed % len(BASELINES)], random.Random(f"latency {seed}")
    architecture = baseline(name)
    while True:
        r, d, w = (round(rng.uniform(low, high), 3) for low, high in ((0.5, 1.1), (0.4, 1.2), (0.3, 1.2)))
        multipliers = Multipliers(r, d, w)
        if 0.1 <= network_cost(architecture.scale(multipliers)).flops / flops_of(architecture) <= 1:
            return name, multipliers


def to_config(seed: int) -> Config:
    name, multipliers = sample(seed)
    return baseline(name).scale(multipliers)


def measure(records: dict[int, Record], seeds: Sequence[int], args: argparse.Namespace) -> None:
    """Add the rounds that are missing to the records, one of all networks after the other."""
    with TemporaryDirectory() as folder:
        for number in range(args.rounds):
            for seed in seeds:
                if seed in records and len(records[seed]["rounds"]) > number:
                    continue
                content = _convert(seed, Path(folder) / f"{seed}.onnx")
                with_nodes = seed < FIRST_HELD_OUT
                measured = profile(content, max_seconds=SECONDS, with_nodes=with_nodes, real_time=args.real_time)
                records[seed] = add_round(records.get(seed), seed, measured)
                lines = (json.dumps(records[key]) + "\n" for key in sorted(records))
                args.record.write_text("".join(lines))
                print(f"round {number}, {seed}: {measured['ms']:.2f} ms", file=sys.stderr, flush=True)


def _convert(seed: int, file: Path) -> bytes:
    if not file.exists():
        config = to_config(seed)
        file.write_bytes(convert_to_onnx(build(config).eval(), config).SerializeToString())
    return file.read_bytes()


def add_round(record: Record | None, seed: int, measured: dict[str, Any]) -> Record:
    """Return the record with another round: of each layer it keeps the fastest time."""
    layers = layer_milliseconds(to_config(seed), measured) if measured["nodes"] else []
    if record is not None and record["layers"] and layers:
        layers = [min(pair) for pair in zip(layers, record["layers"], strict=True)]
    return {
        "seed": seed,
        "device": {name: measured[name] for name in ("runtime", "processor", "threads", "precision", "scheduling")},
        "rounds": [*([] if record is None else record["rounds"]), round(measured["ms"], 4)],
        "layers": [float(f"{ms:.4g}") for ms in layers],
    }


def to_measured(record: Record) -> MeasuredNetwork:
    """Return the network with the time of its fastest round, to which its layers are made to sum."""
    ms, layers = min(record["rounds"]), record["layers"]
    return MeasuredNetwork(to_config(record["seed"]), ms, tuple(ms / sum(layers) * layer for layer in layers))


def main() -> int:
    args = _arguments()
    torch.set_num_threads(1)
    records = _read(args.record or RECORDED)
    fitted, held_out = range(args.fitted), range(FIRST_HELD_OUT, FIRST_HELD_OUT + args.held_out)
    if args.record:
        measure(records, [*fitted, *held_out], args)
    train = [to_measured(records[seed]) for seed in fitted]
    test = [to_measured(records[seed]) for seed in held_out]
    model = fit_latency_model(train, records[0]["device"])
    restored = LatencyModel.from_json(json.loads(json.dumps(model.to_json())))
    predicted = {
        "latency model": [restored.predict(network.config) for network in test],
        "FLOPs": predict_by_flops(train, test),
    }
    families = [network.config.family for network in test]
    print_errors(predicted, [network.ms for network in test], families)
    print_rounds([records[seed]["rounds"] for seed in held_out])
    print(f"{'left out of the fit in turn':34}{_format(model.error)}")
    print(f"{SCALE_NETWORKS} networks of efficientnet_b0: {1000 * time_batch(restored):.1f} ms")
    return 0


def predict_by_flops(train: Sequence[MeasuredNetwork], test: Sequence[MeasuredNetwork]) -> list[float]:
    """Return latencies proportional to FLOPs, by the median factor of the networks of the fit."""
    factor = np.exp(np.median([np.log(n.ms / network_cost(n.config).flops) for n in train]))
    return [factor * network_cost(network.config).flops for network in test]


def print_errors(predicted: dict[str, list[float]], measured: list[float], families: list[str]) -> None:
    columns = f"{'networks':>10}{'within 10 %':>13}{'median':>9}{'90 %':>8}{'Spearman':>10}"
    print(f"{'':16}{'':18}{columns}")
    for family in ["all", *sorted(set(families))]:
        chosen = [i for i, name in enumerate(families) if family in ("all", name)]
        for method, values in predicted.items():
            error = LatencyError.of(np.array(values)[chosen], np.array(measured)[chosen])
            print(f"{family:18}{method:16}{_format(error)}")


def _format(error: LatencyError) -> str:
    numbers = f"{error.networks:>10}{error.within_10:>13.0%}{error.median:>9.1%}{error.p90:>8.1%}"
    return f"{numbers}{error.spearman:>10.3f}"


def print_rounds(rounds: list[list[float]]) -> None:
    """Print how far apart rounds of the same network are, below which no model can be."""
    spread = [max(ms) / min(ms) - 1 for ms in rounds if len(ms) > 1]
    if spread:
        median, p90 = np.quantile(spread, (0.5, 0.9))
        print(f"slowest to fastest round of {len(spread)} networks: median {median:.1%}, 90 % {p90:.1%}")


def time_batch(model: LatencyModel) -> float:
    """Return the median seconds to predict the networks of a search, with new widths each time."""
    architecture, n = baseline("efficientnet_b0"), 256
    networks = architecture.assemble(224, architecture.repeats(1.0), np.linspace(0.2, 1.2, n))
    batch = LatencyBatch(model, networks, n)
    repeats = np.tile(architecture.repeats(0.8), (SCALE_NETWORKS, 1))
    sizes = np.full(SCALE_NETWORKS, 184)
    rng = np.random.default_rng(0)
    return float(
        np.median(list(_time(lambda: batch.milliseconds(rng.integers(0, n, SCALE_NETWORKS), repeats, sizes), 100)))
    )


def _time(call: Callable[[], Any], times: int) -> Iterator[float]:
    for _ in range(times):
        started = time.thread_time()
        call()
        yield time.thread_time() - started


def _read(file: Path) -> dict[int, Record]:
    if not file.exists():
        return {}
    return {record["seed"]: record for record in map(json.loads, file.read_text().splitlines())}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fitted", type=int, default=FITTED, help=f"networks of the fit (default: {FITTED})")
    parser.add_argument("--held-out", type=int, default=HELD_OUT, help=f"networks to predict (default: {HELD_OUT})")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each network (default: 3)")
    parser.add_argument("--real-time", action="store_true", help="precede all other processes on one core")
    parser.add_argument("--record", type=Path, help="measure, and keep what is measured in this file")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
