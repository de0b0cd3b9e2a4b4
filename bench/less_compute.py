"""Does the active sampler find the front with less compute than random trainings do, and than Optuna's samplers?

Asked is how much of the hypervolume that all random networks reach is there after a quarter of their epochs, and after
which share of the epochs 95 % of it is.

Replayed (the default) on a recorded study, a hundred random networks really trained, with their accuracy after each
epoch: each method may pick among the recorded networks only, so that none can do better than all of them. rdw's
acquisition scores them; what Optuna suggests is taken for the nearest one left. One network after the other, and each
method with several seeds.

Live (`--live`) the service trains: studies of its own, and Optuna's samplers with their networks trained through
`POST /v1/trials`, each with a quarter of the epochs; the recorded networks are the random study. There the samplers
choose from all networks of the space. What was trained stays in the data directory: interrupted or run again, it goes
on.

Hypervolume is over (log10 multiply-adds, accuracy) within a worst corner: 1.01 times the most multiply-adds of the
random networks, and either their least accuracy (the harder one: what all reach counts for nothing) or 0.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState, create_trial

from app.figures import Finished, hypervolume
from app.scaling import front
from app.scaling.active import Tuned, enough, most_promising
from app.scaling.architecture import Architecture
from app.scaling.halving import RungResult, promotable, rungs
from app.scaling.observations import Observation, points
from app.scaling.pool import Candidate, pool
from app.scaling.recommend import flops_of
from app.scaling.sampling import Space
from app.scaling.surrogate import Surrogate

RECORDED = Path(__file__).parent / "recorded" / "typefaces.json"
ETA, LEAST_EPOCHS = 3, 1
OPTUNAS: dict[str, Callable[[int], optuna.samplers.BaseSampler]] = {
    # Its default population of 50 would be drawn at random within this budget.
    "Optuna NSGA-III": lambda seed: optuna.samplers.NSGAIIISampler(seed=seed, population_size=8),
    "Optuna GP": lambda seed: optuna.samplers.GPSampler(seed=seed, deterministic_objective=False),
}
QUARTER, ENOUGH = 0.25, 0.95
GIVEN_UP = 0.6  # of the epochs, where 95 % are not there yet
ENDED = ("completed", "failed", "cancelled")
STARTS_WITHIN = 120  # seconds


class Failed(Exception):
    """It cannot go on; the message says why."""


@dataclass(frozen=True)
class Recorded:
    """A random study: its architecture and space, and each network with its accuracy after each epoch."""

    about: dict[str, Any]
    spec: dict[str, Any]
    networks: list[dict[str, Any]]

    @classmethod
    def load(cls, path: Path, most: int | None = None, without: int = 0) -> Recorded:
        """At most so many networks, the first ones as they were drawn; of these the cheapest few left out."""
        plain = json.loads(path.read_text())
        networks = plain["networks"][:most]
        cheapest = sorted(network["flops"] for network in networks)[:without]
        return cls(plain["about"], plain["architecture"], [n for n in networks if n["flops"] not in cheapest])

    @cached_property
    def architecture(self) -> Architecture:
        return Architecture.from_json(self.spec)

    @cached_property
    def space(self) -> Space:
        whole, asked = flops_of(self.architecture), self.about["space"]
        least, most = asked["ratio"]
        return Space(tuple(asked["r"]), tuple(asked["d"]), tuple(asked["w"]), (int(least * whole), int(most * whole)))

    @property
    def epochs(self) -> int:
        return len(self.networks[0]["epochs"])

    @cached_property
    def finished(self) -> list[Finished]:
        return [Finished(self.epochs, network["flops"], network["accuracy"]) for network in self.networks]

    @cached_property
    def candidates(self) -> list[Candidate]:
        return [
            Candidate(n["r"], n["d"], n["flops"], (n["resolution"], n["flops"], n["params"])) for n in self.networks
        ]

    def nearest(self, r: float, d: float, flops: float, left: list[int]) -> int:
        """Of the networks left, over r, d and the logarithm of flops, each relative to its range."""
        near = self._unit([r], [d], [flops])
        return left[int(((self._places[left] - near) ** 2).sum(1).argmin())]

    def observed(self, i: int, accuracy: float) -> Observation:
        n = self.networks[i]
        c = n["flops"] / flops_of(self.architecture)
        return Observation(n["r"], n["d"], n["w"], c, n["flops"], n["params"], accuracy, str(i))

    @cached_property
    def _places(self) -> NDArray[np.float64]:
        return self._unit(*([n[name] for n in self.networks] for name in ("r", "d", "flops")))

    def _unit(self, r: Sequence[float], d: Sequence[float], flops: Sequence[float]) -> NDArray[np.float64]:
        s = self.space
        low, high = np.array([(*s.r,), (*s.d,), np.log(s.flops)]).T
        return (np.column_stack([r, d, np.log(flops)]) - low) / (high - low)


class Trained(NamedTuple):
    """A recorded network trained for so many epochs more; its accuracy where these were the last."""

    network: int
    epochs: int
    accuracy: float | None


Method = Callable[[Recorded, int], Iterator[Trained]]


def at_random(recorded: Recorded, seed: int) -> Iterator[Trained]:
    for i in np.random.default_rng(seed).permutation(len(recorded.networks)).tolist():
        yield Trained(i, recorded.epochs, recorded.networks[i]["accuracy"])


@dataclass
class Sampler:
    """rdw's active sampler over recorded networks: an even design, then what promises most to the front."""

    recorded: Recorded
    seed: int
    left: list[int] = field(default_factory=list)
    tuned: dict[int, Tuned] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.left = list(range(len(self.recorded.networks)))
        self._design = iter(pool(self.recorded.architecture, self.recorded.space, self.seed, len(self.left)))

    def next(self, known: list[Observation], epochs: int) -> int:
        """The one to train next, by what networks had reached after so many epochs."""
        recorded = self.recorded
        if not enough(known):
            drawn = next(self._design)
            chosen = recorded.nearest(drawn.r, drawn.d, drawn.flops, self.left)
        else:
            surrogate = self._fitted(known, epochs)
            candidates = [recorded.candidates[i] for i in self.left]
            (best,) = most_promising(recorded.architecture, recorded.space, surrogate, candidates, 1)
            chosen = self.left[best]
        self.left.remove(chosen)
        return chosen

    def _fitted(self, known: list[Observation], epochs: int) -> Surrogate:
        """As the service keeps hyperparameters: found anew once a quarter more networks are known."""
        tuned = self.tuned.get(epochs)
        if tuned is None or len(known) >= 1.25 * tuned.networks:
            tuned = self.tuned[epochs] = Tuned(Surrogate.fitted(points(known)).prior, len(known))
        return Surrogate.fitted(points(known), tuned.prior)


