"""The experiment that compares rules: replicated studies, the networks of each rule over many budgets, records.

What is recorded is not trained again, so an interrupted run resumes at the training, on any machine that has the file.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from app.core.studies import StudyStatus
from app.core.trials import TrialState
from app.data.recipes import Recipe
from app.reproduce.design import COMPARED_RULES as RULES
from app.reproduce.design import RANGE_SPACE, SHARED_RULES, STUDY_RULES, log_even_budgets
from app.reproduce.estimates import estimate_mean_seconds
from app.reproduce.prepare import find_baseline, find_dataset
from app.reproduce.progress import ProgressLine
from app.reproduce.recording import create_header, family_record, study_record, to_observation
from app.reproduce.records import SUFFIX, Key, Record, RecordFile, Records, family_key, read_records, study_key
from app.reproduce.statistics import estimate_power, measure_noise
from app.scaling.network import Architecture
from app.scaling.search.random_sampler import SearchSpace, sample
from app.scaling.solver.width_solver import Solution
from rdw_client import Client, Conflict, Invalid, NotFound, Recommendation, Study, TargetOutOfRange, Trial
from rdw_client.models import Architecture as Baseline
from rdw_client.models import Dataset

PRIMARY = tuple((rule, "compound") for rule in STUDY_RULES)
SECONDARY = (
    *((rule, reference) for reference in ("dwr", "published") for rule in STUDY_RULES),
    *((rule, "compound") for rule in ("dwr", "published")),
)

PUBLISHED_PREDICTOR = "published-tinynets"
FIRST_STUDY_SEED, FIRST_FAMILY_SEED = 101, 201
_STUDY_PRIORITY, _FAMILY_PRIORITY, _LOWEST_PRIORITY = 0, -1, -10  # then all networks with the first seed, and so on
_POLL_SECONDS = 2.0
_POLLED_AT_ONCE = 8  # trainings end in about the order of their requests


class InvalidDesign(Exception):
    """The design cannot be run; the message says why."""


@dataclass(frozen=True)
class Design:
    """What is compared, on one data set with one recipe.

    `budgets` are ratios to the baseline's multiply-adds. `from_studies` are ids of studies, or files of records, to
    learn from in place of new studies. `recipe` is a preset's name or the recipe's values.
    """

    dataset: str
    recipe: str | Mapping[str, Any]
    baseline: str | Mapping[str, Any] | None = None
    budgets: tuple[float, ...] = log_even_budgets(24)
    rules: tuple[str, ...] = RULES
    studies: int = 3
    networks: int = 60
    seeds: int = 2
    from_studies: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        unknown = set(self.rules) - set(RULES)
        if unknown:
            raise InvalidDesign(f"Unknown rules: {', '.join(sorted(unknown))}. There are {', '.join(RULES)}.")
        if len(set(self.budgets)) < 2 or not all(0 < budget <= 1 for budget in self.budgets):
            raise InvalidDesign("At least two different budgets are needed, each above 0 and at most 1.")

    def count_family(self, studies: int) -> int:
        """Return the number of trainings of the rules' networks."""
        per_budget = sum(studies if rule in STUDY_RULES else 1 for rule in self.rules)
        return per_budget * len(self.budgets) * self.seeds


@dataclass(frozen=True)
class _Source:
    """A study to learn from, and its number in the records.

    A new study has `networks` to train, one from a file has `records`; one of the service has neither here.
    """

    number: int
    study: Study
    networks: tuple[Solution, ...] = ()
    records: tuple[Record, ...] = ()

    @property
    def is_of_service(self) -> bool:
        return not self.networks and not self.records


@dataclass(frozen=True)
class _Request:
    """A training that was requested, and how it is recorded once it has completed."""

    title: str
    trial: str
    priority: int
    create_record: Callable[[Trial], Record]


