"""The paper's steps in order, each picked up where it was left."""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

from app.reproduce import baseline
from app.reproduce.client import Client, Refused
from app.reproduce.plan import LEAST, Prices, Sizes, cost, fitting, trainings
from app.reproduce.progress import Progress
from app.reproduce.state import State

NAMES = {"one_budget": "at one budget", "over_range": "over a range", "family": "the family"}
_WAITING, _ENDED = ("queued", "running"), ("completed", "failed", "cancelled")
_POLL = 1.0
_REPORTING = 30.0  # seconds kept for the report
_LONGEST_OVERHEAD = 30.0  # seconds a training takes beside its training, before more is known
_K = 20  # networks that NSGA-III selects, as in the paper


class CannotRun(Exception):
    """What was asked for cannot be done at all; the message says why."""


class Run:
    """A reproduction under way. `missing` collects what was not finished, a sentence each."""

    def __init__(
        self, client: Client, state: State, folder: Path, wanted: Sizes, minutes: float | None, progress: Progress
    ) -> None:
        self._client, self._state, self._folder, self._progress = client, state, folder, progress
        self._wanted = wanted
        self._started, self._before = time.monotonic(), state.spent
        self._limit = math.inf if minutes is None else 60 * minutes
        self._workers = 1
        self.missing: list[str] = []

    def go(self) -> None:
        """All steps, or as many as the time allows."""
        self._prepare()
        self._train_baseline()
        for step in ("one_budget", "over_range"):
            self._study(step)
        self._fit()
        self._family()

    def note_time(self) -> None:
        """Keep how long all runs have taken."""
        self._state.spent = self._before + time.monotonic() - self._started
        self._save()

    @property
    def _left(self) -> float:
        """Seconds until the report has to be written."""
        return self._limit - _REPORTING - self._before - (time.monotonic() - self._started)

    def _save(self) -> None:
        self._state.save(self._folder)

    def _prepare(self) -> None:
        choices = self._state.choices
        known = {item["name"]: item for item in self._client.every("/v1/datasets")}
        if choices["dataset"] not in known:
            raise CannotRun(f"There is no data set {choices['dataset']!r}; there are {', '.join(sorted(known))}.")
        dataset = known[choices["dataset"]]
        if dataset.get("missing"):
            raise CannotRun(dataset["missing"])
        self._workers = max(1, sum(bool(w["alive"]) for w in self._client.every("/v1/workers")))
        if self._state.architecture is None:
            wanted = choices["architecture"]
            if isinstance(wanted, str):
                self._client.get(f"/v1/architectures/{wanted}")
                self._state.architecture = wanted
            else:
                spec = wanted or baseline.small_mbconv(dataset["channels"])
                self._state.architecture = self._client.post("/v1/architectures", spec)["name"]
            self._save()

    def _train_baseline(self) -> None:
        """The baseline itself, once a worker: what a training takes here is known from then on."""
        unscaled = {
            "architecture": self._state.architecture,
            "multipliers": {"r": 1, "d": 1, "w": 1},
            "dataset": self._state.choices["dataset"],
            "recipe": self._state.choices["recipe"],
        }
        if not self._state.baseline_trials:
            asked = [self._client.post("/v1/trials", {**unscaled, "seed": n}) for n in range(min(2, self._workers))]
            self._state.baseline_trials = [trial["id"] for trial in asked]
            self._save()
        while True:
            trials = [self._client.get(f"/v1/trials/{id}") for id in self._state.baseline_trials]
            if all(trial["state"] in _ENDED for trial in trials):
                break
            if self._left <= 0:
                self.missing.append("The baseline itself was not trained in time.")
                return
            epochs = [(trial.get("progress") or {}).get("epoch", 0) for trial in trials]
            self._progress.show(f"the baseline itself: epoch {', '.join(map(str, epochs))}")
            self._wait()
        failed = next((trial for trial in trials if trial["state"] == "failed"), None)
        if failed is not None:
            raise CannotRun(f"The baseline could not be trained: {failed['error']}")

    def _study(self, step: str) -> None:
        if self._left <= 0:
            self.missing.append(f"Networks {NAMES[step]}: not begun.")
            return
        id = self._state.studies.get(step) or self._create(step)
        if self._client.get(f"/v1/studies/{id}")["state"] == "created":
            self._client.post(f"/v1/studies/{id}/start")
        else:
            self._take_up(self._trials(id))
        until = self._left - self._share(step)
        count = self._watch(step, lambda: _count(self._trials(id)), lambda: self._left <= until)
        self._note(step, count)
        if _waiting(count):
            self._stop(self._trials(id))

    def _trials(self, id: str) -> list[dict[str, Any]]:
        """A study's own, without the family's."""
        family = {trial["id"] for trial in self._family_trials(id)} if self._state.family else set()
        return [trial for trial in self._client.every("/v1/trials", study=id) if trial["id"] not in family]

    def _create(self, step: str) -> str:
        """The study of a step, or the one that was created just before we were killed."""
        name = f"reproduction {self._state.run}, {NAMES[step]}"
        found = next((s["id"] for s in self._client.every("/v1/studies") if s["name"] == name), None)
        if found is None:
            sizes = self._sizes(step)
            networks, compound = (
                (sizes.at_one_budget, min(1, sizes.compound))
                if step == "one_budget"
                else (sizes.networks, sizes.compound)
            )
            body = {**self._of_study(step), "name": name, "trials": networks, "compound": compound, "seeds": 1}
            found = self._client.post("/v1/studies", body)["id"]
        self._state.studies[step] = found
        self._save()
        return found

    def _fit(self) -> None:
        """r(c) and d(c) on the front of the range; kept, since the family is trained for this very fit."""
        id = self._state.studies.get("over_range")
        if id is None or self._state.family:
            return
        try:
            fitted = self._client.post(f"/v1/studies/{id}/predictors", {"k": _K, "activate": "gate"})
        except Refused as why:
            self.missing.append(f"The tiny formula was not fitted: {why}")
            return
        front = self._client.get(f"/v1/studies/{id}/front", k=_K)
        correlations = self._client.get(f"/v1/studies/{id}/correlations", k=_K)
        self._state.fitted = {"predictor": fitted, "front": front, "correlations": correlations}
        self._save()

    def _family(self) -> None:
        id = self._state.studies.get("over_range")
        if id is None or self._state.fitted is None or (self._left <= 0 and not self._state.family):
            self.missing.append("The family: not begun.")
            return
        body = {
            "targets": [{"ratio": c} for c in baseline.BUDGETS],
            "rules": list(baseline.RULES),
            "recipes": list(baseline.RECIPES),
            "seeds": self._sizes("family").seeds,
        }
        try:
            if not self._state.family:
                self._client.post(f"/v1/studies/{id}/family", body)
                self._state.family = True
                self._save()
            else:
                self._take_up(self._family_trials(id))
            count = self._watch("family", lambda: _count(self._family_trials(id)), lambda: self._left <= 0)
        except Refused as why:
            self.missing.append(f"The family: {why}")
            return
        self._note("family", count)
        if _waiting(count):
            self._stop(self._family_trials(id))

    def _family_trials(self, id: str) -> list[dict[str, Any]]:
        items = self._client.get(f"/v1/studies/{id}/family")["items"]
        return [trial for item in items for trial in item.get("trials") or ()]

    def _watch(self, step: str, states: Callable[[], Counter[str]], late: Callable[[], bool]) -> Counter[str]:
        """Trials by state, once all have ended or it is too late for more."""
        began, first, noted = time.monotonic(), None, time.monotonic()
        while True:
            count = states()
            done, whole = sum(count[s] for s in _ENDED), sum(count.values())
            first = done if first is None else first
            if not _waiting(count) or late():
                return count
            seconds_each = (time.monotonic() - began) / (done - first) if done > first else None
            self._progress.show(self._line(step, done, whole, seconds_each))
            if time.monotonic() - noted > 5:
                self.note_time()
                noted = time.monotonic()
            self._wait()

    def _line(self, step: str, done: int, whole: int, seconds_each: float | None) -> str:
        steps = list(NAMES)
        counts = trainings(self._chosen(), len(baseline.BUDGETS))
        before = sum(counts[s] for s in steps[: steps.index(step)])
        after = sum(counts[s] for s in steps[steps.index(step) + 1 :])
        line = f"{NAMES[step]}: {done} of {whole} trained; of all {before + done} of {before + whole + after}"
        if seconds_each is None:
            return line
        left = min(seconds_each * (whole - done + after), self._left)
        return f"{line}, about {max(1, round(left / 60))} min left"

    def _note(self, step: str, count: Counter[str]) -> None:
        whole, done, failed = sum(count.values()), count["completed"], count["failed"]
        self._progress.say(f"{NAMES[step]}: {done} of {whole} networks trained")
        if done < whole:
            why = f"; {failed} failed" if failed else ""
            self.missing.append(f"{NAMES[step].capitalize()}: {done} of {whole} trainings had finished{why}.")

    def _stop(self, trials: list[dict[str, Any]]) -> None:
        """So that nobody goes on training when we are gone, or for an earlier step when the next one begins."""
        for trial in trials:
            if trial["state"] in _WAITING:
                self._ask(trial["id"], "cancel")

    def _take_up(self, trials: list[dict[str, Any]]) -> None:
        """Go on with what was stopped, from its checkpoint."""
        for trial in trials:
            if trial["state"] == "cancelled":
                self._ask(trial["id"], "retry")

    def _ask(self, trial: str, command: str) -> None:
        try:
            self._client.post(f"/v1/trials/{trial}/{command}")
        except Refused as why:
            if why.status != 409:  # it has ended, or goes on, meanwhile
                raise

    def _wait(self) -> None:
        time.sleep(min(_POLL, max(0.05, self._left)))

    def _sizes(self, step: str) -> Sizes:
        """The sizes for this step and those after it, chosen anew from what trainings have taken so far."""
        if self._limit is math.inf:
            chosen = self._wanted
        else:
            chosen = fitting(self._rest(step, self._wanted), self._prices(), max(0.0, self._left) * self._workers)
        before = self._state.sizes or {}
        fixed = {"over_range": ("at_one_budget",), "family": ("at_one_budget", "networks", "compound")}.get(step, ())
        kept = {name: before[name] for name in fixed if name in before}
        self._state.sizes = {**asdict(chosen), **kept}
        self._save()
        self._progress.say(_told(step, self._chosen()))
        return self._chosen()

    def _chosen(self) -> Sizes:
        return Sizes(**self._state.sizes) if self._state.sizes else self._wanted

    @staticmethod
    def _rest(step: str, sizes: Sizes) -> Sizes:
        """What this step and those after it have of the sizes."""
        gone = {"one_budget": (), "over_range": ("at_one_budget",), "family": ("at_one_budget", "networks", "compound")}
        return Sizes(**{**asdict(sizes), **dict.fromkeys(gone[step], 0)})

    def _share(self, step: str) -> float:
        """Seconds that this step may take: all but what later ones need at their least; its part of too little."""
        if self._limit is math.inf:
            return math.inf
        wanted, least = asdict(self._wanted), asdict(LEAST)
        smallest = Sizes(**{name: min(wanted[name], least[name]) for name in wanted})
        costs = asdict(cost(smallest, self._prices()))
        steps = list(costs)[list(costs).index(step) :]
        rest = sum(costs[s] for s in steps)
        later = rest - costs[step]
        return max(self._left - later / self._workers, self._left * costs[step] / rest)

    def _prices(self) -> Prices:
        """By the service's own estimates, and what a training takes beside its training (validation, export)."""
        overhead = self._overhead()
        one, range_ = (self._estimate(baseline.SPACES[step]) for step in ("one_budget", "over_range"))
        ranges = baseline.SPACES["over_range"]
        family = (self._estimate({**ranges, "ratio": [0.95 * c, 1.05 * c]}) for c in baseline.BUDGETS)
        return Prices(one + overhead, range_ + overhead, tuple(f + overhead for f in family))

    def _estimate(self, space: dict[str, list[float]]) -> float:
        """Seconds of training a network of this space takes, in the mean of some; of one where it has hardly more."""
        body = {**self._of_study("over_range"), "name": "estimate", "space": space, "validate_only": True}
        for drawn in (8, 1):
            try:
                answer = self._client.post("/v1/studies", {**body, "trials": drawn})
            except Refused:
                if drawn == 1:
                    raise
            else:
                break
        return float(answer["estimate"]["seconds"]) / drawn

    def _overhead(self) -> float:
        trials = self._client.get("/v1/trials", state="completed", architecture=self._state.architecture, limit=50)
        beside = [_seconds(t) - t["result"]["seconds"] for t in trials["items"] if t.get("result")]
        if len(beside) < 4:  # the first ones of a worker read or draw the data set
            return min(_LONGEST_OVERHEAD, min(beside, default=_LONGEST_OVERHEAD))
        return max(0.0, median(beside))

    def _of_study(self, step: str) -> dict[str, Any]:
        return {
            "architecture": self._state.architecture,
            "dataset": self._state.choices["dataset"],
            "recipe": self._state.choices["recipe"],
            "space": baseline.SPACES[step],
        }


