"""replay draft"""
from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import optuna

from app.scaling.active import most_promising
from app.scaling.architecture import Architecture
from app.scaling.front import hypervolume
from app.scaling.halving import RungResult, promotable, rungs
from app.scaling.observations import Observation, points
from app.scaling.pool import Candidate, pool
from app.scaling.recommend import flops_of
from app.scaling.sampling import Space
from app.scaling.surrogate import LEAST_NETWORKS, Surrogate


class Trained(NamedTuple):
    """A network trained so many epochs more; its accuracy where it is done with."""

    network: int
    epochs: int
    accuracy: float | None


@dataclass(frozen=True)
class Recorded:
    architecture: Architecture
    space: Space
    networks: list[dict[str, Any]]

    @classmethod
    def load(cls, path: Path) -> Recorded:
        plain = json.loads(path.read_text())
        architecture = Architecture.from_json(plain["architecture"])
        networks = plain["networks"]
        r, d, w, flops = ([n[k] for n in networks] for k in ("r", "d", "w", "flops"))
        space = Space(*((min(v), max(v)) for v in (r, d, w, flops)))
        return cls(architecture, space, networks)

    @property
    def epochs(self) -> int:
        return len(self.networks[0]["epochs"])

    @cached_property
    def candidates(self) -> list[Candidate]:
        return [Candidate(n["r"], n["d"], n["flops"], (n["resolution"], n["flops"], n["params"])) for n in self.networks]

    @cached_property
    def places(self) -> np.ndarray:
        """Of the unit cube, over r, d and log flops."""
        return self.unit([n["r"] for n in self.networks], [n["d"] for n in self.networks], [n["flops"] for n in self.networks])

    def unit(self, r, d, flops) -> np.ndarray:
        s = self.space
        low, high = np.array([s.r[0], s.d[0], np.log(s.flops[0])]), np.array([s.r[1], s.d[1], np.log(s.flops[1])])
        return (np.column_stack([r, d, np.log(flops)]) - low) / (high - low)

    def nearest(self, r, d, flops, left: list[int]) -> int:
        away = ((self.places[left] - self.unit([r], [d], [flops])) ** 2).sum(1)
        return left[int(away.argmin())]

    def observed(self, i: int, accuracy: float) -> Observation:
        n = self.networks[i]
        return Observation(n["r"], n["d"], n["w"], n["flops"] / flops_of(self.architecture), n["flops"], n["params"], accuracy)

    def accuracy(self, i: int) -> float:
        return self.networks[i]["accuracy"]


class Active:
    def __init__(self, recorded: Recorded, seed: int, first: int = LEAST_NETWORKS) -> None:
        self.rec, self.left, self.known = recorded, list(range(len(recorded.networks))), []
        self.design = iter(pool(recorded.architecture, recorded.space, seed, 128))
        self.prior, self.tuned_at, self.first = None, 0, first

    def next(self) -> int:
        if len(self.known) < self.first:
            c = next(self.design)
            i = self.rec.nearest(c.r, c.d, c.flops, self.left)
        else:
            pts = points(self.known)
            if self.prior is None or len(pts) >= 1.25 * self.tuned_at:
                self.prior, self.tuned_at = Surrogate.fitted(pts, most=400).prior, len(pts)
            s = Surrogate.fitted(pts, self.prior, 400)
            i = self.left[most_promising(self.rec.architecture, self.rec.space, s, [self.rec.candidates[j] for j in self.left], 1)[0]]
        self.left.remove(i)
        return i


def at_random(rec: Recorded, seed: int) -> Iterator[Trained]:
    for i in np.random.default_rng(seed).permutation(len(rec.networks)).tolist():
        yield Trained(i, rec.epochs, rec.accuracy(i))


def active(rec: Recorded, seed: int, first=LEAST_NETWORKS) -> Iterator[Trained]:
    sampler = Active(rec, seed, first)
    while sampler.left:
        i = sampler.next()
        sampler.known.append(rec.observed(i, rec.accuracy(i)))
        yield Trained(i, rec.epochs, rec.accuracy(i))