class Experiment:
    """An experiment in progress: `path` is the file of its records; `missing` says what is not in it."""

    def __init__(self, client: Client, design: Design, folder: Path, progress: ProgressLine) -> None:
        self._client, self._design, self._folder, self._progress = client, design, folder, progress
        self._file: RecordFile | None = None
        self._baseline: dict[str, Any] = {}
        self.path: Path | None = None
        self.missing: list[str] = []

    def run(self) -> None:
        """Train what is not recorded yet, and record each training as it completes.

        Raises: CannotRun; InvalidRecords; RdwError.
        """
        dataset = find_dataset(self._client, self._design.dataset)
        baseline = find_baseline(self._client, self._design.baseline, dataset.channels)
        self._baseline = {name: getattr(baseline, name) for name in ("name", "flops", "params", "resolution")}
        sources = self._find_sources(self._adapt(baseline))
        self._open_records(sources, dataset)
        self._announce(sources)

        shared = [rule for rule in self._design.rules if rule in SHARED_RULES]
        learned = [rule for rule in self._design.rules if rule in STUDY_RULES]
        seeds = self._choose_family_seeds(sources)
        studies = [(source, self._request_study(source)) for source in sources]
        family = self._request_family(shared, seeds)
        for source, requests in studies:
            self._finish_study(source, requests)
            family += self._request_family(learned, seeds, source)
        self._finish(family, "the networks of the rules")

    # Studies to learn from

    def _adapt(self, baseline: Baseline) -> Architecture:
        """Return the baseline with the classes and channels that the service counts for the data set."""
        config = self._recommend("compound", 1.0, None).raw["config"]
        return Architecture.from_json(baseline.raw).adapt(config["num_classes"], config["in_chans"])

    def _find_sources(self, baseline: Architecture) -> list[_Source]:
        """Find or create the studies.

        Raises: InvalidRecords; NotFound; SpaceTooSmall.
        """
        if not self._design.from_studies:
            return [self._create_source(number, baseline) for number in range(1, self._design.studies + 1)]
        sources: list[_Source] = []
        for origin in self._design.from_studies:
            if is_file(origin):
                for records in _group_by_study(read_records([Path(origin)])):
                    renumbered = tuple(replace(record, study=len(sources) + 1) for record in records)
                    sources.append(self._create_source(len(sources) + 1, baseline, renumbered))
            else:
                sources.append(_Source(len(sources) + 1, self._client.study(origin)))
        return sources

    def _create_source(self, number: int, baseline: Architecture, records: tuple[Record, ...] = ()) -> _Source:
        """Create a study that observations are imported into: the experiment requests the trainings itself."""
        seed = FIRST_STUDY_SEED + number - 1
        choices = [self._baseline, self._design.dataset, _plain(self._design.recipe), self._design.networks]
        choices += [record.trial for record in records]
        study = self._client.create_study(
            f"experiment {_digest(choices)[:12]}, study {number}",
            baseline.name,
            self._design.dataset,
            recipe=_plain(self._design.recipe),
            space=RANGE_SPACE,
            trials=self._design.networks,
            seeds=1,
            seed=seed,
            load_if_exists=True,
        )
        if records:
            return _Source(number, study, records=records)
        space = SearchSpace.from_json(RANGE_SPACE).for_architecture(baseline)
        return _Source(number, study, networks=tuple(sample(baseline, space, self._design.networks, seed)))

    def _request_study(self, source: _Source) -> list[_Request]:
        """Request the trainings of a new study's networks that are not recorded yet."""
        requests = []
        for number, network in enumerate(source.networks, 1):
            config, seed = network.config.to_json(), source.study.seed
            cost = network.config.resolution, network.cost.flops, network.cost.params
            if not self._is_recorded(study_key(source.number, seed, *cost)):
                record = partial(study_record, number=source.number, multipliers=network.multipliers.to_json())
                title = f"network {number} of study {source.number}"
                requests.append(self._request(title, config, seed, _STUDY_PRIORITY, record))
        return requests

    def _finish_study(self, source: _Source, requests: Sequence[_Request]) -> None:
        """Wait until a study has trained its networks, record them, and fit its predictor to all of them."""
        if source.is_of_service:
            self._finish_study_of_service(source)
        else:
            self._finish(requests, f"study {source.number}")
        try:
            if not source.is_of_service:
                observations = [to_observation(record) for record in self._recorded_study(source.number)]
                self._client.import_observations(source.study, observations, source="experiment")
            self._client.refit(source.study)
        except (Conflict, Invalid) as problem:
            self.missing.append(f"Study {source.number} has no predictor: {problem}")

    def _finish_study_of_service(self, source: _Source) -> None:
        study = source.study if source.study.has_started else self._client.start_study(source.study)
        recorded: set[str] = set()
        while True:
            trials = list(self._client.trials(study=study.id))
            ended = {trial.id for trial in trials if trial.ended}
            for id in sorted(ended - recorded):
                trial = self._client.trial(id)
                self._record(trial, partial(study_record, number=source.number, multipliers=trial.multipliers or {}))
            recorded |= ended
            if len(ended) == len(trials) and self._client.study(study).state != StudyStatus.RUNNING:
                break
            self._progress.update(f"study {source.number}: {len(ended)} of {study.size} trained")
            time.sleep(_POLL_SECONDS)
        failed = sum(trial.state != TrialState.COMPLETED for trial in trials)
        if failed:
            self.missing.append(f"{failed} of {len(trials)} trainings of study {source.number} have not completed.")

    # The rules' networks

    def _choose_family_seeds(self, sources: Iterable[_Source]) -> list[int]:
        """Return seeds that no study has trained with, so that no training counts in a study and in its test."""
        used: set[int] = set()
        for source in sources:
            used |= {source.study.seed, *(record.seed for record in source.records)}
            if source.is_of_service:
                used |= {trial.seed for trial in self._client.trials(study=source.study.id)}
        unused = (seed for seed in range(FIRST_FAMILY_SEED, FIRST_FAMILY_SEED + 10_000) if seed not in used)
        return [next(unused) for _ in range(self._design.seeds)]

    def _request_family(
        self, rules: Sequence[str], seeds: Sequence[int], source: _Source | None = None
    ) -> list[_Request]:
        """Request the trainings of the rules' networks that are not recorded yet."""
        number = source.number if source else None
        requests = []
        for rule, budget in product(rules, self._design.budgets):
            unrecorded = [seed for seed in seeds if not self._is_recorded(family_key(number, rule, budget, seed))]
            if not unrecorded:
                continue
            try:
                answer = self._recommend(rule, budget, source.study if source else None).raw
            except (Conflict, Invalid, NotFound, TargetOutOfRange) as problem:
                self.missing.append(f"{rule} has no network at {budget:.3f}: {problem}")
                continue
            record = partial(family_record, number=number, rule=rule, budget=budget, answer=answer)
            for seed in unrecorded:
                title = f"{rule} at {budget:.3f}, seed {seed}"
                priority = max(_LOWEST_PRIORITY, _FAMILY_PRIORITY - seeds.index(seed))
                requests.append(self._request(title, answer["config"], seed, priority, record))
        return requests

    def _recommend(self, rule: str, budget: float, study: Study | None) -> Recommendation:
        """Get the network of a rule; without a study no predictor of this baseline, shipped or own, predicts for it."""
        return self._client.scale(
            self._baseline["name"],
            ratio=budget,
            rule="tiny_formula" if rule == "published" else rule,
            study=study,
            predictor=None if study else PUBLISHED_PREDICTOR,
            dataset=self._design.dataset,
        )

    # Trainings and records

    def _request(
        self, title: str, config: dict[str, Any], seed: int, priority: int, record: Callable[[Trial], Record]
    ) -> _Request:
        trial = self._client.train(
            config=config,
            dataset=self._design.dataset,
            recipe=_plain(self._design.recipe),
            seed=seed,
            priority=priority,
        )
        return _Request(title, trial.id, priority, record)

    def _finish(self, requests: Sequence[_Request], title: str) -> None:
        """Wait until trainings have ended, and record them."""
        pending = sorted(requests, key=lambda request: -request.priority)
        while pending:
            ended = [request for request in pending[:_POLLED_AT_ONCE] if self._record_request(request)]
            pending = [request for request in pending if request not in ended]
            if not ended:
                self._progress.update(f"{title}: {len(requests) - len(pending)} of {len(requests)} trained")
                time.sleep(_POLL_SECONDS)

    def _record_request(self, request: _Request) -> bool:
        """Record a requested training if it has ended; return whether it has."""
        trial = self._client.trial(request.trial)
        if trial.ended and trial.state != TrialState.COMPLETED:
            self.missing.append(f"{request.title}: {trial.state}.")
        self._record(trial, request.create_record)
        return trial.ended

    def _record(self, trial: Trial, create_record: Callable[[Trial], Record]) -> None:
        if trial.state != TrialState.COMPLETED or trial.result is None or self.path is None:
            return
        header = create_header(trial, self._baseline)
        if self._file is None:
            self._file = RecordFile(self.path, header)
        self._file.check(header)
        self._file.append(create_record(trial))

    def _open_records(self, sources: Sequence[_Source], dataset: Dataset) -> None:
        """Read what is recorded already, and copy the studies of other files into the experiment's own.

        Raises: InvalidRecords if they were trained on another data set or with another recipe.
        """
        recipe = sources[0].study.recipe or {}
        options = Recipe.from_json(recipe).determining_options()
        self.path = self._folder / f"{self._baseline['name']}.{dataset.name}.{_digest(options)[:8]}{SUFFIX}"
        files = [self.path] if self.path.exists() else []
        files += [Path(origin) for origin in self._design.from_studies if is_file(origin)]
        if not files:
            return
        header = read_records(files).header
        self._file = RecordFile(self.path, header)
        digest = dataset.digest or header.digest
        self._file.check(replace(header, baseline=self._baseline, dataset=dataset.name, recipe=recipe, digest=digest))
        for source in sources:
            for record in source.records:
                self._file.append(record)

    def _is_recorded(self, key: Key) -> bool:
        return self._file is not None and key in self._file

    def _recorded_study(self, number: int) -> list[Record]:
        return [r for r in (self._file or ()) if r.kind == "study" and r.study == number]

    def _announce(self, sources: Sequence[_Source]) -> None:
        seconds = estimate_mean_seconds(
            self._client,
            architecture=self._baseline["name"],
            dataset=self._design.dataset,
            recipe=self._design.recipe,
        )
        workers = max(1, sum(worker.alive for worker in self._client.workers()))
        records = list(self._file or ())
        for sentence in describe(self._design, len(sources), records, seconds, workers):
            self._progress.print(sentence)


