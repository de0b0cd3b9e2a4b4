"""`rdw trials`: the trainings."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from app.cli.completion_values import ARTIFACTS, complete_study
from app.cli.ids import abbreviate
from app.cli.life import add_actions, add_life_commands
from app.cli.options import ARCHITECTURE_FILTER, ARCHIVED, LIMIT, TRIAL
from app.cli.output import note, print_table
from app.cli.parameters import argument, option
from app.cli.progress import watch_trial
from app.cli.results import print_trial, progress_share
from app.cli.service_command import service_command
from app.cli.units import format_count, format_percent
from app.core.trials import TrialState

if TYPE_CHECKING:
    from rdw_client import Client, Trial

app = typer.Typer(name="trials", no_args_is_help=True, help="Show, watch, change and download trials.")

_STATE: Any = option(f"Only those in this state: {', '.join(TrialState)}.", "STATE")
_FILES: Any = argument(f"{', '.join(ARTIFACTS)} (default: all).", "FILE", default=None, complete=lambda: ARTIFACTS)


def _print_trials(trials: "Sequence[Trial]") -> None:
    print_table(
        ("trial", "state", "network", "flops", "data", "seed", "accuracy"),
        (
            (
                abbreviate(one.id),
                _state(one),
                one.architecture,
                format_count(one.flops),
                one.dataset,
                str(one.seed),
                format_percent(one.accuracy),
            )
            for one in trials
        ),
    )


def _state(trial: "Trial") -> str:
    """Return the state, with the progress of a running trial: `running 50%`."""
    share = progress_share(trial.progress) if trial.is_running else None
    return trial.state if share is None else f"{trial.state} {share:.0%}"


@app.command("list")
@service_command(_print_trials)
def list_trials(
    rdw: "Client",
    state: TrialState | None = _STATE,
    study: str | None = option("Only those of this study.", "ID", complete=complete_study),
    architecture: str | None = ARCHITECTURE_FILTER,
    archived: bool = ARCHIVED,
    limit: int = LIMIT,
) -> "Sequence[Trial]":
    """List trials, newest first."""
    return list(islice(rdw.trials(state=state, study=study, architecture=architecture, archived=archived), limit))


_ACTIONS = {
    "show": ("trial", "Show a trial and its result."),
    "cancel": ("cancel_trial", "Cancel a trial. Its checkpoint is kept for a retry."),
    "retry": ("retry_trial", "Queue a failed or cancelled trial again."),
}
add_actions(app, "trial", TRIAL, print_trial, _ACTIONS)
add_life_commands(app, "trial", TRIAL, print_trial)


@app.command("watch")
@service_command()
def watch(rdw: "Client", as_json: bool, trial: str = TRIAL) -> None:
    """Follow a trial until it ends. Ctrl-C stops watching, not the training."""
    watch_trial(rdw, rdw.trial(trial), as_json=as_json)


@app.command("download")
@service_command(lambda paths: note("\n".join(paths)))
def download(
    rdw: "Client",
    trial: str = TRIAL,
    file: list[str] | None = _FILES,
    to: Path | None = option("Folder for the files (default: the working directory).", "FOLDER"),
) -> list[str]:
    """Download the files of a completed trial."""
    folder = to or Path()
    folder.mkdir(parents=True, exist_ok=True)
    return [str(rdw.download(trial, name, folder / name)) for name in file or ARTIFACTS]