def active(recorded: Recorded, seed: int) -> Iterator[Trained]:
    sampler, known = Sampler(recorded, seed), list[Observation]()
    while sampler.left:
        i = sampler.next(known, recorded.epochs)
        accuracy = recorded.networks[i]["accuracy"]
        known.append(recorded.observed(i, accuracy))
        yield Trained(i, recorded.epochs, accuracy)


def halved(recorded: Recorded, seed: int) -> Iterator[Trained]:
    """The active sampler with successive halving: who may go on does so first; then the next network begins.

    The sampler learns from the highest rung that enough networks have reached, as the service's does.
    """
    steps = rungs(recorded.epochs, ETA, LEAST_EPOCHS)
    sampler, at = Sampler(recorded, seed), {step: dict[int, float]() for step in steps}

    def train(i: int, before: int, until: int) -> Trained:
        whole = until == recorded.epochs
        at[until][i] = recorded.networks[i]["accuracy"] if whole else recorded.networks[i]["epochs"][until - 1]
        return Trained(i, until - before, at[until][i] if whole else None)

    while True:
        for rung, following in reversed(list(pairwise(steps))):
            there = [RungResult(str(i), recorded.networks[i]["flops"], a) for i, a in at[rung].items()]
            best = promotable(there, {str(i) for i in at[following]}, ETA)
            if best:
                yield train(int(best[0]), rung, following)
                break
        else:
            if not sampler.left:
                return
            learned = {step: [recorded.observed(i, a) for i, a in at[step].items()] for step in steps}
            highest = next((step for step in reversed(steps) if enough(learned[step])), steps[0])
            yield train(sampler.next(learned[highest], highest), 0, steps[0])


