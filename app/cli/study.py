"""`rdw study`: networks around a baseline, trained here or elsewhere by ask and tell."""

import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import typer

from app.cli.ids import abbreviate
from app.cli.life import add_actions, add_life_commands
from app.cli.options import (
    ARCHITECTURE,
    ARCHITECTURE_FILTER,
    ARCHIVED,
    LIMIT,
    STUDY,
    DataOptions,
    MultiplierOptions,
)
from app.cli.output import note, print_facts, print_json, print_table, write_file, write_json
from app.cli.parameters import REQUIRED, argument, flag, option
from app.cli.progress import watch_study
from app.cli.results import print_study
from app.cli.service_command import service_command
from app.cli.units import format_count, format_multiplier, format_percent, format_px, parse_json_file, read_name_or_file
from app.core.figures import FIGURE_NAMES, FigureName
from app.core.trials import TrialState

if TYPE_CHECKING:
    from rdw_client import (
        Client,
        Correlations,
        Front,
        Imported,
        Observation,
        Predictor,
        Study,
        Suggestion,
        TellResponse,
    )

app = typer.Typer(name="study", no_args_is_help=True, help="Create, run and evaluate studies.")

_FIGURE: Any = argument(f"{', '.join(FIGURE_NAMES)}.", "NAME")
_CLIENT: Any = option(
    "Name of the client that trains; `ask` repeats the suggestions that it has not reported on.", "NAME"
)
_K: Any = option("Maximum number of networks (default: 20).", "N")


@app.command("create")
@service_command(print_study)
def create(
    rdw: "Client",
    data: DataOptions,
    name: str = argument("Name of the study.", "NAME"),
    architecture: str = ARCHITECTURE,
    trials: int | None = option("Number of networks (default: 12).", "N"),
    sampler: Literal["random", "active"] | None = option("random or active (default: random).", "SAMPLER"),
    space: Any = option("JSON file with the ranges of r, d, w and ratio.", "FILE", parse=parse_json_file),
    seeds: int | None = option("Number of trainings of each network (default: 1).", "N"),
    compound: int | None = option("Number of networks from compound scaling for comparison (default: 0).", "N"),
    halving: bool = flag("--halving", "Stop networks that fall behind early (successive halving)."),
    promote: bool = flag("--promote", "Let automatic refits that pass the gate answer everybody (scope admin)."),
    seed: int | None = option("Seed of the sampler (default: 0).", "N"),
    start: bool = flag("--start", "Also start the study."),
) -> "Study":
    """Create a study of networks around a baseline."""
    study = rdw.create_study(
        name,
        read_name_or_file(architecture),
        data.dataset,
        recipe=data.to_recipe(),
        space=space,
        trials=trials,
        sampler=sampler,
        compound=compound,
        seeds=seeds,
        halving={} if halving else None,
        refit={"promote": True} if promote else None,
        seed=seed,
    )
    return rdw.start_study(study) if start else study


def _print_studies(studies: "Sequence[Study]") -> None:
    print_table(
        ("study", "name", "state", "baseline", "data", "drawn", "trained"),
        (
            (
                abbreviate(s.id),
                s.name,
                s.state,
                s.architecture,
                s.dataset,
                f"{s.proposed} of {s.size}",
                _count_trained(s),
            )
            for s in studies
        ),
    )


def _count_trained(study: "Study") -> str:
    """Count the completed and failed trials: `8, 1 failed`."""
    failed = study.trials.get(TrialState.FAILED)
    return f"{study.trials.get(TrialState.COMPLETED, 0)}{f', {failed} failed' if failed else ''}"


@app.command("list")
@service_command(_print_studies)
def list_studies(
    rdw: "Client", architecture: str | None = ARCHITECTURE_FILTER, archived: bool = ARCHIVED, limit: int = LIMIT
) -> "Sequence[Study]":
    """List studies, newest first."""
    return list(islice(rdw.studies(architecture=architecture, archived=archived), limit))


