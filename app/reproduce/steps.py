"""The paper's steps in order, each resumed where an earlier run left it."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from app.core.trials import TrialState
from app.reproduce.design import BUDGETS, FRONT_SIZE, ONE_BUDGET_SPACE, RANGE_SPACE, RECIPES, RULES
from app.reproduce.estimates import estimate_training_seconds
from app.reproduce.plan import (
    SIZES_OF_STEP,
    Sizes,
    Step,
    TrainingSeconds,
    count_trainings,
    estimate_steps,
    fit_to_time,
    limit_to_minimum,
)
from app.reproduce.prepare import CannotRun, find_baseline, find_dataset
from app.reproduce.progress import ProgressLine
from app.reproduce.state import RunState
from rdw_client import Client, Conflict, Invalid, NotFound, Trial

_UNFINISHED = (TrialState.QUEUED, TrialState.RUNNING)
_POLL_SECONDS = 1.0
_SAVE_SECONDS = 5.0
_REPORT_SECONDS = 30.0  # reserved for the report
_MAX_BASELINE_TRAININGS = 2

TrialStates = Mapping[str, str]  # by the trial's id


class Reproduction:
    """A reproduction in progress; `missing` says in a sentence each what has not finished."""

    def __init__(
        self,
        client: Client,
        state: RunState,
        folder: Path,
        requested: Sizes,
        minutes: float | None,
        progress: ProgressLine,
    ) -> None:
        self._client, self._state, self._folder, self._progress = client, state, folder, progress
        self._requested = requested
        self._started, self._elapsed_before = time.monotonic(), state.elapsed
        self._limit = math.inf if minutes is None else 60 * minutes
        self._workers = 1
        self.missing: list[str] = []

    def run(self) -> None:
        """Run all steps, or as many as the time allows.

        Raises: CannotRun; RdwError.
        """
        try:
            self._prepare()
            self._train_baseline()
            self._run_study(Step.ONE_BUDGET)
            self._run_study(Step.OVER_RANGE)
            self._fit_predictor()
            self._train_family()
        finally:
            self._save_elapsed()

    @property
    def _remaining(self) -> float:
        """Seconds until the report has to be written."""
        return self._limit - _REPORT_SECONDS - self._elapsed

    @property
    def _elapsed(self) -> float:
        """Seconds of all runs so far."""
        return self._elapsed_before + time.monotonic() - self._started

    @property
    def _architecture(self) -> str:
        assert self._state.architecture is not None
        return self._state.architecture

    @property
    def _sizes(self) -> Sizes:
        return Sizes(**self._state.sizes) if self._state.sizes else self._requested

    def _save(self) -> None:
        self._state.save(self._folder)

    def _save_elapsed(self) -> None:
        self._state.elapsed = self._elapsed
        self._save()

    # Steps

    def _prepare(self) -> None:
        """Check the data set, count the workers and register the baseline."""
        choices = self._state.choices
        dataset = find_dataset(self._client, choices["dataset"])
        self._workers = max(1, sum(worker.alive for worker in self._client.workers()))
        if self._state.architecture is None:
            architecture = find_baseline(self._client, choices["architecture"], dataset.channels)
            self._state.architecture = architecture.name
            self._save()

    def _train_baseline(self) -> None:
        """Train the baseline itself, once per worker, which also shows how long trainings take here."""
        if not self._state.baseline_trials:
            for seed in range(min(_MAX_BASELINE_TRAININGS, self._workers)):
                trial = self._client.train(
                    self._architecture,
                    dataset=self._state.choices["dataset"],
                    multipliers={"r": 1, "d": 1, "w": 1},
                    recipe=self._state.choices["recipe"],
                    seed=seed,
                )
                self._state.baseline_trials.append(trial.id)
            self._save()
        while True:
            trials = [self._client.trial(id) for id in self._state.baseline_trials]
            if all(trial.ended for trial in trials):
                break
            if self._remaining <= 0:
                self.missing.append("The baseline itself was not trained in time.")
                return
            epochs = ", ".join(str((trial.progress or {}).get("epoch", 0)) for trial in trials)
            self._progress.update(f"the baseline itself: epoch {epochs}")
            self._sleep()
        failed = next((trial for trial in trials if trial.state == TrialState.FAILED), None)
        if failed is not None:
            raise CannotRun(f"The baseline could not be trained: {failed.error}")

    def _run_study(self, step: Step) -> None:
        if self._remaining <= 0:
            self.missing.append(f"Networks {step.label}: not started.")
            return
        study = self._client.study(self._state.studies.get(step) or self._create_study(step))
        if not study.has_started:
            self._client.start_study(study)
        self._train(step, lambda: self._study_trials(study.id), self._remaining - self._allotted_seconds(step))

    def _create_study(self, step: Step) -> str:
        """Create the study of a step, or find the one created just before an earlier run was killed."""
        name = f"reproduction {self._state.run}, {step.label}"
        study = next((study for study in self._client.studies() if study.name == name), None)
        if study is None:
            sizes = self._choose_sizes(step)
            at_one_budget = step == Step.ONE_BUDGET
            study = self._client.create_study(
                name,
                self._architecture,
                self._state.choices["dataset"],
                recipe=self._state.choices["recipe"],
                space=ONE_BUDGET_SPACE if at_one_budget else RANGE_SPACE,
                trials=sizes.at_one_budget if at_one_budget else sizes.networks,
                compound=min(1, sizes.compound) if at_one_budget else sizes.compound,
                seeds=1,
            )
        self._state.studies[step] = study.id
        self._save()
        return study.id

    def _fit_predictor(self) -> None:
        """Fit r(c) and d(c) on the front over the range; the result is saved, as the family is trained for it."""
        study = self._state.studies.get(Step.OVER_RANGE)
        if study is None or self._state.family_requested:
            return
        try:
            predictor = self._client.refit(study, k=FRONT_SIZE)
        except (Conflict, Invalid) as problem:
            self.missing.append(f"The tiny formula was not fitted: {problem}")
            return
        self._state.fitted = {
            "predictor": predictor.raw,
            "front": self._client.front(study, k=FRONT_SIZE).raw,
            "correlations": self._client.correlations(study, k=FRONT_SIZE).raw,
        }
        self._save()

    def _train_family(self) -> None:
        study = self._state.studies.get(Step.OVER_RANGE)
        requested = self._state.family_requested
        if study is None or self._state.fitted is None or (self._remaining <= 0 and not requested):
            self.missing.append("The family: not started.")
            return
        try:
            if not requested:
                seeds = self._choose_sizes(Step.FAMILY).seeds
                self._client.train_family(study, ratios=BUDGETS, rules=RULES, recipes=RECIPES, seeds=seeds)
                self._state.family_requested = True
                self._save()
            self._train(Step.FAMILY, lambda: self._family_trials(study), min_remaining=0.0)
        except (Conflict, Invalid, NotFound) as problem:
            self.missing.append(f"The family: {problem}")

    # Trials

    def _study_trials(self, study: str) -> TrialStates:
        """Get the trials of a study without those of its family."""
        family = self._family_trials(study) if self._state.family_requested else {}
        return {trial.id: trial.state for trial in self._client.trials(study=study) if trial.id not in family}

    def _family_trials(self, study: str) -> TrialStates:
        members = self._client.trained_family(study).items
        return {trial["id"]: trial["state"] for member in members for trial in member.trials}

    def _train(self, step: Step, get_trials: Callable[[], TrialStates], min_remaining: float) -> None:
        """Wait for the trials of a step until no more than `min_remaining` seconds remain, then cancel the others."""
        self._apply(self._client.retry_trial, get_trials(), TrialState.CANCELLED)
        started = last_saved = time.monotonic()
        already_ended: int | None = None
        while True:
            states = Counter(get_trials().values())
            total, ended = states.total(), states.total() - _count_unfinished(states)
            already_ended = ended if already_ended is None else already_ended
            if ended == total or self._remaining <= min_remaining:
                break
            new = ended - already_ended
            self._show_progress(step, ended, total, (time.monotonic() - started) / new if new else None)
            if time.monotonic() - last_saved > _SAVE_SECONDS:
                self._save_elapsed()
                last_saved = time.monotonic()
            self._sleep()
        self._summarize(step, states)
        if _count_unfinished(states):  # nothing trains on for a step that is over
            self._apply(self._client.cancel_trial, get_trials(), *_UNFINISHED)

    @staticmethod
    def _apply(command: Callable[[str], Trial], trials: TrialStates, *states: TrialState) -> None:
        """Send a command for each trial in one of these states."""
        for id, state in trials.items():
            if state in states:
                with suppress(Conflict):  # its state has changed meanwhile
                    command(id)

    def _show_progress(self, step: Step, ended: int, total: int, seconds_each: float | None) -> None:
        trainings = count_trainings(self._sizes)
        later = sum(trainings[s] for s in step.following[1:])
        earlier = sum(trainings.values()) - later - trainings[step]
        line = f"{step.label}: {ended} of {total} trained; of all {earlier + ended} of {earlier + total + later}"
        if seconds_each is not None:
            seconds = min(seconds_each * (total - ended + later), self._remaining)
            line += f", about {max(1, round(seconds / 60))} min left"
        self._progress.update(line)

    def _summarize(self, step: Step, states: Counter[str]) -> None:
        total, completed, failed = states.total(), states[TrialState.COMPLETED], states[TrialState.FAILED]
        self._progress.print(f"{step.label}: {completed} of {total} networks trained")
        if completed < total:
            failures = f"; {failed} failed" if failed else ""
            self.missing.append(f"{step.label.capitalize()}: {completed} of {total} trainings have finished{failures}.")

    def _sleep(self) -> None:
        time.sleep(min(_POLL_SECONDS, max(0.05, self._remaining)))

    # Sizes

    def _choose_sizes(self, step: Step) -> Sizes:
        """Choose the sizes of this step and later ones, given how long trainings have taken so far."""
        sizes = self._requested
        if self._limit < math.inf:
            available = max(0.0, self._remaining) * self._workers
            sizes = fit_to_time(_drop_earlier(step, self._requested), self._training_seconds(), available)
        earlier = self._state.sizes or {}
        fixed = {name: earlier[name] for name in _sizes_before(step) if name in earlier}
        self._state.sizes = {**asdict(sizes), **fixed}
        self._save()
        self._progress.print(_describe(step, self._sizes))
        return self._sizes

    def _allotted_seconds(self, step: Step) -> float:
        """Return the seconds that this step may take.

        Later steps keep the time for their minimum sizes; if there is too little for that, all shrink in proportion.
        """
        if self._limit == math.inf:
            return math.inf
        costs = estimate_steps(limit_to_minimum(self._requested), self._training_seconds())
        total = sum(costs[s] for s in step.following)
        later = total - costs[step]
        return max(self._remaining - later / self._workers, self._remaining * costs[step] / total)

    def _training_seconds(self) -> TrainingSeconds:
        choices = self._state.choices
        return estimate_training_seconds(
            self._client, architecture=self._architecture, dataset=choices["dataset"], recipe=choices["recipe"]
        )


def _count_unfinished(states: Counter[str]) -> int:
    return sum(states[state] for state in _UNFINISHED)


def _sizes_before(step: Step) -> list[str]:
    """Return the names of the sizes that earlier steps have already used."""
    return [name for earlier in Step if earlier not in step.following for name in SIZES_OF_STEP[earlier]]


def _drop_earlier(step: Step, sizes: Sizes) -> Sizes:
    return Sizes(**{**asdict(sizes), **dict.fromkeys(_sizes_before(step), 0)})


def _describe(step: Step, sizes: Sizes) -> str:
    return {
        Step.ONE_BUDGET: f"at one budget: {sizes.at_one_budget} random networks",
        Step.OVER_RANGE: f"over a range: {sizes.networks} random networks, {sizes.compound} compound-shrunk",
        Step.FAMILY: f"the family: {len(BUDGETS)} budgets, {len(RULES)} rules, {sizes.seeds} seeds, "
        "with and without RandAugment",
    }[step]
