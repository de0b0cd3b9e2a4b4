"""Following a training or a study: a bar on a terminal, a line an epoch elsewhere; on stderr."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from app.cli.exits import FAILED, INTERRUPTED
from app.cli.output import document, facts, note, paint
from app.cli.units import duration, percent, short

if TYPE_CHECKING:
    from rdw_client import Client, Event, Study, Trial

_BAR = 24


def watch(rdw: Client, trial: Trial, *, as_json: bool) -> int:
    """Until it has ended; interrupted, we stop watching and nothing else."""
    from rdw_client import TrialCancelled, TrialFailed

    line = _Line()
    try:
        ended = rdw.wait(trial, line.event)
    except (TrialFailed, TrialCancelled) as error:
        line.end()
        if as_json:
            document(error.trial.raw)
        note(str(error))
        note(f"Once more: rdw trials retry {trial.id}")
        return FAILED
    except KeyboardInterrupt:
        line.end()
        note(f"It goes on. Watch: rdw trials watch {trial.id}   stop it: rdw trials cancel {trial.id}")
        return INTERRUPTED
    line.end()
    document(ended.raw) if as_json else show(ended)
    return 0


def watch_study(rdw: Client, study: Study, *, as_json: bool) -> int:
    """Likewise."""
    line = _Line()
    try:
        ended = rdw.wait_for_study(study, lambda now: line.say(f"{now.state}  {counts(now)}"))
    except KeyboardInterrupt:
        line.end()
        note(f"It goes on. Watch: rdw study watch {study.id}   stop it: rdw study cancel {study.id}")
        return INTERRUPTED
    line.end()
    document(ended.raw) if as_json else note(f"Its front: rdw study front {study.id}")
    return 0


def counts(study: Study) -> str:
    """3 queued, 1 running, 8 completed."""
    return ", ".join(f"{number} {state}" for state, number in study.trials.items() if number) or "no trials yet"


def show(trial: Trial) -> None:
    """A trial, for people."""
    result = trial.result or {}
    m = trial.multipliers
    facts(
        [
            ("trial", trial.id),
            ("state", trial.state),
            ("network", f"{trial.architecture}, {short(trial.flops)} multiply-adds, {short(trial.params)} parameters"),
            ("r, d, w", m and ", ".join(f"{m[name]:.3g}" for name in "rdw")),
            ("data", f"{trial.dataset}, seed {trial.seed}"),
            ("progress", None if trial.ended else progress(trial.progress)),
            ("accuracy", percent(trial.accuracy, 2)),
            ("took", duration(result.get("seconds"))),
            ("error", trial.error),
        ]
    )


def progress(said: dict[str, Any] | None) -> str:
    """Where a training is."""
    if not said:
        return ""
    parts = [str(said.get("phase", ""))]
    if said.get("epochs"):
        parts.append(f"epoch {said.get('epoch')} of {said['epochs']}")
    if said.get("train_loss") is not None:
        parts.append(f"loss {said['train_loss']:.3f}")
    if said.get("validation_accuracy") is not None:
        parts.append(f"validation {percent(said['validation_accuracy'])}")
    if said.get("seconds_left"):
        parts.append(f"{duration(said['seconds_left'])} left")
    return "  ".join(part for part in parts if part)


class _Line:
    """The line that shows where it is: rewritten on a terminal; elsewhere a new one an epoch and a state."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._said: object = None

    def event(self, event: Event) -> None:
        if event.kind == "state":
            state = str(event.data.get("state"))
            self.say(paint(state, state, sys.stderr), key=("state", state))
            return
        said = event.data
        self.say(self._bar(said) + progress(said), key=(said.get("phase"), said.get("epoch")))

    def say(self, text: str, key: object = None) -> None:
        """`key`: elsewhere than on a terminal it is said once for each."""
        if self._live:
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
        elif (key or text) != self._said:
            note(text)
        self._said = key or text

    def end(self) -> None:
        if self._live and self._said is not None:
            print(file=sys.stderr)

    def _bar(self, said: dict[str, Any]) -> str:
        if not self._live or not said.get("epochs") or not said.get("steps"):
            return ""
        done = min(
            1.0,
            (said["epoch"] * said["steps"] + said.get("step", 0) % said["steps"]) / (said["epochs"] * said["steps"]),
        )
        full = round(_BAR * done)
        return f"{'█' * full}{'░' * (_BAR - full)} {done:4.0%}  "
