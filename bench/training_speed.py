"""Images per second through a worker, compared to a bare PyTorch loop that does the same work.

It measures three ratios in one run:
- the worker (claim, heartbeat, progress, checkpoints) to a loop written by hand;
- two workers with one thread each to one worker with one thread, and to one with two threads. The same ratio for the
  bare loop shows what a second process gains on this machine;
- the images per second that data preparation alone reaches to those of a training, with augmentation by batch and by
  image.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from app.core.settings import Settings
from app.data.builtin_datasets import DIGITS, FASHION_MNIST, Dataset, fashion_mnist_folder
from app.data.recipes import PRESETS, Recipe
from app.db.migrate import upgrade
from app.db.unit_of_work import UnitOfWork
from app.scaling.network import Config, Head, Stage, Stem
from app.services.catalog import datasets
from app.services.trials import requests
from worker.data.augmentation import Augmentation
from worker.data.loading import load
from worker.data.preprocessing import NetworkInputs, Normalisation, augment
from worker.devices import Device
from worker.heartbeat import Heartbeat
from worker.networks import build
from worker.run_trial import train_next_trial
from worker.training.classification import Classification
from worker.training.loop import train

SMALL = Config(
    family="efficientnet",
    resolution=28,
    stem=Stem(16),
    stages=(
        Stage("ds", 1, 16),
        Stage("ir", 2, 24, stride=2, expansion=4, se_ratio=0.25),
        Stage("ir", 2, 40, kernel=5, stride=2, expansion=4, se_ratio=0.25),
        Stage("ir", 2, 64, expansion=4, se_ratio=0.25),
    ),
    head=Head(256),
    activation="relu",
    in_chans=1,
    num_classes=10,
)
"""The network of the demo."""

RECIPE = PRESETS["quick"].model_copy(update={"epochs": 1, "train_images": 4000})
PAPER_RECIPE = PRESETS["tinynet-ra"]
DATA_DIR = Path("var")
PREPARED_IMAGES = 2048


def choose_dataset(data_dir: Path) -> Dataset:
    return FASHION_MNIST if fashion_mnist_folder(data_dir) else DIGITS


def run_worker(config: Config, seed: int) -> float:
    """Return the images per second of a trial, from claim to completion, on a database of its own."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder), broker_url="", threads=torch.get_num_threads())
        upgrade(settings.database)
        heartbeat = Heartbeat(settings, "bench")
        heartbeat.start()
        with UnitOfWork(settings.database) as work:
            dataset = datasets.find(work, choose_dataset(settings.data_dir).name)
            trial = requests.get_or_create(work, requests.TrialPlan("small", config, dataset, RECIPE, seed))
            work.commit()
        train_next_trial(settings, heartbeat, trial.id)
        with UnitOfWork(settings.database) as work:
            result = requests.find(work, trial.id).result
        heartbeat.stop()
    assert result is not None and result.images_per_second is not None
    return result.images_per_second


def run_bare_loop(config: Config, seed: int, wait_for_start: Callable[[], Any] = lambda: None) -> float:
    """Return the images per second of a loop without claim, heartbeat, progress, counters and checkpoints."""
    splits = load(choose_dataset(DATA_DIR), DATA_DIR, RECIPE.train_images)
    inputs = NetworkInputs(
        splits.train, config.in_chans, config.resolution, Normalisation.from_images(splits.train, config.in_chans)
    ).prepare()
    labels = splits.train.labels
    torch.manual_seed(seed)
    network = build(config).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=RECIPE.lr, weight_decay=RECIPE.weight_decay)
    steps = RECIPE.epochs * len(labels) // RECIPE.batch_size
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    random = torch.Generator().manual_seed(seed)
    wait_for_start()
    started, images = time.perf_counter(), 0
    for _ in range(RECIPE.epochs):
        for batch in torch.randperm(len(labels), generator=random).split(RECIPE.batch_size):
            logits = network(augment(inputs[batch], RECIPE, random))
            loss = functional.cross_entropy(logits, labels[batch], label_smoothing=RECIPE.label_smoothing)
            if not torch.isfinite(loss):
                raise ArithmeticError("the loss is not finite")
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            images += len(batch)
    return images / (time.perf_counter() - started)


