"""Follows a trial or a study on stderr: a bar on a terminal; elsewhere a line per state and epoch."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Self

import typer

from app.cli.exits import FAILED, INTERRUPTED
from app.cli.output import console, note, print_json
from app.cli.results import describe_progress, describe_trials, print_trial, progress_share
from app.core.trials import TrialState

if TYPE_CHECKING:
    from rdw_client import Client, Dataset, Event, Study, Trial


def watch_trial(rdw: Client, trial: Trial, *, as_json: bool) -> None:
    """Show the progress of a trial until it ends, then the result. Ctrl-C stops watching only.

    Raises: Exit if the trial does not complete, or Ctrl-C was pressed.
    """
    from rdw_client import TrialCancelled, TrialFailed

    try:
        with _ProgressLine() as line:
            trial = rdw.wait(trial, lambda event: _show_event(line, event))
    except (TrialFailed, TrialCancelled) as error:
        if as_json:
            print_json(error.trial.raw)
        note(f"{error}\nTry again: rdw trials retry {trial.id}")
        raise typer.Exit(FAILED) from None
    except KeyboardInterrupt:
        note(f"The training continues. Watch: rdw trials watch {trial.id}   cancel: rdw trials cancel {trial.id}")
        raise typer.Exit(INTERRUPTED) from None
    print_json(trial.raw) if as_json else print_trial(trial)


def watch_check(rdw: Client, dataset: Dataset) -> Dataset:
    """Show the progress of the check of a data set until it ends. Ctrl-C stops watching only.

    Raises: Exit if its images cannot be used, or Ctrl-C was pressed.
    """
    from rdw_client import DatasetFailed

    try:
        with _ProgressLine() as line:
            return rdw.wait_for_dataset(dataset.name, lambda now: line.show(*_describe_check(now)))
    except DatasetFailed as error:
        note(str(error))
        raise typer.Exit(FAILED) from None
    except KeyboardInterrupt:
        note(f"The check continues. See: rdw datasets show {dataset.name}")
        raise typer.Exit(INTERRUPTED) from None


def _describe_check(dataset: Dataset) -> tuple[str, object, float | None]:
    """Return a text, its key, and the completed share."""
    done, of = ((dataset.progress or {}).get(name, 0) for name in ("images", "total"))
    if not of:
        return dataset.state, dataset.state, None
    return f"{dataset.state}  {done:,} of {of:,} images", done * 10 // of, done / of


def watch_study(rdw: Client, study: Study, *, as_json: bool) -> None:
    """Show the progress of a study until it ends. Ctrl-C stops watching only.

    Raises: Exit if Ctrl-C was pressed.
    """
    try:
        with _ProgressLine() as line:
            study = rdw.wait_for_study(study, lambda now: line.show(f"{now.state}  {describe_trials(now)}"))
    except KeyboardInterrupt:
        note(f"The study continues. Watch: rdw study watch {study.id}   cancel: rdw study cancel {study.id}")
        raise typer.Exit(INTERRUPTED) from None
    print_json(study.raw) if as_json else note(f"See the front: rdw study front {study.id}")


def _show_event(line: _ProgressLine, event: Event) -> None:
    if event.kind == "state":
        state = str(event.data.get("state"))
        line.show(state, share=1.0 if state == TrialState.COMPLETED else None)
    else:
        key = (event.data.get("phase"), event.data.get("epoch"))
        line.show(describe_progress(event.data), key=key, share=progress_share(event.data))


class _ProgressLine:
    """A line that is rewritten on a terminal; elsewhere, a new line for each key."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, Progress, TextColumn

        out = console(stderr=True)
        bar = BarColumn(24, style="dim", complete_style="green", finished_style="green")
        text = TextColumn("{task.percentage:3.0f}%  {task.description}", markup=False)
        self._progress = Progress(bar, text, console=out)
        self._task = self._progress.add_task("", total=1.0)
        self._is_live = out.is_terminal
        self._key: object = None

    def __enter__(self) -> Self:
        if self._is_live:
            self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._is_live:
            self._progress.stop()

    def show(self, text: str, key: object = None, share: float | None = None) -> None:
        """Show a text, with a bar if a share is known. `key` is the text by default."""
        if self._is_live:
            self._progress.update(self._task, description=text, completed=share, refresh=True)
        elif (key or text) != self._key:
            note(text)
        self._key = key or text
