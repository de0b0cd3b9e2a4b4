"""Does the active sampler find the front with less compute than random trainings do, and than Optuna's samplers?

The bench measures the share of all random networks' hypervolume that a method reaches after a quarter of their epochs,
and the share of the epochs after which it reaches 95 %.

By default it replays a recorded study: a hundred random networks that were trained, with their accuracy after each
epoch. Each method chooses among the recorded networks only, so none can do better than all of them. rdw's acquisition
function scores them; a suggestion of Optuna is replaced by the nearest network left. Networks are trained one after the
other, and each method runs with several seeds.

With `--live` the service trains: its own studies, and the networks of Optuna's samplers through `POST /v1/trials`, each
method with a quarter of the epochs. The recorded networks are the random study. Here the samplers choose from all
networks of the space. Finished trainings stay in the data directory, and the next run resumes from there.

The hypervolume is over (log10 multiply-adds, accuracy) within a reference point: 1.01 times the maximum multiply-adds
of the random networks, and either their minimum accuracy (harder, as what all networks reach counts for nothing) or 0.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import FloatDistribution

from app.core.studies import StudyStatus
from app.core.trials import TrialState
from app.figures import FinishedTraining, hypervolume
from app.reproduce.local_service import ServiceNotReady, run_service
from app.scaling.families import flops_of
from app.scaling.network import Architecture
from app.scaling.predictors.point import Point
from app.scaling.predictors.surrogate import MIN_NETWORKS, Surrogate, count_networks
from app.scaling.search import front
from app.scaling.search.active_sampler import TunedPrior, rank_by_promise
from app.scaling.search.asha import Halving, expect_results, promotable
from app.scaling.search.candidate_pool import get_pool
from app.scaling.search.candidates import Candidate
from app.scaling.search.observations import Observation, to_evidence
from app.scaling.search.random_sampler import Space
from rdw_client import Client, RdwError, TargetOutOfRange, Trial

RECORDED = Path(__file__).parent / "recorded" / "typefaces.json"
ETA, MIN_EPOCHS = 3, 1
OPTUNA_SAMPLERS: dict[str, Callable[[int], optuna.samplers.BaseSampler]] = {
    # With its default population of 50 it would sample only random networks within this budget.
    "Optuna NSGA-III": lambda seed: optuna.samplers.NSGAIIISampler(seed=seed, population_size=8),
    "Optuna GP": lambda seed: optuna.samplers.GPSampler(seed=seed, deterministic_objective=False),
}
QUARTER, ENOUGH = 0.25, 0.95
MAX_SHARE = 0.6  # of the epochs: a replay that has not reached 95 % by then ends


@dataclass(frozen=True)
class RecordedStudy:
    """A random study: its architecture and space, and each network with its accuracy after each epoch."""

    about: dict[str, Any]
    spec: dict[str, Any]
    networks: list[dict[str, Any]]

    @classmethod
    def load(cls, path: Path, max_networks: int | None = None, without_cheapest: int = 0) -> RecordedStudy:
        """Load the first `max_networks` networks, without the cheapest ones of them."""
        plain = json.loads(path.read_text())
        networks = plain["networks"][:max_networks]
        cheapest = sorted(network["flops"] for network in networks)[:without_cheapest]
        return cls(plain["about"], plain["architecture"], [n for n in networks if n["flops"] not in cheapest])

    @cached_property
    def architecture(self) -> Architecture:
        return Architecture.from_json(self.spec)

    @cached_property
    def space(self) -> Space:
        baseline_flops, ranges = flops_of(self.architecture), self.about["space"]
        low, high = (int(ratio * baseline_flops) for ratio in ranges["ratio"])
        return Space(tuple(ranges["r"]), tuple(ranges["d"]), tuple(ranges["w"]), (low, high))

    @property
    def epochs(self) -> int:
        return len(self.networks[0]["epochs"])

    @cached_property
    def finished(self) -> list[FinishedTraining]:
        return [FinishedTraining(self.epochs, network["flops"], network["accuracy"]) for network in self.networks]

    @cached_property
    def candidates(self) -> list[Candidate]:
        """The networks as the sampler ranks them, which does not depend on the segment of the width."""
        return [
            Candidate(n["r"], n["d"], 0, n["w"], n["flops"], (n["resolution"], n["flops"], n["params"]))
            for n in self.networks
        ]

    def find_nearest(self, r: float, d: float, flops: float, left: list[int]) -> int:
        """Return the nearest of the networks left, by r, d and the logarithm of flops relative to their ranges."""
        distances = ((self._coordinates[left] - self._to_unit_cube([r], [d], [flops])) ** 2).sum(1)
        return left[int(distances.argmin())]

    def to_observation(self, i: int, accuracy: float) -> Observation:
        n = self.networks[i]
        c = n["flops"] / flops_of(self.architecture)
        return Observation(n["r"], n["d"], n["w"], c, n["flops"], n["params"], accuracy, str(i))

    def to_training(self, i: int, epochs: int) -> Observation:
        """Return the training of a network that has reached this number of epochs."""
        n, is_last = self.networks[i], epochs == self.epochs
        curve = tuple(enumerate(n["epochs"][:epochs], 1))
        if is_last:
            curve = (*curve[:-1], (epochs, n["accuracy"]))
        return replace(self.to_observation(i, n["accuracy"] if is_last else float("nan")), curve=curve)

    @cached_property
    def _coordinates(self) -> NDArray[np.float64]:
        return self._to_unit_cube(*([n[name] for n in self.networks] for name in ("r", "d", "flops")))

    def _to_unit_cube(self, r: Sequence[float], d: Sequence[float], flops: Sequence[float]) -> NDArray[np.float64]:
        s = self.space
        low, high = np.array([(*s.r,), (*s.d,), np.log(s.flops)]).T
        return (np.column_stack([r, d, np.log(flops)]) - low) / (high - low)


class TrainingStep(NamedTuple):
    """More epochs of a recorded network, and its accuracy if these were the last."""

    network: int
    epochs: int
    accuracy: float | None


Method = Callable[[RecordedStudy, int], Iterator[TrainingStep]]


def train_at_random(recorded: RecordedStudy, seed: int) -> Iterator[TrainingStep]:
    for i in np.random.default_rng(seed).permutation(len(recorded.networks)).tolist():
        yield TrainingStep(i, recorded.epochs, recorded.networks[i]["accuracy"])


@dataclass
class ReplayedSampler:
    """rdw's active sampler over recorded networks: an even design, then the most promising network each."""

    recorded: RecordedStudy
    seed: int
    left: list[int] = field(default_factory=list)
    tuned: TunedPrior | None = None

    def __post_init__(self) -> None:
        self.left = list(range(len(self.recorded.networks)))
        self._design = iter(get_pool(self.recorded.architecture, self.recorded.space, self.seed).first(len(self.left)))

    def choose_next(self, finished: list[Observation], partial: list[Observation]) -> int:
        """Choose the network to train next, given the finished trainings and the learning curves of the others."""
        recorded = self.recorded
        points, epoch = to_evidence(recorded.architecture, finished, partial, recorded.epochs)
        if count_networks(points) < MIN_NETWORKS:
            point = next(self._design)
            network = recorded.find_nearest(point.r, point.d, point.flops, self.left)
        else:
            surrogate = self._fit_surrogate(points, epoch)
            candidates = [recorded.candidates[i] for i in self.left]
            best = rank_by_promise(recorded.architecture, recorded.space, surrogate, candidates, 1)[0]
            network = self.left[best]
        self.left.remove(network)
        return network

    def _fit_surrogate(self, points: Sequence[Point], epoch: int) -> Surrogate:
        """Fit as the service does: hyperparameters are tuned again when there are a quarter more networks."""
        tuned = self.tuned
        if tuned is None or tuned.epoch != epoch or len(points) >= 1.25 * tuned.networks:
            tuned = self.tuned = TunedPrior(Surrogate.fit([*points]).prior, len(points), epoch)
        return Surrogate.fit([*points], tuned.prior)