def read_recipe(given: str | None) -> dict[str, Any] | str:
    """A file's recipe, or a preset's name. Raises: CannotRun."""
    if given is None:
        return baseline.RECIPE
    return _json(Path(given)) if given.endswith(".json") else given


def read_architecture(given: str | None) -> dict[str, Any] | str | None:
    """A file's spec, or a name. Raises: CannotRun."""
    return _json(Path(given)) if given is not None and given.endswith(".json") else given


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise CannotRun(f"{path} cannot be read: {error}") from error


def _count(trials: list[dict[str, Any]]) -> Counter[str]:
    return Counter(trial["state"] for trial in trials)


def _waiting(count: Counter[str]) -> int:
    return sum(count[state] for state in _WAITING)


def _seconds(trial: dict[str, Any]) -> float:
    start, end = (datetime.fromisoformat(trial[name]) for name in ("started_at", "finished_at"))
    return (end - start).total_seconds()


def _told(step: str, sizes: Sizes) -> str:
    return {
        "one_budget": f"at one budget: {sizes.at_one_budget} random networks",
        "over_range": f"over a range: {sizes.networks} random networks, {sizes.compound} compound-shrunk",
        "family": f"the family: {len(baseline.BUDGETS)} budgets, {len(baseline.RULES)} rules, {sizes.seeds} seeds, "
        "with and without RandAugment",
    }[step]
