"""`rdw train`: trains a network for a budget, or a given one."""

from typing import TYPE_CHECKING

import typer

from app.cli.completion_values import complete_study
from app.cli.options import (
    RULE,
    DataOptions,
    MultiplierOptions,
    Network,
    ScaleOptions,
    TargetOptions,
    without_none,
)
from app.cli.output import note, print_json
from app.cli.parameters import flag, option
from app.cli.progress import watch_trial
from app.cli.results import print_trial
from app.cli.service_command import service_command
from app.cli.units import format_duration
from app.scaling.rules.names import SolvedOrAuto

if TYPE_CHECKING:
    from rdw_client import Client, Estimate, Trial

app = typer.Typer()


@app.command("train")
@service_command()
def train(
    rdw: "Client",
    as_json: bool,
    network: Network,
    target: TargetOptions,
    multipliers: MultiplierOptions,
    data: DataOptions,
    options: ScaleOptions,
    rule: SolvedOrAuto | None = RULE,
    crop_pct: float | None = option(
        "Share of the images' side that is evaluated, .5 to 1, in place of the recipe's (default: .875 for tinynet*, "
        "else 1).",
        "SHARE",
    ),
    seed: int = option("Seed of the weights and batches.", "N", default=0),
    study: str | None = option("Count the trial as one of this study.", "ID", complete=complete_study),
    priority: int = option("-10 to 10; trials of a higher priority are trained first.", "N", default=0),
    watch: bool = flag("--watch", "Follow the training until it ends. Ctrl-C stops watching only."),
    dry_run: bool = flag("--dry-run", "Validate the request and estimate the duration; start nothing."),
) -> None:
    """Train the network for a budget (--flops, --ratio, …), or the one of --config or --r, --d and --w."""
    training = {"recipe": data.to_recipe(crop_pct=crop_pct), "seed": seed}
    exact = {"multipliers": multipliers.to_request(), "config": network.config, "dataset": data.dataset}
    trial: Trial | None = None
    estimate: Estimate | None = None
    if target.is_set:
        if network.config is not None or multipliers.to_request():
            raise ValueError("a budget such as --flops cannot be combined with --config, --r, --d or --w")
        request = {"dataset": data.dataset, "study": study, "priority": priority, "validate_only": dry_run, **training}
        scaled = rdw.scale(
            network.baseline,
            **target.to_request(),
            rule=rule,
            train=without_none(**request),
            **options.to_request(),
        )
        trial, estimate, response = scaled.trial, scaled.estimate, scaled.raw
    elif dry_run:
        estimate = rdw.estimate(network.baseline, **exact, **training)
        response = {"estimate": estimate.raw}
    else:
        trial = rdw.train(network.baseline, **exact, **training, study=study, priority=priority)
        response = trial.raw
    if trial is not None and watch:
        watch_trial(rdw, trial, as_json=as_json)
    elif as_json:
        print_json(response)
    elif estimate is not None:
        _print_estimate(estimate)
    elif trial is not None:
        trial = rdw.trial(trial)
        print_trial(trial)
        if not trial.ended:
            note(f"Watch: rdw trials watch {trial.id}")


def _print_estimate(estimate: "Estimate") -> None:
    low, high = format_duration(estimate.low), format_duration(estimate.high)
    if not estimate.trainings:
        print(f"Nothing was trained here yet, so the duration is unknown: roughly {low} to {high} of one worker.")
        return
    print(f"about {format_duration(estimate.seconds)} of one worker ({low} to {high})")
    note(estimate.basis)