_ACTIONS = {
    "show": ("study", "Show a study and its trials by state."),
    "start": ("start_study", "Train the networks of a study."),
    "pause": ("pause_study", "Pause a study: running trials continue, queued ones wait."),
    "resume": ("resume_study", "Resume a paused study."),
    "cancel": ("cancel_study", "Cancel the unfinished trials of a study."),
}
add_actions(app, "study", STUDY, print_study, _ACTIONS)
add_life_commands(app, "study", STUDY, print_study)


@app.command("watch")
@service_command()
def watch(rdw: "Client", as_json: bool, study: str = STUDY) -> None:
    """Follow a study until it ends. Ctrl-C stops watching, not the study."""
    watch_study(rdw, rdw.study(study), as_json=as_json)


def _print_front(front: "Front") -> None:
    print_table(
        ("r", "d", "w", "flops", "params", "accuracy", "role", ""),
        (
            (
                *(format_multiplier(m) for m in (n.r, n.d, n.w)),
                format_count(n.flops),
                format_count(n.params),
                format_percent(n.accuracy, 2),
                n.role,
                "dominated" if n.dominated else "",
            )
            for n in front.items
        ),
    )


@app.command("front")
@service_command(_print_front)
def front(rdw: "Client", study: str = STUDY, k: int | None = _K) -> "Front":
    """Show the front: the networks that no other network beats in both accuracy and flops.

    Dominated networks are added if there are fewer than five.
    """
    return rdw.front(study, k=k)


def _print_correlations(correlations: "Correlations") -> None:
    print_table(
        ("", "pearson", "90 % interval", "spearman", "90 % interval"),
        (
            (
                name,
                _format_signed(c.pearson),
                _format_interval(c.pearson_interval),
                _format_signed(c.spearman),
                _format_interval(c.spearman_interval),
            )
            for name, c in (("r", correlations.r), ("d", correlations.d), ("w", correlations.w))
        ),
    )


def _format_signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.2f}"


def _format_interval(interval: tuple[float, ...] | None) -> str:
    return "-" if interval is None else " to ".join(_format_signed(end) for end in interval)


@app.command("correlations")
@service_command(_print_correlations)
def correlations(rdw: "Client", study: str = STUDY, k: int | None = _K) -> "Correlations":
    """Show the correlations of r, d and w with flops along the front."""
    return rdw.correlations(study, k=k)


@app.command("figure")
@service_command(note)
def figure(
    rdw: "Client",
    study: str = STUDY,
    name: FigureName = _FIGURE,
    to: Path | None = option("A .svg, .png or .csv file (default: NAME.svg).", "FILE"),
) -> str:
    """Draw one of the paper's figures from the observations of a study."""
    path = to or Path(f"{name}.svg")
    write_file(path, rdw.figure(study, name, path.suffix.removeprefix(".") or "svg"))
    return str(path)


def _print_refit(predictor: "Predictor") -> None:
    is_active = "yes" if predictor.active else "no"
    print_facts([("predictor", predictor.id), ("active", is_active), ("networks", predictor.observations)])
    if predictor.gate:
        note(f"Gate: {predictor.gate['reason']}")


@app.command("refit")
@service_command(_print_refit)
def refit(
    rdw: "Client",
    study: str = STUDY,
    k: int | None = _K,
    activate: bool = flag("--activate", "Activate the new version, so that it answers everybody (scope admin)."),
    gate: bool = flag("--gate", "Activate the new version if it passes the gate (scope admin)."),
) -> "Predictor":
    """Fit r(c) and d(c) on the front: a new version of the predictor."""
    if activate and gate:
        raise ValueError("--activate and --gate cannot be combined")
    return rdw.refit(study, k=k, activate="gate" if gate else activate or None)


