"""The experiment that compares rules: replicated studies, the networks of each rule over many budgets, records.

Everything goes through a service, where trainings are content-addressed: an interrupted run resumes at the training.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.core.studies import StudyStatus
from app.core.trials import TrialState
from app.reproduce.design import COMPARED_RULES as RULES
from app.reproduce.design import RANGE_SPACE, SHARED_RULES, STUDY_RULES, log_even_budgets
from app.reproduce.estimates import estimate_mean_seconds
from app.reproduce.prepare import find_baseline, find_dataset
from app.reproduce.progress import ProgressLine
from app.reproduce.records import SUFFIX, Header, Record, RecordFile
from app.reproduce.statistics import estimate_power
from rdw_client import Client, Conflict, Invalid, NotFound, Recommendation, Study, TargetOutOfRange, Trial

PRIMARY = tuple((rule, "compound") for rule in STUDY_RULES)
SECONDARY = tuple((rule, reference) for reference in ("dwr", "published") for rule in STUDY_RULES)

PUBLISHED_PREDICTOR = "published-tinynets"
FIRST_STUDY_SEED, FIRST_FAMILY_SEED = 101, 201
_FAMILY_PRIORITY = -10  # a study's trainings come first
_VERSIONS = ("rdw", "python", "torch", "timm", "numpy")
_POLL_SECONDS = 5.0


class InvalidDesign(Exception):
    """The design cannot be run; the message says why."""


@dataclass(frozen=True)
class Design:
    """What is compared, on one data set with one recipe.

    `budgets` are ratios to the baseline's multiply-adds. `from_studies` are ids of studies to learn from in place of
    new ones. `recipe` is a preset's name or the recipe's values.
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

    @property
    def study_count(self) -> int:
        return len(self.from_studies) or self.studies

    @property
    def family_trainings(self) -> int:
        per_budget = sum(self.study_count if rule in STUDY_RULES else 1 for rule in self.rules)
        return per_budget * len(self.budgets) * self.seeds

    @property
    def study_trainings(self) -> int:
        return 0 if self.from_studies else self.studies * self.networks

    def describe(self, seconds_each: float, workers: int) -> list[str]:
        """Describe the trainings, the time and the power, in a sentence each."""
        power = estimate_power(self.study_count, len(self.budgets), self.seeds)
        total = self.study_trainings + self.family_trainings
        hours = total * seconds_each / workers / 3600
        return [
            f"{self.dataset}: {total} trainings: {self.study_trainings} of random networks, {self.family_trainings} "
            f"of {len(self.rules)} rules at {len(self.budgets)} budgets with {self.seeds} seeds.",
            f"About {hours:.1f} hours on {workers} worker{'s' if workers > 1 else ''}, "
            f"by an estimate of {seconds_each:.0f} s each.",
            f"Power: a difference of {100 * power.detectable:.1f} points is found in 80 of 100 such experiments; "
            f"the 95 % interval is about ± {100 * power.half_width:.1f} points.",
        ]


@dataclass(frozen=True)
class _Request:
    """A training of the family that was requested."""

    rule: str
    study: int | None
    budget: float
    seed: int
    trial: str
    recommendation: Recommendation


