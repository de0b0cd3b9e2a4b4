"""Images a second through a worker, beside a bare PyTorch loop that does the same work; side by side, in one run.

Three claims, each a ratio:
 - the worker (claimed from SQL, heartbeat, progress, checkpoints) against a loop written by hand in one screen;
 - two workers of one thread each at the same time, against one worker of one thread, and of two; beside it the same of
   the bare loop, which shows what two processes gain on this machine;
 - how many images a second the data side alone can make, against what a training takes, for whole-batch and for
   image-by-image augmentation.
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

from app.datasets import DIGITS, FASHION_MNIST, Dataset, fashion_mnist_folder
from app.db.migrate import upgrade
from app.db.unit_of_work import UnitOfWork
from app.recipes import PRESETS, Recipe
from app.scaling.architecture import Config, Head, Stage, Stem
from app.services import datasets, trials
from app.settings import Settings
from worker.augmentation import Augmentation
from worker.classification import Classification
from worker.datasets import load
from worker.devices import Device
from worker.images import Inputs, Normalisation, augmented
from worker.leases import Heartbeat
from worker.networks import build
from worker.training import train
from worker.trials import train_trial

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
"""The demo's network."""
RECIPE = PRESETS["quick"].model_copy(update={"epochs": 1, "train_images": 4000})
PAPERS = PRESETS["tinynet-ra"]


def dataset(data_dir: Path) -> Dataset:
    return FASHION_MNIST if fashion_mnist_folder(data_dir) else DIGITS


def through_the_worker(config: Config, seed: int) -> float:
    """Images a second that a trial reports, from claim to finish on a database of its own."""
    with tempfile.TemporaryDirectory() as place:
        settings = Settings(data_dir=Path(place), broker_url="", threads=torch.get_num_threads())
        upgrade(settings.database)
        heartbeat = Heartbeat(settings, "bench")
        heartbeat.start()
        with UnitOfWork(settings.database) as work:
            of = datasets.find(work, dataset(settings.data_dir).name)
            trial = trials.request(work, trials.Plan("small", config, of, RECIPE, seed))
            work.commit()
        train_trial(settings, heartbeat, trial.id)
        with UnitOfWork(settings.database) as work:
            result = trials.find(work, trial.id).result
        heartbeat.end()
    assert result is not None
    return float(result["images_per_second"])


def by_hand(config: Config, seed: int, ready: Callable[[], Any] = lambda: None) -> float:
    """Images a second of a loop without claim, heartbeat, progress, counts and checkpoints."""
    splits = load(dataset(Path("var")), Path("var"), RECIPE.train_images)
    inputs = Inputs(splits.train, config.in_chans, config.resolution, Normalisation.of(splits.train)).prepare()
    labels = splits.train.labels
    torch.manual_seed(seed)
    network = build(config).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=RECIPE.lr, weight_decay=RECIPE.weight_decay)
    steps = RECIPE.epochs * len(labels) // RECIPE.batch_size
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    random = torch.Generator().manual_seed(seed)
    ready()
    began, seen = time.perf_counter(), 0
    for _ in range(RECIPE.epochs):
        for chosen in torch.randperm(len(labels), generator=random).split(RECIPE.batch_size):
            logits = network(augmented(inputs[chosen], RECIPE, random))
            loss = functional.cross_entropy(logits, labels[chosen], label_smoothing=RECIPE.label_smoothing)
            if not torch.isfinite(loss):
                raise ArithmeticError("the loss is no number")
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            seen += len(chosen)
    return seen / (time.perf_counter() - began)


def at_work(threads: int, seed: int, bare: bool, start: Barrier, rates: Any) -> None:
    """A worker's training, or the bare loop, in a process of its own; it begins when all have got there."""
    torch.set_num_threads(threads)
    if bare:
        by_hand(SMALL, seed, start.wait)
        rates.put(by_hand(SMALL, seed, start.wait))
        return
    splits = load(dataset(Path("var")), Path("var"), RECIPE.train_images)
    task = Classification(SMALL, RECIPE, splits, Device())
    for _ in range(2):  # the first warms up
        with tempfile.TemporaryDirectory() as place:
            start.wait()
            result = train(
                task,
                RECIPE,
                seed,
                device=Device(),
                folder=Path(place),
                on_progress=lambda progress: None,
                should_stop=lambda: False,
            )
    rates.put(result.images_per_second)


def together(workers: int, threads: int, *, bare: bool = False) -> float:
    """Images a second of so many workers, or bare loops, at the same time, in all."""
    context = multiprocessing.get_context("spawn")
    start, rates = context.Barrier(workers), context.Queue()
    processes = [context.Process(target=at_work, args=(threads, n, bare, start, rates)) for n in range(workers)]
    for process in processes:
        process.start()
    total = sum(rates.get(timeout=600) for _ in processes)
    for process in processes:
        process.join()
    return total


def data_alone(recipe: Recipe) -> float:
    """Images a second that are made ready to be trained on, by one thread."""
    splits = load(dataset(Path("var")), Path("var"), RECIPE.train_images)
    inputs = Inputs(splits.train, SMALL.in_chans, SMALL.resolution, Normalisation.of(splits.train))
    augmentation = Augmentation(inputs, recipe)
    if not augmentation.by_image:
        inputs.prepare()
    random = torch.Generator().manual_seed(0)
    order = torch.randperm(len(inputs), generator=random)[:2048].split(RECIPE.batch_size)
    began = time.perf_counter()
    for chosen in order:
        augmentation(chosen, random)
    return 2048 / (time.perf_counter() - began)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="of all measurements (default: 3)")
    rounds = parser.parse_args().rounds
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    print(f"the demo's network on {RECIPE.train_images} images of {dataset(Path('var')).name}, {RECIPE.epochs} epoch\n")
    pairs = []
    for n in range(3 * rounds + 1):
        measures = [("worker", through_the_worker), ("bare", by_hand)][:: 1 if n % 2 else -1]  # in turns
        pair = {name: measure(SMALL, n) for name, measure in measures}
        if n:  # the first warms up
            pairs.append((pair["worker"], pair["bare"]))
            worker, bare = pairs[-1]
            print(f"worker {worker:>7,.0f} images/s    bare loop {bare:>7,.0f}    {worker / bare:.3f}", flush=True)
    print(f"worker / bare loop: median {statistics.median(a / b for a, b in pairs):.3f}\n")
    runs = []
    for _ in range(rounds):
        one, two = together(1, 1), together(2, 1)
        one_bare, two_bare = together(1, 1, bare=True), together(2, 1, bare=True)
        runs.append((two / one, two_bare / one_bare, two / together(1, 2)))
        print(f"one worker {one:>7,.0f}    two {two:>7,.0f} images/s    {two / one:.2f}", end="    ")
        print(f"bare loops {one_bare:>7,.0f} {two_bare:>7,.0f}    {two_bare / one_bare:.2f}", flush=True)
    workers, bare, wide = (statistics.median(of) for of in zip(*runs, strict=True))
    print(f"two workers / one: median {workers:.2f}; two bare loops / one, which is what the machine has: {bare:.2f}")
    print(f"two workers / one of two threads: median {wide:.2f}\n")
    trained = statistics.median(a for a, _ in pairs)
    for name, recipe in (("quick", RECIPE), ("tinynet-ra", PAPERS)):
        alone = statistics.median(data_alone(recipe) for _ in range(3))
        print(f"data alone, {name}: {alone:,.0f} images/s, {alone / trained:.1f} times what the training takes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
