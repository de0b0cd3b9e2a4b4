"""Checks the training on one GPU in at most ten minutes: is it correct, and how fast is it beside a bare PyTorch loop?

It needs torch, timm and this package, no service. Each check prints a line; the exit status is 1 if one fails:
- a training that is stopped and resumed has the same bits as one that is not;
- float32 on the GPU reaches the accuracy of the CPU;
- bfloat16, a compiled network, and the moving average of the weights learn as well as float32;
- the training loop does 95 % of the images a second of a loop without checkpoints, counters and progress.

It also prints the images a second of several trainings at once. `--device cpu` tries the script itself.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from app.data.builtin_datasets import BUILT_IN
from app.data.recipes import Recipe
from app.scaling.families import baseline
from worker.data.loading import load
from worker.data.preprocessing import NetworkInputs, Normalisation, augment
from worker.devices import Device
from worker.networks import build
from worker.training.classification import Classification
from worker.training.loop import TrainingStopped, train

RECIPE = Recipe(epochs=4, batch_size=128, lr=0.004, shift=0.06, dropout=0.1)
MAX_ACCURACY_DIFFERENCE = 0.03
MIN_SHARE_OF_BARE_LOOP = 0.95


class Stopped:
    """Asks a training to stop after a number of its checks."""

    def __init__(self, checks: int) -> None:
        self._checks = checks

    def __call__(self) -> bool:
        self._checks -= 1
        return self._checks < 0


class Bench:
    """A network, its images and a folder for checkpoints."""

    def __init__(self, arguments: argparse.Namespace, folder: Path) -> None:
        self.splits = load(BUILT_IN[arguments.dataset], arguments.data_dir, 20_000)
        self.device, self._folder, self._runs = arguments.device, folder, 0
        adapted = baseline("tinynet_e").adapt(self.splits.num_classes, 1)
        self.config = replace(adapted.baseline, resolution=arguments.px)

    def train(self, device: Device, recipe: Recipe = RECIPE, stop_after: int | None = None) -> tuple[Any, Any]:
        """Return the result and the weights of a training, which is stopped once and resumed if asked for."""
        self._runs += 1
        folder = self._folder / str(self._runs)
        folder.mkdir()
        task = Classification(self.config, recipe, self.splits, device)
        options: dict[str, Any] = {
            "device": device,
            "folder": folder,
            "weights_file": folder / "weights.pt",
            "on_progress": lambda progress: None,
        }
        if stop_after is not None:
            try:
                train(task, recipe, 0, **options, should_stop=Stopped(stop_after))
            except TrainingStopped:
                task = Classification(self.config, recipe, self.splits, device)
        result = train(task, recipe, 0, **options, should_stop=lambda: False)
        return result, torch.load(folder / "weights.pt", map_location="cpu", weights_only=True)

    def run_bare_loop(self, device: Device, recipe: Recipe = RECIPE) -> float:
        """Return the images a second of the last epoch of a loop that only trains."""
        config, train_part = self.config, self.splits.train
        normalisation = Normalisation.from_images(train_part, config.in_chans)
        inputs = NetworkInputs(train_part, config.in_chans, config.resolution, normalisation).prepare()
        labels = train_part.labels
        if device.is_cuda:
            labels = labels.pin_memory()
        torch.manual_seed(0)
        network = device.place_network(build(config, drop_rate=recipe.dropout)).train()
        optimizer = torch.optim.AdamW(network.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay)
        random = torch.Generator().manual_seed(0)
        for _ in range(recipe.epochs):
            self._synchronize(device)
            started, images = time.perf_counter(), 0
            for batch in torch.randperm(len(labels), generator=random).split(recipe.batch_size):
                with device.autocast():
                    logits = network(device.place(augment(inputs[batch], recipe, random)))
                loss = functional.cross_entropy(
                    logits.float(), device.place(labels[batch]), label_smoothing=recipe.label_smoothing
                )
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                images += len(batch)
            self._synchronize(device)
        return images / (time.perf_counter() - started)

    @staticmethod
    def _synchronize(device: Device) -> None:
        if device.is_cuda:
            torch.cuda.synchronize(device.name)


def run_checks(bench: Bench) -> Iterator[tuple[str, bool, str]]:
    """Yield the title of each check, whether it holds, and what was measured."""
    plain, fast = Device(bench.device), Device(bench.device, mixed_precision=True)
    whole, weights = bench.train(plain)
    chance = 1 / bench.config.num_classes
    yield "float32 learns", whole.accuracy > 2 * chance, f"{whole.accuracy:.4f}, by chance {chance:.4f}"
    steps = -(-len(bench.splits.train) // RECIPE.batch_size)
    resumed, resumed_weights = bench.train(plain, stop_after=steps + steps // 2)
    same = weights.keys() == resumed_weights.keys() and all(
        torch.equal(weights[name], resumed_weights[name]) for name in weights
    )
    same &= whole.history == resumed.history
    yield "resumed training has the same bits", same, f"{resumed.accuracy:.4f} and {whole.accuracy:.4f}"
    if plain.is_cuda:
        on_cpu, _ = bench.train(Device("cpu"))
        yield compare("float32 on the GPU and on the CPU", whole.accuracy, on_cpu.accuracy)
    mixed, _ = bench.train(fast)
    yield compare("bfloat16 and float32", mixed.accuracy, whole.accuracy)
    compiled, _ = bench.train(Device(bench.device, mixed_precision=True, compiled=True))
    yield compare("compiled network and bfloat16", compiled.accuracy, mixed.accuracy)
    averaged, _ = bench.train(fast, RECIPE.model_copy(update={"ema_decay": 0.99}))
    yield compare("moving average and bfloat16", averaged.accuracy, mixed.accuracy)
    loop, bare = [], []
    for _ in range(3):
        loop.append(bench.train(fast)[0].images_per_second)
        bare.append(bench.run_bare_loop(fast))
    share = max(loop) / max(bare)
    yield (
        "loop and bare loop",
        share >= MIN_SHARE_OF_BARE_LOOP,
        f"{max(loop):,.0f}/s and {max(bare):,.0f}/s: {share:.3f}",
    )


def compare(title: str, accuracy: float, other: float) -> tuple[str, bool, str]:
    return title, abs(accuracy - other) <= MAX_ACCURACY_DIFFERENCE, f"{accuracy:.4f} and {other:.4f}"


def run_process(arguments: argparse.Namespace, barrier: Any, rates: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(arguments, Path(folder))
        barrier.wait()
        rates.put(bench.train(Device(arguments.device, mixed_precision=True))[0].images_per_second)


def measure_processes(arguments: argparse.Namespace, processes: int) -> float:
    """Return the images a second of several trainings at once on one device, summed."""
    context = multiprocessing.get_context("spawn")
    barrier, rates = context.Barrier(processes), context.Queue()
    started = [context.Process(target=run_process, args=(arguments, barrier, rates)) for _ in range(processes)]
    for process in started:
        process.start()
    total = sum(rates.get() for _ in started)
    for process in started:
        process.join()
    return float(total)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="(default: %(default)s)")
    parser.add_argument("--dataset", choices=("fashion-mnist", "digits"), default="fashion-mnist")
    parser.add_argument("--px", type=int, default=64, help="that the network sees (default: %(default)s)")
    parser.add_argument("--data-dir", type=Path, default=Path("var"), help="(default: %(default)s)")
    parser.add_argument("--processes", type=int, nargs="*", default=[2, 4, 8], help="trainings at once")
    arguments = parser.parse_args()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # as a worker sets it
    name = torch.cuda.get_device_name() if arguments.device.startswith("cuda") else platform.machine()
    print(f"{name}, torch {torch.__version__}, {time.strftime('%Y-%m-%d')}", flush=True)
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(arguments, Path(folder))
        for title, holds, measured in run_checks(bench):
            failed += not holds
            print(f"{'ok  ' if holds else 'FAIL'}  {title}: {measured}", flush=True)
    for processes in arguments.processes:
        print(f"      {processes} at once: {measure_processes(arguments, processes):,.0f} images/s", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
