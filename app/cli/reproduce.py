"""`rdw reproduce`: the experiments of the paper."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from app.cli.completion_values import complete_dataset
from app.cli.local_command import local_command
from app.cli.parameters import REQUIRED, option
from app.data.preset_names import PRESET_NAMES
from app.reproduce.options import Options
from app.reproduce.plan import Sizes

if TYPE_CHECKING:
    from app.core.settings import Settings

app = typer.Typer()

_DEFAULTS = Sizes()


@app.command("reproduce")
@local_command
def reproduce(
    settings: "Settings",
    dataset: str = option(
        "typefaces, fashion-mnist, digits, or a data set that is registered at --url.",
        "NAME",
        default=REQUIRED,
        complete=complete_dataset,
    ),
    out: Path = option("Folder for the report, figures, data and the state to resume.", "FOLDER", default=REQUIRED),
    minutes: float | None = option(
        "Maximum working time of all runs together; fewer networks are trained to fit.", "N", minimum=0.1
    ),
    networks: int = option("Number of random networks over the range.", "N", default=_DEFAULTS.networks, minimum=1),
    at_one_budget: int = option(
        "Number of random networks at one budget.", "N", default=_DEFAULTS.at_one_budget, minimum=1
    ),
    compound: int = option(
        "Number of networks from compound scaling over the range.", "N", default=_DEFAULTS.compound, minimum=0
    ),
    seeds: int = option("Number of seeds of each network of the family.", "N", default=_DEFAULTS.seeds, minimum=1),
    architecture: str | None = option(
        "A baseline, or a .json file with one (default: a small MBConv network).", "NAME|FILE"
    ),
    recipe: str | None = option(
        "A preset, or a .json file with a recipe (default: 6 short epochs).", "NAME|FILE", complete=lambda: PRESET_NAMES
    ),
    url: str | None = option(
        "A running service, with its key in RDW_API_KEY (default: start one with its data in --out).", "URL"
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

    After an interruption, the same command resumes; completed trainings are not repeated. The service that it starts
    reads its settings from environment variables (RDW_WORKERS, RDW_THREADS, …).
    """
    from app.reproduce.run import run  # here, since matplotlib takes long to import

    sizes = Sizes(at_one_budget, networks, compound, seeds)
    return run(Options(dataset, out, sizes, minutes, architecture, recipe, url))