def describe(design: Design, studies: int, records: Sequence[Record], seconds_each: float, workers: int) -> list[str]:
    """Describe the trainings, the time and the power, in a sentence each; `records` need no training."""
    networks = 0 if design.from_studies else studies * design.networks
    family = design.count_family(studies)
    recorded = sum(r.kind == "family" or networks > 0 for r in records)
    remaining = max(0, networks + family - recorded)
    scores = Records((), tuple(records)).scores
    power = estimate_power(studies, len(design.budgets), design.seeds, measure_noise(scores))
    known = f" {recorded} of them are recorded already." if recorded else ""
    return [
        f"{design.dataset}: {networks + family} trainings: {networks} of random networks, {family} "
        f"of {len(design.rules)} rules at {len(design.budgets)} budgets with {design.seeds} seeds.{known}",
        f"About {remaining * seconds_each / workers / 3600:.1f} hours on {workers} worker{'s' if workers > 1 else ''}, "
        f"by an estimate of {seconds_each:.0f} s each.",
        f"Power: a difference of {100 * power.detectable:.1f} points is found in 80 of 100 such experiments; "
        f"the 95 % interval is about ± {100 * power.half_width:.1f} points.",
    ]


def is_file(origin: str) -> bool:
    """Whether a study to learn from is a file of records, and not an id."""
    return origin.endswith(SUFFIX)


def _group_by_study(records: Records) -> list[list[Record]]:
    numbers = sorted({record.study for record in records.studies if record.study is not None})
    return [[record for record in records.studies if record.study == number] for number in numbers]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _plain(recipe: str | Mapping[str, Any]) -> str | dict[str, Any]:
    return recipe if isinstance(recipe, str) else dict(recipe)