def run_process(threads: int, seed: int, bare: bool, start: Barrier, rates: Any) -> None:
    """Train twice, as a worker or in the bare loop, and report the second rate; each training starts at the barrier."""
    torch.set_num_threads(threads)
    if bare:
        run_bare_loop(SMALL, seed, start.wait)  # a warm-up
        rates.put(run_bare_loop(SMALL, seed, start.wait))
        return
    splits = load(choose_dataset(DATA_DIR), DATA_DIR, RECIPE.train_images)
    task = Classification(SMALL, RECIPE, splits, Device())
    for _ in range(2):  # the first one is a warm-up
        with tempfile.TemporaryDirectory() as folder:
            start.wait()
            result = train(
                task,
                RECIPE,
                seed,
                device=Device(),
                folder=Path(folder),
                weights_file=Path(folder) / "weights.safetensors",
                on_progress=lambda progress: None,
                should_stop=lambda: False,
            )
    rates.put(result.images_per_second)


def run_processes(count: int, threads: int, *, bare: bool = False) -> float:
    """Return the total images per second of several workers, or bare loops, at the same time."""
    context = multiprocessing.get_context("spawn")
    start, rates = context.Barrier(count), context.Queue()
    processes = [context.Process(target=run_process, args=(threads, n, bare, start, rates)) for n in range(count)]
    for process in processes:
        process.start()
    total = sum(rates.get(timeout=600) for _ in processes)
    for process in processes:
        process.join()
    return total


def prepare_data(recipe: Recipe) -> float:
    """Return the images per second that one thread prepares for training."""
    splits = load(choose_dataset(DATA_DIR), DATA_DIR, RECIPE.train_images)
    inputs = NetworkInputs(
        splits.train, SMALL.in_chans, SMALL.resolution, Normalisation.from_images(splits.train, SMALL.in_chans)
    )
    augmentation = Augmentation(inputs, recipe)
    if not augmentation.is_per_image:
        inputs.prepare()
    random = torch.Generator().manual_seed(0)
    batches = torch.randperm(len(inputs), generator=random)[:PREPARED_IMAGES].split(RECIPE.batch_size)
    started = time.perf_counter()
    for batch in batches:
        augmentation(batch, random)
    return PREPARED_IMAGES / (time.perf_counter() - started)


def compare_with_bare_loop(rounds: int) -> float:
    """Print both rates, alternating, and the median of their ratio; return the median rate of the worker."""
    rates = []
    for n in range(3 * rounds + 1):
        measures = [("worker", run_worker), ("bare", run_bare_loop)][:: 1 if n % 2 else -1]
        rate = {name: measure(SMALL, n) for name, measure in measures}
        if n == 0:  # a warm-up
            continue
        rates.append((rate["worker"], rate["bare"]))
        ratio = rate["worker"] / rate["bare"]
        print(f"worker {rate['worker']:>7,.0f} images/s    bare loop {rate['bare']:>7,.0f}    {ratio:.3f}", flush=True)
    print(f"worker / bare loop: median {statistics.median(worker / bare for worker, bare in rates):.3f}\n")
    return statistics.median(worker for worker, _ in rates)


def compare_two_workers_with_one(rounds: int) -> None:
    ratios = []
    for _ in range(rounds):
        one, two = run_processes(1, 1), run_processes(2, 1)
        one_bare, two_bare = run_processes(1, 1, bare=True), run_processes(2, 1, bare=True)
        ratios.append((two / one, two_bare / one_bare, two / run_processes(1, 2)))
        print(f"one worker {one:>7,.0f}    two {two:>7,.0f} images/s    {two / one:.2f}", end="    ")
        print(f"bare loops {one_bare:>7,.0f} {two_bare:>7,.0f}    {two_bare / one_bare:.2f}", flush=True)
    workers, bare, two_threads = map(statistics.median, zip(*ratios, strict=True))
    print(f"two workers / one: median {workers:.2f}; two bare loops / one, the gain of this machine: {bare:.2f}")
    print(f"two workers / one with two threads: median {two_threads:.2f}\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="of all measurements (default: %(default)s)")
    rounds = parser.parse_args().rounds
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    dataset = choose_dataset(DATA_DIR).name
    print(f"the network of the demo on {RECIPE.train_images} images of {dataset}, {RECIPE.epochs} epoch\n")
    trained = compare_with_bare_loop(rounds)
    compare_two_workers_with_one(rounds)
    for name, recipe in (("quick", RECIPE), ("tinynet-ra", PAPER_RECIPE)):
        prepared = statistics.median(prepare_data(recipe) for _ in range(3))
        print(f"data alone, {name}: {prepared:,.0f} images/s, {prepared / trained:.1f} times those of the training")
    return 0


if __name__ == "__main__":
    sys.exit(main())