def by_optuna(name: str, recorded: Recorded, seed: int) -> Iterator[Trained]:
    study, ranges = optuna_study(name, seed), distributions(recorded.space)
    left = list(range(len(recorded.networks)))
    while left:
        asked = study.ask(ranges)
        i = recorded.nearest(asked.params["r"], asked.params["d"], asked.params["flops"], left)
        left.remove(i)
        network = recorded.networks[i]
        study.tell(asked, state=TrialState.FAIL)  # it was another one that was trained, which it learns of
        params = {"r": network["r"], "d": network["d"], "flops": float(network["flops"])}
        values = [float(np.log10(network["flops"])), network["accuracy"]]
        study.add_trial(create_trial(params=params, distributions=ranges, values=values))
        yield Trained(i, recorded.epochs, network["accuracy"])


def optuna_study(name: str, seed: int) -> optuna.Study:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.create_study(directions=["minimize", "maximize"], sampler=OPTUNAS[name](seed))


def distributions(space: Space) -> dict[str, Any]:
    least, most = map(float, space.flops)
    return {
        "r": FloatDistribution(*space.r),
        "d": FloatDistribution(*space.d),
        "flops": FloatDistribution(least, most, log=True),
    }


METHODS: dict[str, Method] = {
    "random": at_random,
    "active": active,
    "active + halving": halved,
    **{name: partial(by_optuna, name) for name in OPTUNAS},
}


@dataclass(frozen=True)
class Area:
    """Hypervolume within a worst corner, as a share of what the random networks reach in all."""

    name: str
    corner: tuple[float, float]
    whole: float

    @classmethod
    def of(cls, name: str, least: float, finished: list[Finished]) -> Area:
        corner = 1.01 * max(f.flops for f in finished), least
        return cls(name, corner, front.hypervolume([f.flops for f in finished], [f.accuracy for f in finished], corner))

    def share(self, finished: Sequence[Finished]) -> float:
        if not finished:
            return 0.0
        flops, accuracy = [f.flops for f in finished], [f.accuracy for f in finished]
        return front.hypervolume(flops, accuracy, self.corner) / self.whole

    def epochs_until_enough(self, finished: Sequence[Finished]) -> float:
        """Infinite where it never is."""
        spent = 0.0
        for n, one in enumerate(finished, 1):
            spent += one.epochs
            if self.share(finished[:n]) >= ENOUGH:
                return spent
        return float("inf")


def areas(finished: list[Finished]) -> list[Area]:
    least = min(f.accuracy for f in finished)
    return [Area.of(f"{least:.3f}", least, finished), Area.of("0", 0.0, finished)]


def within(finished: Sequence[Finished], epochs: float) -> list[Finished]:
    """Those that were done after so many epochs."""
    spent = np.cumsum([f.epochs for f in finished])
    return list(finished[: int((spent <= epochs).sum())])


def replayed(method: Method, recorded: Recorded, seed: int, looked_at: list[Area]) -> list[Finished]:
    """In the order finished, until a quarter of the epochs is spent and 95 % are reached, or it is given up."""
    whole = recorded.epochs * len(recorded.networks)
    finished: list[Finished] = []
    spent, since = 0, 0
    for one in method(recorded, seed):
        spent, since = spent + one.epochs, since + one.epochs
        if one.accuracy is not None:
            finished.append(Finished(since, recorded.networks[one.network]["flops"], one.accuracy))
            since = 0
        done = spent > QUARTER * whole and all(area.share(finished) >= ENOUGH for area in looked_at)
        if done or spent > GIVEN_UP * whole:
            break
    return finished