def train_actively(recorded: RecordedStudy, seed: int) -> Iterator[TrainingStep]:
    sampler, observations = ReplayedSampler(recorded, seed), list[Observation]()
    while sampler.left:
        i = sampler.choose_next(observations, [])
        accuracy = recorded.networks[i]["accuracy"]
        observations.append(recorded.to_observation(i, accuracy))
        yield TrainingStep(i, recorded.epochs, accuracy)


def train_with_halving(recorded: RecordedStudy, seed: int) -> Iterator[TrainingStep]:
    """Sample actively with successive halving: promotions go first, then the next network starts."""
    rungs = Halving(ETA, MIN_EPOCHS).rungs(recorded.epochs)
    sampler, epochs_of = ReplayedSampler(recorded, seed), dict[int, int]()

    def train(i: int, end: int) -> TrainingStep:
        start = epochs_of.get(i, 0)
        epochs_of[i] = end
        return TrainingStep(i, end - start, recorded.networks[i]["accuracy"] if end == recorded.epochs else None)

    while True:
        trainings = {str(i): recorded.to_training(i, epochs) for i, epochs in epochs_of.items()}
        for rung, next_rung in reversed(list(pairwise(rungs))):
            waiting = {str(i) for i, epochs in epochs_of.items() if epochs == rung}
            results = expect_results(recorded.architecture, trainings, rung) if waiting else []
            best = promotable(results, {result.id for result in results} - waiting, ETA)
            if best:
                yield train(int(best[0]), next_rung)
                break
        else:
            if not sampler.left:
                return
            finished = [o for o in trainings.values() if np.isfinite(o.accuracy)]
            partial = [o for o in trainings.values() if not np.isfinite(o.accuracy)]
            yield train(sampler.choose_next(finished, partial), rungs[0])