def _print_suggestions(suggestions: "Sequence[Suggestion]") -> None:
    print_table(
        ("suggestion", "r", "d", "w", "px", "flops", "params"),
        (
            (
                s.id,
                *(format_multiplier(m) for m in (s.multipliers.r, s.multipliers.d, s.multipliers.w)),
                format_px(s.config["resolution"]),
                format_count(s.flops),
                format_count(s.params),
            )
            for s in suggestions
        ),
    )


@app.command("ask")
@service_command(_print_suggestions)
def ask(
    rdw: "Client",
    study: str = STUDY,
    n: int | None = option("Number of networks (default: 1).", "N"),
    client: str | None = _CLIENT,
) -> "Sequence[Suggestion]":
    """Ask which networks to train next, elsewhere.

    A client gets the suggestions again that it has not reported on yet.
    """
    return rdw.ask(study, n=n, client=client)


def _print_tell_response(response: "TellResponse") -> None:
    print("recorded" if response.observation is None else f"observation {response.observation}")


@app.command("tell")
@service_command(_print_tell_response)
def tell(
    rdw: "Client",
    multipliers: MultiplierOptions,
    study: str = STUDY,
    suggestion: str | None = argument(
        "Id of the suggestion; without one, --r, --d and --w describe the network.", "SUGGESTION", default=None
    ),
    accuracy: float | None = option("Accuracy from 0 to 1.", "X"),
    infeasible: str | None = option("Why the network cannot be trained.", "TEXT"),
    seconds: float | None = option("Duration of the training in seconds.", "X"),
    latency_ms: float | None = option("Milliseconds per image.", "X"),
    client: str | None = _CLIENT,
) -> "TellResponse":
    """Report the result of a suggestion, or of a network of your own."""
    if (accuracy is None) == (infeasible is None):
        raise ValueError("either --accuracy or --infeasible is needed")
    return rdw.tell(
        study,
        suggestion,
        accuracy=accuracy,
        infeasible=infeasible,
        multipliers=multipliers.to_request(),
        client=client,
        seconds=seconds,
        latency_ms=latency_ms,
    )


def _print_import(imported: "Imported") -> None:
    print(f"{imported.imported} observations")
    left_out = [(imported.duplicates, "that the study has already"), (imported.skipped_rows, "without a result")]
    if any(count for count, _ in left_out):
        note("not imported: " + ", ".join(f"{count} {why}" for count, why in left_out if count))


@app.command("import")
@service_command(_print_import)
def import_observations(
    rdw: "Client",
    study: str = STUDY,
    table: str = argument("CSV file whose first line has r,d,w,accuracy; - reads stdin.", "FILE"),
    source: str | None = option("Where the results come from.", "TEXT"),
) -> "Imported":
    """Import results from elsewhere as observations."""
    try:
        csv = sys.stdin.buffer.read() if table == "-" else Path(table).read_bytes()
    except OSError as error:
        raise ValueError(f"{table}: {error.strerror}") from error
    return rdw.import_csv(study, csv, source=source)


@app.command("retract")
@service_command(lambda observation: print(f"observation {observation.id} is retracted"))
def retract(
    rdw: "Client",
    study: str = STUDY,
    observation: int = argument("Number of the observation, as `tell` and `export` print it.", "OBSERVATION"),
    reason: str = option("What is wrong with it.", "TEXT", default=REQUIRED),
) -> "Observation":
    """Retract an observation: it can still be read but is not used."""
    return rdw.retract(study, observation, reason)


@app.command("export")
@service_command()
def export(
    rdw: "Client",
    as_json: bool,
    study: str = STUDY,
    to: Path | None = option("File to write (default: stdout).", "FILE"),
) -> None:
    """Export all observations of a study as CSV, or as JSON with --json."""
    if as_json:
        observations = [one.raw for one in rdw.observations(study)]
        print_json(observations) if to is None else write_json(to, observations)
    else:
        csv = rdw.observations_csv(study)
        print(csv, end="") if to is None else write_file(to, csv)
    if to is not None:
        note(str(to))
