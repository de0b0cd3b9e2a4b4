"""Records of a simulated experiment, in which the surrogate is better by a given difference."""

from __future__ import annotations

import math

import numpy as np

from app.reproduce.records import Header, Record, Records

HEADER = Header(
    baseline={"name": "small-mbconv", "flops": 3_011_776, "params": 437_000, "resolution": 32},
    dataset="typefaces",
    digest="751c27e4",
    recipe={"epochs": 9, "batch_size": 64, "optimizer": "adamw", "train_images": 5000},
    device="cpu",
    versions={"python": "3.11.7", "torch": "2.14.1"},
    threads=1,
    date="2026-11-30",
)
SHARED_RULES = ("compound", "dwr", "published")
STUDY_RULES = ("tiny_formula", "surrogate")


def create_record(rule: str, study: int | None, budget: float, seed: int, accuracy: float) -> Record:
    return Record(
        kind="family",
        study=study,
        rule=rule,
        budget=budget,
        config={"resolution": 24, "rule": rule, "study": study},
        multipliers={"r": 0.75, "d": 0.7, "w": 0.8},
        flops=round(budget * 3_011_776),
        params=100_000,
        px=24,
        seed=seed,
        accuracy=accuracy - 0.005,
        test_accuracy=accuracy,
        history=[accuracy / 2, accuracy - 0.005],
        seconds=40.0,
        trial=f"{rule}-{study}-{budget:.4f}-{seed}",
        predicted={"mean": accuracy, "sd": 0.01} if rule == "surrogate" else None,
    )


def simulate_records(effect: float = 0.03, studies: int = 3, budgets: int = 24, seeds: int = 2) -> Records:
    generator = np.random.default_rng(3)
    items = []
    groups = [(rule, None) for rule in SHARED_RULES]
    groups += [(rule, study) for rule in STUDY_RULES for study in range(1, studies + 1)]  # type: ignore[misc]
    for rule, study in groups:
        for budget in np.geomspace(0.1, 0.85, budgets).tolist():
            network = 0.78 + 0.05 * math.log(budget) + 0.012 * generator.standard_normal()
            network += effect if rule == "surrogate" else 0.0
            for seed in range(201, 201 + seeds):
                accuracy = network + 0.008 * generator.standard_normal()
                items.append(create_record(rule, study, budget, seed, accuracy))
    return Records((HEADER,), tuple(items))