def replay(recorded: Recorded, methods: list[str], seeds: int) -> dict[str, list[Finished]]:
    """Prints a table; of each method the course that was in the middle after a quarter of the epochs."""
    whole, looked_at = recorded.epochs * len(recorded.networks), areas(recorded.finished)
    print(
        f"{len(recorded.networks)} recorded networks of {recorded.epochs} epochs; mean (least..most) of {seeds} seeds\n"
    )
    print(f"{'':<18}{'corner':<9}{'after 25 % of epochs':<25}{'≥ 95 %':<9}{'95 % after (median)':<28}{'s a seed':>9}")
    middle = {}
    for name in methods:
        began = time.monotonic()
        courses = [replayed(METHODS[name], recorded, seed, looked_at) for seed in range(seeds)]
        seconds = (time.monotonic() - began) / seeds
        for area in looked_at:
            shares = [area.share(within(course, QUARTER * whole)) for course in courses]
            needed = [area.epochs_until_enough(course) / whole for course in courses]
            print(
                f"{name:<18}{area.name:<9}{_spread(shares):<25}{sum(s >= ENOUGH for s in shares):>2} of {seeds:<4}"
                f"{_needed(needed):<28}{seconds:>8.1f}",
                flush=True,
            )
        hard = [looked_at[0].share(within(course, QUARTER * whole)) for course in courses]
        middle[name] = courses[int(np.argsort(hard)[len(hard) // 2])]
    return middle


def _spread(shares: list[float]) -> str:
    return f"{statistics.fmean(shares):.3f} ({min(shares):.3f}..{max(shares):.3f})"


def _needed(shares: list[float]) -> str:
    told = [f"{share:.1%}" if share <= GIVEN_UP else f"> {GIVEN_UP:.0%}" for share in sorted(shares)]
    return f"{told[len(told) // 2]} ({told[0]}..{told[-1]})"


class Course:
    """The networks of a study in the order finished, and the epochs between; kept in a file, to be gone on with."""

    def __init__(self, file: Path) -> None:
        self._file = file
        kept = json.loads(file.read_text()) if file.exists() else {"counted": [], "before": 0.0, "finished": []}
        self._counted, self._before = set(kept["counted"]), kept["before"]
        self.finished = [Finished(*one) for one in kept["finished"]]

    def goes_on(self, spent: float, trials: list[dict[str, Any]]) -> None:
        """So many epochs have been spent in all by now."""
        completed = [t for t in trials if t["state"] == "completed" and t["id"] not in self._counted]
        for trial in sorted(completed, key=lambda t: t["finished_at"]):
            self._counted.add(trial["id"])
            self.finished.append(Finished(spent - self._before, trial["flops"], trial["result"]["accuracy"]))
            self._before = spent
        kept = {"counted": sorted(self._counted), "before": self._before, "finished": self.finished}
        self._file.write_text(json.dumps(kept))


class Live:
    """The service, training for each method with so many epochs."""

    def __init__(self, client: httpx.Client, recorded: Recorded, networks: int, epochs: int, args: Any) -> None:
        self.client, self.recorded, self.networks, self.epochs = client, recorded, networks, epochs
        self.recipe = {**recorded.about["recipe"], "epochs": epochs}
        self.recipe.update(json.loads(args.recipe))
        self.dataset, self.workers, self.seed = args.dataset or recorded.about["dataset"], args.workers, args.seed
        self.folder = args.data_dir
        self.budget = QUARTER * networks * epochs
        self.name = recorded.spec["name"]
        self._post("/v1/architectures", recorded.spec)

    def at_random(self) -> list[Finished]:
        return self._study("random", self.networks, self.networks * self.epochs)

    def run(self, method: str) -> list[Finished]:
        if method in OPTUNAS:
            return self._by_optuna(method)
        halving = {"halving": {"eta": ETA, "least_epochs": LEAST_EPOCHS}} if method == "active + halving" else {}
        # Of a halved study more networks are begun than a quarter: it is stopped where its epochs are spent.
        size = self.networks if halving else max(1, round(self.budget / self.epochs))
        return self._study(method, size, self.budget, sampler="active", **halving)

    def _study(self, method: str, size: int, budget: float, **options: Any) -> list[Finished]:
        seed = self._seed(method)
        asked = json.dumps([method, size, self.dataset, self.recipe, seed, options], sort_keys=True)
        named = f"less compute: {method} {hashlib.sha256(asked.encode()).hexdigest()[:12]}"
        known = self._get("/v1/studies", limit=200, architecture=self.name)["items"]
        study, state = next(((s["id"], s["state"]) for s in known if s["name"] == named), (None, None))
        if state == "cancelled":  # it had spent its epochs
            return Course(self.folder / f"{study}.json").finished
        if study is None:
            body = {"name": named, "architecture": self.name, "dataset": self.dataset, "recipe": self.recipe}
            body |= {"space": self.recorded.about["space"], "trials": size, "seed": seed}
            study = self._post("/v1/studies", {**body, "refit": {"every": None}, **options})["id"]
        self._post(f"/v1/studies/{study}/start")
        course = Course(self.folder / f"{study}.json")
        while True:
            completed = self._get(f"/v1/studies/{study}")["state"] == "completed"  # before its trials are read
            trials = self._trials(study)
            spent = sum(map(_spent, trials))
            over = spent > budget
            if not over:
                course.goes_on(spent, trials)
            self._say(f"{method}: {spent:.0f} of {budget:.0f} epochs, {len(course.finished)} networks")
            if over or completed:
                break
            time.sleep(1)
        self._said()
        if over:
            self._post(f"/v1/studies/{study}/cancel")
            while any(trial["state"] == "running" for trial in self._trials(study)):
                time.sleep(1)
        return course.finished

    def _by_optuna(self, method: str) -> list[Finished]:
        """As many at a time as there are workers, each told to Optuna as it comes."""
        study, ranges = optuna_study(method, self._seed(method)), distributions(self.recorded.space)
        waiting: dict[str, optuna.Trial] = {}
        finished: list[Finished] = []
        begun, most = 0, max(1, round(self.budget / self.epochs))
        while begun < most or waiting:
            while begun < most and len(waiting) < self.workers:
                asked = study.ask(ranges)
                trial = self._requested(asked.params, self._seed(method))
                if trial is None or trial in waiting:
                    study.tell(asked, state=TrialState.FAIL)
                    continue
                waiting[trial] = asked
                begun += 1
            for trial in list(waiting):
                found = self._get(f"/v1/trials/{trial}")
                if found["state"] not in ENDED:
                    continue
                asked = waiting.pop(trial)
                if found["state"] == "completed":
                    accuracy = found["result"]["accuracy"]
                    study.tell(asked, [float(np.log10(found["flops"])), accuracy])
                    finished.append(Finished(self.epochs, found["flops"], accuracy))
                else:
                    study.tell(asked, state=TrialState.FAIL)
            self._say(f"{method}: {len(finished)} of {most} networks")
            time.sleep(0.5)
        self._said()
        return finished

    def _requested(self, params: dict[str, float], seed: int) -> str | None:
        """The trial of the network that has r, d and the flops suggested; None where no width gives it."""
        wanted = {"architecture": self.name, "target": {"flops": round(params["flops"])}, "rule": "manual"}
        wanted |= {"multipliers": {"r": params["r"], "d": params["d"]}, "budget": {"tolerance": None}}
        answer = self.client.post("/v1/scale", json=wanted)
        if answer.status_code == 422:
            return None
        m = _checked(answer)["multipliers"]
        body = {"architecture": self.name, "multipliers": {k: m[k] for k in ("r", "d", "w")}}
        body |= {"dataset": self.dataset, "recipe": self.recipe, "seed": seed}
        return str(self._post("/v1/trials", body)["id"])

    def _seed(self, method: str) -> int:
        """Each method's own: a network that another one trained would cost it nothing."""
        return self.seed + list(METHODS).index(method)

    def _say(self, how_far: str) -> None:
        if sys.stdout.isatty():
            print(f"\r{how_far} ", end="", flush=True)
        self._how_far = how_far

    def _said(self) -> None:
        print("" if sys.stdout.isatty() else self._how_far, flush=True)

    def _trials(self, study: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        page = self._get("/v1/trials", study=study, limit=200)
        while True:
            found += page["items"]
            if page["next"] is None:
                return found
            page = self._get("/v1/trials", study=study, limit=200, cursor=page["next"])

    def _get(self, path: str, **query: Any) -> dict[str, Any]:
        return _checked(self.client.get(path, params=query))

    def _post(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        return _checked(self.client.post(path, json=body))


def _spent(trial: dict[str, Any]) -> float:
    """Epochs that a trial has been trained for so far."""
    if trial["state"] == "completed":
        return float(len(trial["result"]["history"]))
    rung = (trial["rungs"] or [{"epoch": 0}])[-1]["epoch"]
    return float(max(rung, (trial["progress"] or {}).get("epoch", 0)))


def live(recorded: Recorded, methods: list[str], args: argparse.Namespace) -> dict[str, list[Finished]]:
    """Prints the table of what each method reached with a quarter of the epochs."""
    networks, epochs = args.networks or len(recorded.networks), args.epochs or recorded.epochs
    as_recorded = epochs == recorded.epochs and networks == len(recorded.networks) and not args.dataset
    with service(args) as client:
        trainer = Live(client, recorded, networks, epochs, args)
        courses = {"random": recorded.finished if as_recorded else trainer.at_random()}
        for name in methods:
            if name != "random":
                courses[name] = trainer.run(name)
    whole, looked_at = epochs * networks, areas(courses["random"])
    print(f"\n{networks} random networks of {epochs} epochs{', recorded' if as_recorded else ''}; one course each\n")
    print(f"{'':<18}{'corner':<9}{'epochs':>8}{'networks':>10}{'hypervolume':>13}   {'95 % after':<12}")
    for name, course in courses.items():
        for area in looked_at:
            kept = course if name == "random" else within(course, QUARTER * whole)
            needed = area.epochs_until_enough(course) / whole
            told = f"{needed:.1%}" if needed < float("inf") else "not reached"
            spent = sum(f.epochs for f in kept)
            print(f"{name:<18}{area.name:<9}{spent:>8.0f}{len(kept):>10}{area.share(kept):>13.3f}   {told:<12}")
    return courses


@contextmanager
def service(args: argparse.Namespace) -> Iterator[httpx.Client]:
    args.data_dir.mkdir(parents=True, exist_ok=True)
    log = args.data_dir / "less-compute.log"
    environment = {
        **os.environ,
        "RDW_PORT": str(args.port),
        "RDW_WORKERS": str(args.workers),
        "RDW_THREADS": "1",
        "RDW_DATA_DIR": str(args.data_dir.resolve()),
    }
    with log.open("w") as opened:
        process = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "serve"],
            env=environment,
            stdout=opened,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # an interrupt is this program's to pass on
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{args.port}", timeout=60) as client:
            deadline = time.monotonic() + STARTS_WITHIN
            while not _ready(client):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise Failed(f"The service did not start:\n{log.read_text()}")
                time.sleep(0.3)
            yield client
    finally:
        process.terminate()
        process.wait(60)


def _ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


def _checked(response: httpx.Response) -> dict[str, Any]:
    if response.is_error:
        raise Failed(f"{response.request.method} {response.request.url.path}: {response.text}")
    return response.json()


def draw(courses: dict[str, list[Finished]], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    drawing = hypervolume(courses)
    for suffix in ("svg", "png", "csv"):
        (folder / f"less-compute.{suffix}").write_bytes(drawing.render(suffix))
    print(f"\nFigure: {folder / 'less-compute.svg'}")


def main() -> int:
    args = _arguments()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    recorded = Recorded.load(args.recorded, args.networks, args.without_cheapest)
    try:
        courses = live(recorded, args.methods, args) if args.live else replay(recorded, args.methods, args.seeds)
    except KeyboardInterrupt:
        print("\nInterrupted; what was trained is kept, and the next run goes on from there.")
        return 130
    except Failed as failure:
        print(failure, file=sys.stderr)
        return 1
    draw(courses, args.out)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recorded", type=Path, default=RECORDED, help="the recorded study (default: %(default)s)")
    parser.add_argument("--methods", nargs="+", choices=METHODS, help="(default: all; live without Optuna's)")
    parser.add_argument("--networks", type=int, help="of the recorded ones, or random ones live (default: all of them)")
    parser.add_argument(
        "--without-cheapest", type=int, default=0, metavar="N",
        help="leave out the N cheapest recorded networks, which make the longest step of the front (default: 0)",
    )  # fmt: skip
    parser.add_argument("--seeds", type=int, default=10, help="replays of each method (default: %(default)s)")
    data_dir = Path(os.environ.get("RDW_DATA_DIR", "var"))
    parser.add_argument("--out", type=Path, default=data_dir / "figures", help="the figure's folder")
    of_live = parser.add_argument_group("live", "about 15 minutes on two cores; with all methods half an hour")
    of_live.add_argument("--live", action="store_true", help="train, instead of replaying")
    of_live.add_argument("--epochs", type=int, help="of a training (default: as recorded)")
    of_live.add_argument("--dataset", help="another one; the random networks are then trained as well")
    of_live.add_argument("--recipe", default="{}", help="JSON: what is to be other than the recorded recipe")
    of_live.add_argument("--seed", type=int, default=1, help="(default: %(default)s)")
    of_live.add_argument("--workers", type=int, default=2, help="trainings at a time (default: %(default)s)")
    of_live.add_argument("--data-dir", type=Path, default=data_dir / "less-compute", help="(default: %(default)s)")
    of_live.add_argument("--port", type=int, default=8767)
    args = parser.parse_args()
    args.methods = args.methods or [name for name in METHODS if not args.live or name not in OPTUNAS]
    return args


if __name__ == "__main__":
    sys.exit(main())