class Experiment:
    """An experiment in progress; `path` is the file of its records, once there are any; `missing`
    says in a sentence each what is not in them.
    """

    def __init__(self, client: Client, design: Design, folder: Path, progress: ProgressLine) -> None:
        self._client, self._design, self._folder, self._progress = client, design, folder, progress
        self._file: RecordFile | None = None
        self._baseline: dict[str, Any] = {}
        self._family_seeds: list[int] = []
        self.path: Path | None = None
        self.missing: list[str] = []

    def run(self) -> None:
        """Train what is not trained yet, and record each training as it completes.

        Raises: CannotRun; InvalidRecords; RdwError.
        """
        self._prepare()
        self._announce()
        studies = self._start_studies()
        self._family_seeds = self._choose_family_seeds(studies)
        shared = [rule for rule in self._design.rules if rule in SHARED_RULES]
        requests = self._request_family(shared, None, None)
        for number, study in enumerate(studies, 1):
            self._finish_study(number, study)
            learned = [rule for rule in self._design.rules if rule in STUDY_RULES]
            requests += self._request_family(learned, number, study)
        self._finish_family(requests)

    # Steps

    def _prepare(self) -> None:
        dataset = find_dataset(self._client, self._design.dataset)
        architecture = find_baseline(self._client, self._design.baseline, dataset.channels)
        self._baseline = {
            "name": architecture.name,
            "flops": architecture.flops,
            "params": architecture.params,
            "resolution": architecture.resolution,
        }

    def _announce(self) -> None:
        seconds = estimate_mean_seconds(
            self._client,
            architecture=self._baseline["name"],
            dataset=self._design.dataset,
            recipe=self._design.recipe,
        )
        workers = max(1, sum(worker.alive for worker in self._client.workers()))
        for sentence in self._design.describe(seconds, workers):
            self._progress.print(sentence)

    def _start_studies(self) -> list[Study]:
        studies = [self._client.study(id) for id in self._design.from_studies]
        for number in range(1, self._design.studies + 1 if not studies else 1):
            study = self._client.create_study(
                f"experiment {self._digest()}, study {number}",
                self._baseline["name"],
                self._design.dataset,
                recipe=_plain(self._design.recipe),
                space=RANGE_SPACE,
                trials=self._design.networks,
                seeds=1,
                seed=FIRST_STUDY_SEED + number - 1,
                load_if_exists=True,
            )
            studies.append(study)
        for study in studies:
            if not study.has_started:
                self._client.start_study(study)
        return studies

    def _digest(self) -> str:
        """Identify everything that a study depends on but its number."""
        choices = [self._baseline, self._design.dataset, _plain(self._design.recipe), self._design.networks]
        return hashlib.sha256(json.dumps(choices, sort_keys=True).encode()).hexdigest()[:12]

    def _choose_family_seeds(self, studies: Iterable[Study]) -> list[int]:
        """Return seeds that no study has trained with, so that no training counts in a study and in its test."""
        used = {trial.seed for study in studies for trial in self._client.trials(study=study.id)}
        used |= {study.seed for study in studies}
        unused = (seed for seed in range(FIRST_FAMILY_SEED, FIRST_FAMILY_SEED + 10_000) if seed not in used)
        return [next(unused) for _ in range(self._design.seeds)]

    def _finish_study(self, number: int, study: Study) -> None:
        """Wait until a study has trained its networks, record them, and fit its predictor to all of them."""
        recorded: set[str] = set()
        while True:
            trials = list(self._client.trials(study=study.id))
            ended = {trial.id for trial in trials if trial.ended}
            for id in sorted(ended - recorded):
                self._record(self._client.trial(id), _study_record, number)
            recorded |= ended
            if len(ended) == len(trials) and self._client.study(study).state != StudyStatus.RUNNING:
                break
            self._progress.update(f"study {number}: {len(ended)} of {study.size} trained")
            time.sleep(_POLL_SECONDS)
        failed = sum(trial.state != TrialState.COMPLETED for trial in trials)
        if failed:
            self.missing.append(f"{failed} of {len(trials)} trainings of study {number} have not completed.")
        try:
            self._client.refit(study)
        except (Conflict, Invalid) as problem:
            self.missing.append(f"Study {number} has no predictor: {problem}")

    def _request_family(self, rules: Sequence[str], number: int | None, study: Study | None) -> list[_Request]:
        requests = []
        for rule in rules:
            for budget in self._design.budgets:
                try:
                    recommendation = self._recommend(rule, budget, study)
                except (Conflict, Invalid, NotFound, TargetOutOfRange) as problem:
                    self.missing.append(f"{rule} has no network at {budget:.3f}: {problem}")
                    continue
                requests += [
                    _Request(rule, number, budget, seed, self._train(recommendation, seed).id, recommendation)
                    for seed in self._family_seeds
                ]
        return requests

    def _recommend(self, rule: str, budget: float, study: Study | None) -> Recommendation:
        return self._client.scale(
            self._baseline["name"],
            ratio=budget,
            rule="tiny_formula" if rule == "published" else rule,
            study=study,
            predictor=PUBLISHED_PREDICTOR if rule == "published" else None,
            dataset=self._design.dataset,
        )

    def _train(self, recommendation: Recommendation, seed: int) -> Trial:
        return self._client.train(
            config=recommendation.raw["config"],
            dataset=self._design.dataset,
            recipe=_plain(self._design.recipe),
            seed=seed,
            priority=_FAMILY_PRIORITY,
        )

    def _finish_family(self, requests: Sequence[_Request]) -> None:
        pending = list(requests)
        while True:
            pending = [request for request in pending if not self._record_request(request)]
            if not pending:
                return
            done = len(requests) - len(pending)
            self._progress.update(f"the networks of the rules: {done} of {len(requests)} trained")
            time.sleep(_POLL_SECONDS)

    def _record_request(self, request: _Request) -> bool:
        """Record a training of the family if it has ended; return whether it has."""
        trial = self._client.trial(request.trial)
        if trial.ended and trial.state != TrialState.COMPLETED:
            self.missing.append(f"{request.rule} at {request.budget:.3f}, seed {request.seed}: {trial.state}.")
        self._record(trial, _family_record, request)
        return trial.ended

    def _record(self, trial: Trial, create: Any, about: Any) -> None:
        if trial.state != TrialState.COMPLETED or trial.result is None:
            return
        header = create_header(trial, self._baseline)
        if self._file is None:
            name = f"{self._baseline['name']}.{self._design.dataset}.{_recipe_digest(header.recipe)}{SUFFIX}"
            self.path = self._folder / name
            self._file = RecordFile(self.path, header)
        self._file.check(header)
        self._file.append(create(trial, about))