def halved(rec: Recorded, seed: int, eta=3, least=1, learn="done", rand=False) -> Iterator[Trained]:
    sampler, steps = Active(rec, seed), rungs(rec.epochs, eta, least)
    at: dict[int, dict[int, float]] = {s: {} for s in steps}
    perm = iter(np.random.default_rng(seed).permutation(len(rec.networks)).tolist())
    while True:
        for rung, following in reversed(list(pairwise(steps))):
            results = [RungResult(str(i), rec.networks[i]["flops"], a) for i, a in at[rung].items()]
            best = promotable(results, {str(i) for i in at[following]}, eta)
            if best:
                i, before, after = int(best[0]), rung, following
                break
        else:
            if not sampler.left:
                return
            if learn == "bohb":
                enough = [s for s in steps if len(at[s]) >= LEAST_NETWORKS]
                sampler.known = [rec.observed(j, a) for j, a in at[enough[-1]].items()] if enough else []
                sampler.tuned_at = 0
            i, before, after = (next(perm) if rand else sampler.next()), 0, steps[0]
        a = rec.accuracy(i) if after == rec.epochs else rec.networks[i]["epochs"][after - 1]
        at[after][i] = a
        if after == rec.epochs and learn == "done":
            sampler.known.append(rec.observed(i, a))
        yield Trained(i, after - before, a if after == rec.epochs else None)


def optunas(make) -> Callable[[Recorded, int], Iterator[Trained]]:
    def run(rec: Recorded, seed: int) -> Iterator[Trained]:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        study = optuna.create_study(directions=["minimize", "maximize"], sampler=make(seed))
        s = rec.space
        dist = {"r": optuna.distributions.FloatDistribution(*s.r), "d": optuna.distributions.FloatDistribution(*s.d),
                "flops": optuna.distributions.FloatDistribution(*map(float, s.flops), log=True)}
        left = list(range(len(rec.networks)))
        while left:
            asked = study.ask(dist)
            i = rec.nearest(asked.params["r"], asked.params["d"], asked.params["flops"], left)
            left.remove(i)
            n = rec.networks[i]
            study.tell(asked, state=optuna.trial.TrialState.FAIL)
            study.add_trial(optuna.trial.create_trial(params={"r": n["r"], "d": n["d"], "flops": float(n["flops"])}, distributions=dist, values=[float(np.log10(n["flops"])), n["accuracy"]]))
            yield Trained(i, rec.epochs, n["accuracy"])
    return run


METHODS = {
    "random": at_random,
    "active": active,
    "active first4": None,
    "halving random": lambda r, s: halved(r, s, rand=True),
    "halving random l3": lambda r, s: halved(r, s, least=3, rand=True),
    "active+halving": halved,
    "active+halving bohb": lambda r, s: halved(r, s, learn="bohb"),
    "active+halving bohb l3": lambda r, s: halved(r, s, least=3, learn="bohb"),
    "active+halving bohb e2": lambda r, s: halved(r, s, eta=2, least=2, learn="bohb"),
    "nsga3": optunas(lambda s: optuna.samplers.NSGAIIISampler(seed=s, population_size=8)),
    "gp": optunas(lambda s: optuna.samplers.GPSampler(seed=s, deterministic_objective=False)),
}
del METHODS["active first4"]


def main() -> int:
    warnings.simplefilter("ignore")
    rec = Recorded.load(Path(sys.argv[1]))
    names = sys.argv[3].split(",") if len(sys.argv) > 3 else [m for m in METHODS if m != "gp"]
    seeds = int(sys.argv[2])
    fl, ac = [n["flops"] for n in rec.networks], [n["accuracy"] for n in rec.networks]
    corners = [(1.01 * max(fl), min(ac)), (1.01 * max(fl), 0.0)]
    whole = [hypervolume(fl, ac, c) for c in corners]
    total = rec.epochs * len(fl)
    for name in names:
        shares, needed, done = [], [], []
        for seed in range(seeds):
            got: list[tuple[int, float]] = []
            spent, quarter, need = 0, None, [None, None]
            ndone=0
            for t in METHODS[name](rec, seed):
                if spent + t.epochs > total / 4 and quarter is None:
                    quarter = [hypervolume([f for f, _ in got], [a for _, a in got], c) / v for c, v in zip(corners, whole)]; ndone=len(got)
                spent += t.epochs
                if t.accuracy is not None:
                    got.append((fl[t.network], t.accuracy))
                    for k in (0, 1):
                        if need[k] is None and hypervolume([f for f, _ in got], [a for _, a in got], corners[k]) >= 0.95 * whole[k]:
                            need[k] = spent / total
                if (quarter is not None and None not in need) or spent > 0.6 * total and name == "gp":
                    break
            shares.append(quarter); needed.append([x or 1.0 for x in need]); done.append(ndone)
        s, e = np.array(shares), np.array(needed)
        for k in (0, 1):
            print(f"{name:<24} corner {k}: at 25% {s[:,k].mean():.3f} ({s[:,k].min():.3f}..{s[:,k].max():.3f})  95% after {e[:,k].mean():.3f} ({e[:,k].min():.3f}..{e[:,k].max():.3f}) done {np.mean(done):.1f} >=.95: {(s[:,k]>=.95).mean():.2f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
