"""`rdw reproduce`: the experiments of the paper."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from app.cli.completion_values import complete_dataset
from app.cli.local_command import local_command
from app.cli.parameters import REQUIRED, option
from app.data.preset_names import PRESET_NAMES
from app.reproduce.design import BUDGET_RANGE, log_even_budgets
from app.reproduce.design import COMPARED_RULES as RULES
from app.reproduce.options import ExperimentOptions, Options
from app.reproduce.plan import Sizes

if TYPE_CHECKING:
    from app.core.settings import Settings

app = typer.Typer()

_DEFAULTS = Sizes()
_STUDY_NETWORKS, _STUDY_SEEDS = 60, 2
_PANEL = "Compare rules"


def _split(names: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (names or "").split(",") if name.strip())


def _parse_budgets(text: str) -> tuple[float, ...]:
    """Parse ratios, or a number of log-even budgets with or without their range."""
    try:
        if "," in text:
            return tuple(float(part) for part in _split(text))
        number, *limits = text.split(":")
        low, high = map(float, limits) if limits else BUDGET_RANGE
        return log_even_budgets(int(number), low, high)
    except ValueError as error:
        raise typer.BadParameter("must be ratios separated by commas, a number, or NUMBER:LOWEST:HIGHEST") from error


@app.command("reproduce")
@local_command
def reproduce(
    settings: "Settings",
    dataset: str = option(
        "typefaces, fashion-mnist, digits, or a data set that is registered at --url; with --studies also several, "
        "separated by commas.",
        "NAME",
        default=REQUIRED,
        complete=complete_dataset,
    ),
    out: Path = option("Folder for the report, figures, data and the state to resume.", "FOLDER", default=REQUIRED),
    minutes: float | None = option(
        "Maximum working time of all runs together; fewer networks are trained to fit.", "N", minimum=0.1
    ),
    networks: int | None = option(
        f"Number of random networks over the range (default: {_DEFAULTS.networks}; of each study: {_STUDY_NETWORKS}).",
        "N",
        minimum=1,
    ),
    at_one_budget: int = option(
        "Number of random networks at one budget.", "N", default=_DEFAULTS.at_one_budget, minimum=1
    ),
    compound: int = option(
        "Number of networks from compound scaling over the range.", "N", default=_DEFAULTS.compound, minimum=0
    ),
    seeds: int | None = option(
        f"Number of seeds of each network of the family (default: {_DEFAULTS.seeds}; with --studies: {_STUDY_SEEDS}).",
        "N",
        minimum=1,
    ),
    architecture: str | None = option(
        "A baseline, or a .json file with one (default: a small MBConv network).",
        "NAME|FILE",
        names=("--architecture", "--baseline"),
    ),
    recipe: str | None = option(
        "A preset, or a .json file with a recipe (default: 6 short epochs).", "NAME|FILE", complete=lambda: PRESET_NAMES
    ),
    url: str | None = option(
        "A running service, with its key in RDW_API_KEY (default: start one with its data in --out).", "URL"
    ),
    studies: int | None = option(
        "Compare rules instead, learning from this number of random studies.", "N", minimum=1, panel=_PANEL
    ),
    from_study: list[str] | None = option(
        "Compare rules instead, learning from this study at --url, or from the studies in a file of records. Repeat it "
        "for several.",
        "ID|FILE",
        panel=_PANEL,
    ),
    budgets: Any = option(
        "Ratios to the baseline's multiply-adds, separated by commas; or their number, evenly spaced in the logarithm "
        f"from {BUDGET_RANGE[0]} to {BUDGET_RANGE[1]} or between two given ratios (default: 24).",
        "N|N:LOW:HIGH|RATIOS",
        parse=_parse_budgets,
        panel=_PANEL,
    ),
    rules: str | None = option(f"Rules, separated by commas (default: {','.join(RULES)}).", "RULES", panel=_PANEL),
    recipes: str | None = option(
        "Presets or .json files, separated by commas; an experiment for each (default: 9 short epochs).",
        "NAMES|FILES",
        panel=_PANEL,
    ),
    records: Path | None = option(
        "Folder for the recorded trainings (default: records in --out).", "FOLDER", panel=_PANEL
    ),
) -> int:
    """Run the experiments of the paper on a data set, through the HTTP API, and write a report.

    1. Train random networks at one budget (half the baseline's multiply-adds), and networks from compound scaling.

    2. Train random networks over a range (8 to 100 %), and networks from compound scaling.

    3. Select networks by NSGA-III, and correlate r, d and w with FLOPs along the selection.

    4. Fit the Gaussian processes r(c) and d(c) on the selection.

    5. Train the family: three budgets, the rules tiny_formula, compound and surrogate, several seeds, with and
    without RandAugment.

    6. Compare predicted with measured accuracy.

    With --studies it compares rules: each learns from one study alone, and its networks for many budgets are trained
    with seeds that no study used. It prints the trainings, the hours and the power first, and records each training.

    After an interruption, the same command resumes; completed trainings are not repeated. What the folder of --records
    contains is not trained again, on whatever machine it was recorded. The service that it starts reads its settings
    from environment variables (RDW_WORKERS, RDW_THREADS, …).
    """
    from app.reproduce.run import run, run_experiment  # here, since matplotlib takes long to import

    if studies or from_study:
        return run_experiment(
            ExperimentOptions(
                _split(dataset),
                out,
                records or out / "records",
                tuple(budgets or ()),
                _split(rules),
                _split(recipes or recipe),
                studies or 0,
                networks or _STUDY_NETWORKS,
                seeds or _STUDY_SEEDS,
                tuple(from_study or ()),
                architecture,
                url,
            )
        )
    sizes = Sizes(at_one_budget, networks or _DEFAULTS.networks, compound, seeds or _DEFAULTS.seeds)
    return run(Options(dataset, out, sizes, minutes, architecture, recipe, url))