def create_header(trial: Trial, baseline: Mapping[str, Any]) -> Header:
    """Describe what a completed training has in common with the others of its experiment."""
    environment = (trial.result or {}).get("environment", {})
    return Header(
        baseline=baseline,
        dataset=trial.dataset,
        digest=environment.get("data_digest", ""),
        recipe=trial.recipe or {},
        device=environment.get("device", "unknown"),
        versions={name: environment[name] for name in _VERSIONS if name in environment},
        threads=environment.get("threads"),
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
    )


def _study_record(trial: Trial, number: int) -> Record:
    result, config = trial.result or {}, trial.config or {}
    return Record(
        kind="study",
        study=number,
        rule=None,
        budget=None,
        config={name: value for name, value in config.items() if name != "timm"},  # timm's call follows from the rest
        multipliers={name: value for name, value in (trial.multipliers or {}).items() if name in "rdw"},
        flops=trial.flops,
        params=trial.params,
        px=config["resolution"],
        seed=trial.seed,
        accuracy=result["accuracy"],
        test_accuracy=result["test_accuracy"],
        history=[epoch["validation_accuracy"] for epoch in result.get("history") or ()],
        seconds=result["seconds"],
        trial=trial.id,
    )


def _family_record(trial: Trial, request: _Request) -> Record:
    answer = request.recommendation.raw
    predicted = answer.get("predicted_accuracy")
    return replace(
        _study_record(trial, 0),
        kind="family",
        study=request.study,
        rule=request.rule,
        budget=request.budget,
        multipliers={name: answer["multipliers"][name] for name in "rdw"},
        predicted=predicted and {"mean": predicted["mean"], "sd": predicted["sd"]},
        off_curve=any(warning["code"] == "off_curve" for warning in answer.get("warnings", ())),
    )


def _recipe_digest(recipe: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:8]


def _plain(recipe: str | Mapping[str, Any]) -> str | dict[str, Any]:
    return recipe if isinstance(recipe, str) else dict(recipe)