def train_by_optuna(name: str, recorded: RecordedStudy, seed: int) -> Iterator[TrainingStep]:
    study, ranges = create_optuna_study(name, seed), create_distributions(recorded.space)
    left = list(range(len(recorded.networks)))
    while left:
        suggestion = study.ask(ranges)
        i = recorded.find_nearest(suggestion.params["r"], suggestion.params["d"], suggestion.params["flops"], left)
        left.remove(i)
        network = recorded.networks[i]
        study.tell(suggestion, state=optuna.trial.TrialState.FAIL)  # instead, it learns of the network that was trained
        params = {"r": network["r"], "d": network["d"], "flops": float(network["flops"])}
        values = [float(np.log10(network["flops"])), network["accuracy"]]
        study.add_trial(optuna.trial.create_trial(params=params, distributions=ranges, values=values))
        yield TrainingStep(i, recorded.epochs, network["accuracy"])


def create_optuna_study(name: str, seed: int) -> optuna.Study:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.create_study(directions=["minimize", "maximize"], sampler=OPTUNA_SAMPLERS[name](seed))


def create_distributions(space: Space) -> dict[str, Any]:
    low, high = map(float, space.flops)
    return {
        "r": FloatDistribution(*space.r),
        "d": FloatDistribution(*space.d),
        "flops": FloatDistribution(low, high, log=True),
    }


METHODS: dict[str, Method] = {
    "random": train_at_random,
    "active": train_actively,
    "active + halving": train_with_halving,
    **{name: partial(train_by_optuna, name) for name in OPTUNA_SAMPLERS},
}


@dataclass(frozen=True)
class Region:
    """The hypervolume within a reference point; `total` is that of all random networks."""

    name: str
    reference: tuple[float, float]
    total: float

    @classmethod
    def create(cls, name: str, min_accuracy: float, finished: list[FinishedTraining]) -> Region:
        reference = 1.01 * max(f.flops for f in finished), min_accuracy
        total = front.hypervolume([f.flops for f in finished], [f.accuracy for f in finished], reference)
        return cls(name, reference, total)

    def share(self, finished: Sequence[FinishedTraining]) -> float:
        """Return the hypervolume of these trainings relative to the total."""
        if not finished:
            return 0.0
        flops, accuracy = [f.flops for f in finished], [f.accuracy for f in finished]
        return front.hypervolume(flops, accuracy, self.reference) / self.total

    def epochs_until_enough(self, finished: Sequence[FinishedTraining]) -> float:
        """Return the epochs after which 95 % are reached, infinity if never."""
        spent = 0.0
        for n, training in enumerate(finished, 1):
            spent += training.epochs
            if self.share(finished[:n]) >= ENOUGH:
                return spent
        return float("inf")


def create_regions(finished: list[FinishedTraining]) -> list[Region]:
    lowest = min(f.accuracy for f in finished)
    return [Region.create(f"{lowest:.3f}", lowest, finished), Region.create("0", 0.0, finished)]


def select_within(finished: Sequence[FinishedTraining], epochs: float) -> list[FinishedTraining]:
    """Return the trainings that had finished after this number of epochs."""
    spent = np.cumsum([f.epochs for f in finished])
    return list(finished[: int((spent <= epochs).sum())])


