"""Following a training or a study: a bar on a terminal, a line an epoch elsewhere; on stderr."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from app.cli.cells import columns, cut, width
from app.cli.exits import FAILED, INTERRUPTED
from app.cli.output import document, facts, note, paint
from app.cli.units import duration, percent, short

if TYPE_CHECKING:
    from rdw_client import Client, Event, Study, Trial

_BAR, _LEAST_BAR = 24, 4  # cells


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


def share(said: dict[str, Any] | None) -> float | None:
    """How much of a training is done, from 0 to 1, where it says so."""
    if not said or not said.get("epochs") or not said.get("steps"):
        return None
    step = said.get("step", 0) % said["steps"]
    return min(1.0, (said["epoch"] * said["steps"] + step) / (said["epochs"] * said["steps"]))


class _Line:
    """The line that shows where it is: rewritten on a terminal; elsewhere a new one an epoch and a state."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._said: object = None

    def event(self, event: Event) -> None:
        if event.kind == "state":
            state = str(event.data.get("state"))
            self.say(state, key=("state", state))
        else:
            said = event.data
            self.say(progress(said), key=(said.get("phase"), said.get("epoch")), done=share(said))

    def say(self, text: str, key: object = None, done: float | None = None) -> None:
        """`key`: elsewhere than on a terminal it is said once for each."""
        if self._live:
            print(f"\r\033[K{self._fitting(text, done)}", end="", file=sys.stderr, flush=True)
        elif (key or text) != self._said:
            note(text)
        self._said = key or text

    def end(self) -> None:
        if self._live and self._said is not None:
            print(file=sys.stderr)

    def _fitting(self, text: str, done: float | None) -> str:
        """In one line of the terminal: one that wraps would stay when it is written over. The bar gives way first."""
        most = (columns(sys.stderr) or 80) - 1
        if done is None:
            return paint(cut(text, most), text, sys.stderr)
        percents = f" {done:4.0%}  "
        room = min(_BAR, most - width(percents + text))
        full = round(room * done)
        bar = f"{'█' * full}{'░' * (room - full)}" if room >= _LEAST_BAR else ""
        return cut(f"{bar}{percents}{text}", most)