def replay_course(method: Method, recorded: RecordedStudy, seed: int, regions: list[Region]) -> list[FinishedTraining]:
    """Replay until a quarter of the epochs is spent and 95 % are reached, or `MAX_SHARE` is spent."""
    total = recorded.epochs * len(recorded.networks)
    finished: list[FinishedTraining] = []
    spent, since_last = 0, 0
    for step in method(recorded, seed):
        spent, since_last = spent + step.epochs, since_last + step.epochs
        if step.accuracy is not None:
            finished.append(FinishedTraining(since_last, recorded.networks[step.network]["flops"], step.accuracy))
            since_last = 0
        is_done = spent > QUARTER * total and all(region.share(finished) >= ENOUGH for region in regions)
        if is_done or spent > MAX_SHARE * total:
            break
    return finished


def replay(recorded: RecordedStudy, methods: list[str], seeds: int) -> dict[str, list[FinishedTraining]]:
    """Print a table, and return each method's course with the median share after a quarter of the epochs."""
    total, regions = recorded.epochs * len(recorded.networks), create_regions(recorded.finished)
    print(f"{len(recorded.networks)} recorded networks of {recorded.epochs} epochs; mean (min..max) of {seeds} seeds\n")
    print(
        f"{'':<18}{'accuracy':<9}{'after 25 % of epochs':<25}{'≥ 95 %':<9}{'95 % after (median)':<28}{'s per seed':>10}"
    )
    medians = {}
    for name in methods:
        started = time.monotonic()
        courses = [replay_course(METHODS[name], recorded, seed, regions) for seed in range(seeds)]
        seconds = (time.monotonic() - started) / seeds
        for region in regions:
            shares = [region.share(select_within(course, QUARTER * total)) for course in courses]
            epochs = [region.epochs_until_enough(course) / total for course in courses]
            print(
                f"{name:<18}{region.name:<9}{_format_shares(shares):<25}"
                f"{sum(s >= ENOUGH for s in shares):>2} of {seeds:<4}{_format_epochs(epochs):<28}{seconds:>9.1f}",
                flush=True,
            )
        shares = [regions[0].share(select_within(course, QUARTER * total)) for course in courses]
        medians[name] = courses[int(np.argsort(shares)[len(shares) // 2])]
    return medians


def _format_shares(shares: list[float]) -> str:
    return f"{statistics.fmean(shares):.3f} ({min(shares):.3f}..{max(shares):.3f})"


def _format_epochs(shares: list[float]) -> str:
    texts = [f"{share:.1%}" if share <= MAX_SHARE else f"> {MAX_SHARE:.0%}" for share in sorted(shares)]
    return f"{texts[len(texts) // 2]} ({texts[0]}..{texts[-1]})"


class Course:
    """The networks of a study in the order finished, with the epochs in between; a file keeps them between runs."""

    def __init__(self, file: Path) -> None:
        self._file = file
        saved = json.loads(file.read_text()) if file.exists() else {"counted": [], "before": 0.0, "finished": []}
        self._counted, self._before = set(saved["counted"]), saved["before"]
        self.finished = [FinishedTraining(*training) for training in saved["finished"]]

    def update(self, spent: float, trials: list[Trial]) -> None:
        """Add the trials that have completed since the last update; `spent` are the epochs of all so far."""
        new = [t for t in trials if t.state == TrialState.COMPLETED and t.id not in self._counted]
        for trial in sorted(new, key=lambda t: str(t.finished_at)):
            assert trial.accuracy is not None
            self._counted.add(trial.id)
            self.finished.append(FinishedTraining(spent - self._before, trial.flops, trial.accuracy))
            self._before = spent
        state = {"counted": sorted(self._counted), "before": self._before, "finished": self.finished}
        self._file.write_text(json.dumps(state))


class Live:
    """The service, which trains for each method for the same number of epochs."""

    def __init__(self, client: Client, recorded: RecordedStudy, networks: int, epochs: int, args: Any) -> None:
        self.client, self.recorded, self.networks, self.epochs = client, recorded, networks, epochs
        self.recipe = {**recorded.about["recipe"], "epochs": epochs, **json.loads(args.recipe)}
        self.dataset, self.workers, self.seed = args.dataset or recorded.about["dataset"], args.workers, args.seed
        self.folder = args.data_dir
        self.budget = QUARTER * networks * epochs
        self.name = client.register_architecture(recorded.spec).name
        self._last_line = ""

    def run_random(self) -> list[FinishedTraining]:
        return self._run_study("random", self.networks, self.networks * self.epochs)

    def run(self, method: str) -> list[FinishedTraining]:
        if method in OPTUNA_SAMPLERS:
            return self._run_optuna(method)
        halving = {"halving": {"eta": ETA, "min_epochs": MIN_EPOCHS}} if method == "active + halving" else {}
        # With halving, more networks are started than a quarter: the study is cancelled once its budget is spent.
        size = self.networks if halving else max(1, round(self.budget / self.epochs))
        return self._run_study(method, size, self.budget, sampler="active", **halving)

    def _run_study(self, method: str, size: int, budget: float, **options: Any) -> list[FinishedTraining]:
        seed = self._seed(method)
        identity = json.dumps([method, size, self.dataset, self.recipe, seed, options], sort_keys=True)
        name = f"less compute: {method} {hashlib.sha256(identity.encode()).hexdigest()[:12]}"
        study = next((s for s in self.client.studies(architecture=self.name) if s.name == name), None)
        if study is None:
            study = self.client.create_study(
                name,
                self.name,
                self.dataset,
                recipe=self.recipe,
                space=self.recorded.about["space"],
                trials=size,
                seed=seed,
                refit={"every": None},
                **options,
            )
        course = Course(self.folder / f"{study.id}.json")
        if study.state == StudyStatus.CANCELLED:  # it has spent its epochs
            return course.finished
        self.client.start_study(study)
        while True:
            is_completed = self.client.study(study).state == StudyStatus.COMPLETED  # before its trials are read
            trials = list(self.client.trials(study=study))
            spent = sum(map(_epochs_spent, trials))
            is_over = spent > budget
            if not is_over:
                course.update(spent, trials)
            self._show(f"{method}: {spent:.0f} of {budget:.0f} epochs, {len(course.finished)} networks")
            if is_over or is_completed:
                break
            time.sleep(1)
        self._end_line()
        if is_over:
            self.client.cancel_study(study)
            while any(trial.is_running for trial in self.client.trials(study=study)):
                time.sleep(1)
        return course.finished

    def _run_optuna(self, method: str) -> list[FinishedTraining]:
        """Train as many networks at a time as there are workers, and report each to Optuna as it completes."""
        study, ranges = create_optuna_study(method, self._seed(method)), create_distributions(self.recorded.space)
        running: dict[str, optuna.Trial] = {}
        finished: list[FinishedTraining] = []
        started, total = 0, max(1, round(self.budget / self.epochs))
        while started < total or running:
            while started < total and len(running) < self.workers:
                suggestion = study.ask(ranges)
                trial_id = self._train(suggestion.params, self._seed(method))
                if trial_id is None or trial_id in running:
                    study.tell(suggestion, state=optuna.trial.TrialState.FAIL)
                    continue
                running[trial_id] = suggestion
                started += 1
            for trial in [self.client.trial(id) for id in running]:
                if not trial.ended:
                    continue
                suggestion = running.pop(trial.id)
                if trial.state == TrialState.COMPLETED and trial.accuracy is not None:
                    study.tell(suggestion, [float(np.log10(trial.flops)), trial.accuracy])
                    finished.append(FinishedTraining(self.epochs, trial.flops, trial.accuracy))
                else:
                    study.tell(suggestion, state=optuna.trial.TrialState.FAIL)
            self._show(f"{method}: {len(finished)} of {total} networks")
            time.sleep(0.5)
        self._end_line()
        return finished

    def _train(self, params: dict[str, float], seed: int) -> str | None:
        """Train the network with the suggested r, d and flops, and return its trial; None if no width reaches them."""
        multipliers = {"r": params["r"], "d": params["d"]}
        try:
            answer = self.client.scale(
                self.name,
                flops=round(params["flops"]),
                rule="manual",
                multipliers=multipliers,
                budget={"tolerance": None},
            )
        except TargetOutOfRange:
            return None
        m = answer.multipliers
        return self.client.train(
            self.name,
            multipliers={"r": m.r, "d": m.d, "w": m.w},
            dataset=self.dataset,
            recipe=self.recipe,
            seed=seed,
        ).id

    def _seed(self, method: str) -> int:
        """Return a seed per method, as a network that another method has trained would cost nothing."""
        return self.seed + list(METHODS).index(method)

    def _show(self, line: str) -> None:
        if sys.stdout.isatty():
            print(f"\r{line} ", end="", flush=True)
        self._last_line = line

    def _end_line(self) -> None:
        print("" if sys.stdout.isatty() else self._last_line, flush=True)


def _epochs_spent(trial: Trial) -> float:
    """Return the epochs for which a trial has been trained so far."""
    if trial.result is not None:
        return float(len(trial.result["history"]))
    rung = (trial.raw["rungs"] or [{"epoch": 0}])[-1]["epoch"]
    return float(max(rung, (trial.progress or {}).get("epoch", 0)))


def run_live(
    recorded: RecordedStudy, methods: list[str], args: argparse.Namespace
) -> dict[str, list[FinishedTraining]]:
    """Print what each method reaches with a quarter of the epochs, and return their courses."""
    networks, epochs = args.networks or len(recorded.networks), args.epochs or recorded.epochs
    is_recorded = epochs == recorded.epochs and networks == len(recorded.networks) and not args.dataset
    environment = {"RDW_WORKERS": str(args.workers), "RDW_THREADS": "1"}
    with (
        run_service(args.data_dir, port=args.port, environment=environment) as service,
        Client(service.url) as client,
    ):
        trainer = Live(client, recorded, networks, epochs, args)
        courses = {"random": recorded.finished if is_recorded else trainer.run_random()}
        for name in methods:
            if name != "random":
                courses[name] = trainer.run(name)
    total, regions = epochs * networks, create_regions(courses["random"])
    print(f"\n{networks} random networks of {epochs} epochs{', recorded' if is_recorded else ''}; one course each\n")
    print(f"{'':<18}{'accuracy':<9}{'epochs':>8}{'networks':>10}{'hypervolume':>13}   {'95 % after':<12}")
    for name, course in courses.items():
        for region in regions:
            in_budget = course if name == "random" else select_within(course, QUARTER * total)
            share = region.epochs_until_enough(course) / total
            reached = f"{share:.1%}" if share < float("inf") else "not reached"
            spent = sum(f.epochs for f in in_budget)
            counts = f"{spent:>8.0f}{len(in_budget):>10}"
            print(f"{name:<18}{region.name:<9}{counts}{region.share(in_budget):>13.3f}   {reached:<12}")
    return courses


def draw(courses: dict[str, list[FinishedTraining]], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    drawing = hypervolume(courses)
    for suffix in ("svg", "png", "csv"):
        (folder / f"less-compute.{suffix}").write_bytes(drawing.render(suffix))
    print(f"\nFigure: {folder / 'less-compute.svg'}")


def main() -> int:
    args = _arguments()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    recorded = RecordedStudy.load(args.recorded, args.networks, args.without_cheapest)
    try:
        courses = run_live(recorded, args.methods, args) if args.live else replay(recorded, args.methods, args.seeds)
    except KeyboardInterrupt:
        print("\nInterrupted. Finished trainings are kept, and the next run resumes from there.")
        return 130
    except (ServiceNotReady, RdwError) as error:
        print(error, file=sys.stderr)
        return 1
    draw(courses, args.out)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recorded", type=Path, default=RECORDED, help="the recorded study (default: %(default)s)")
    parser.add_argument("--methods", nargs="+", choices=METHODS, help="(default: all; live without Optuna's)")
    parser.add_argument(
        "--networks", type=int, help="recorded networks, or random ones with --live (default: all recorded)"
    )
    parser.add_argument(
        "--without-cheapest", type=int, default=0, metavar="N",
        help="leave out the N cheapest recorded networks, which form the longest step of the front (default: 0)",
    )  # fmt: skip
    parser.add_argument("--seeds", type=int, default=10, help="replays of each method (default: %(default)s)")
    data_dir = Path(os.environ.get("RDW_DATA_DIR", "var"))
    parser.add_argument("--out", type=Path, default=data_dir / "figures", help="folder of the figure")
    live = parser.add_argument_group("live", "about 15 minutes on two cores; with all methods half an hour")
    live.add_argument("--live", action="store_true", help="train instead of replaying")
    live.add_argument("--epochs", type=int, help="epochs of each training (default: as recorded)")
    live.add_argument("--dataset", help="another data set; the random networks are then trained too")
    live.add_argument("--recipe", default="{}", help="JSON with changes to the recorded recipe")
    live.add_argument("--seed", type=int, default=1, help="(default: %(default)s)")
    live.add_argument("--workers", type=int, default=2, help="trainings at a time (default: %(default)s)")
    live.add_argument("--data-dir", type=Path, default=data_dir / "less-compute", help="(default: %(default)s)")
    live.add_argument("--port", type=int, default=8767)
    args = parser.parse_args()
    args.methods = args.methods or [name for name in METHODS if not args.live or name not in OPTUNA_SAMPLERS]
    return args


if __name__ == "__main__":
    sys.exit(main())
