"""Options and arguments that several commands share. A dataclass stands for the options that are its fields."""

from dataclasses import dataclass
from typing import Any, Literal

from app.cli import completion_values
from app.cli.parameters import REQUIRED, argument, flag, option
from app.cli.units import parse_count, parse_json_file, parse_px, parse_weight_source, read_name_or_file
from app.data.preset_names import PRESET_NAMES
from app.scaling.rules.names import DEFAULT_RULE, SOLVED_RULES

TRIAL: Any = argument(
    "Id of the trial, or its first digits: see `rdw trials list`.", "TRIAL", complete=completion_values.complete_trial
)
STUDY: Any = argument(
    "Id of the study, or its first digits: see `rdw study list`.", "STUDY", complete=completion_values.complete_study
)
PREDICTOR: Any = argument(
    "Id of the predictor: see `rdw predictor list`.", "PREDICTOR", complete=completion_values.complete_predictor
)
_BASELINE = "A baseline (`rdw architectures` lists them), or a .json file with one."
ARCHITECTURE: Any = argument(_BASELINE, "ARCHITECTURE", complete=completion_values.complete_architecture)
ARCHITECTURE_FILTER: Any = option(
    "Only those of this baseline.", "NAME", complete=completion_values.complete_architecture
)
REGISTERED: Any = argument(
    "Name of the registered baseline.", "ARCHITECTURE", complete=completion_values.complete_architecture
)
DATASET: Any = argument("Name of the registered data set.", "DATASET", complete=completion_values.complete_dataset)
ARCHIVED: Any = flag("--archived", "List the archived ones instead of the others.")
LIMIT: Any = option("Maximum number of rows.", "N", default=50, minimum=1)
RULE: Any = option(f"{DEFAULT_RULE} (default), {', '.join(SOLVED_RULES)}.", "RULE")


@dataclass(frozen=True)
class Network:
    """A network: a baseline, or a config."""

    architecture: str | None = argument(
        _BASELINE, "ARCHITECTURE", default=None, complete=completion_values.complete_architecture
    )
    config: Any = option("A network instead, as `rdw scale --config` writes it.", "FILE", parse=parse_json_file)

    def __post_init__(self) -> None:
        if (self.architecture is None) == (self.config is None):
            raise ValueError("either ARCHITECTURE or --config is needed")

    @property
    def baseline(self) -> Any:
        return read_name_or_file(self.architecture)


@dataclass(frozen=True)
class MultiplierOptions:
    """r, d and w."""

    r: float | None = option("Resolution relative to the baseline.", "X")
    d: float | None = option("Depth relative to the baseline.", "X")
    w: float | None = option("Width relative to the baseline.", "X")

    def to_request(self) -> dict[str, float] | None:
        return without_none(r=self.r, d=self.d, w=self.w) or None


@dataclass(frozen=True)
class TargetOptions:
    """A budget, absolute or relative."""

    flops: int | None = option("Multiply-adds of one image: 200M, 1.2G, 200e6, …", "N", parse=parse_count)
    ratio: float | None = option("Share of the baseline's flops: .258, …", "C")
    params: int | None = option("Number of parameters: 2M, …", "N", parse=parse_count)
    weights_bytes: int | None = option("Bytes of the weights, by --precision: 1M, …", "BYTES", parse=parse_count)
    activation_bytes: int | None = option(
        "Peak memory of the activations of one image, by --precision: 320K, …", "BYTES", parse=parse_count
    )

    def __post_init__(self) -> None:
        if len(self.to_request()) > 1:
            first, second, *_ = (f"--{name.replace('_', '-')}" for name in self.to_request())
            raise ValueError(f"{first} and {second} cannot be combined; one of them may be a limit: --max-…")

    @property
    def is_set(self) -> bool:
        return bool(self.to_request())

    def to_request(self) -> dict[str, Any]:
        """Return the arguments that the client's methods take."""
        return without_none(**vars(self))


@dataclass(frozen=True)
class ScaleOptions:
    """Constraints of a network, and the predictor that is used."""

    mode: Literal["nearest", "at_most"] | None = option(
        "nearest: as close to the budget as possible; at_most: never above it (default: nearest).", "MODE"
    )
    tolerance: float | None = option("Relative distance from the budget (default: .005).", "X")
    multiple_of: int | None = option("The sides are multiples of this many px.", "PX")
    min_px: int | None = option("Minimum resolution in px.", "PX")
    max_px: int | None = option("Maximum resolution in px.", "PX")
    px: Any = option("Exact resolution in px: 224, or height and width, 32x64.", "PX", parse=parse_px)
    max_flops: int | None = option("Maximum number of multiply-adds: 200M, …", "N", parse=parse_count)
    max_params: int | None = option("Maximum number of parameters: 5M, …", "N", parse=parse_count)
    max_weights_bytes: int | None = option(
        "Maximum bytes of the weights, by --precision: 1M, …", "BYTES", parse=parse_count
    )
    max_activation_bytes: int | None = option(
        "Maximum peak memory of the activations of one image, by --precision: 2M, …", "BYTES", parse=parse_count
    )
    activation_bytes_per_element: int | None = option(
        "Bytes per element of that memory, if not those of --precision: 2 (float16).", "N"
    )
    precision: Literal["float32", "int8"] | None = option(
        "What bytes are counted in: float32 (default) or int8.", "NAME"
    )
    channel_divisor: int | None = option("Channel counts are multiples of this number.", "N")
    from_study: str | None = option(
        "Answer from the newest predictor of this study.", "ID", complete=completion_values.complete_study
    )
    predictor: str | None = option(
        "Predictor (default: the active one of the architecture).",
        "ID",
        complete=completion_values.complete_predictor,
    )
    version: int | None = option("Another version of that predictor.", "N")

    def to_request(self) -> dict[str, Any]:
        """Return the arguments that the client's methods take."""
        px = without_none(multiple_of=self.multiple_of, min=self.min_px, max=self.max_px, fixed=self.px)
        constraints = without_none(
            resolution=px or None,
            max_flops=self.max_flops,
            max_params=self.max_params,
            max_weights_bytes=self.max_weights_bytes,
            max_activation_bytes=self.max_activation_bytes,
            activation_bytes_per_element=self.activation_bytes_per_element,
            channel_divisor=self.channel_divisor,
        )
        if self.max_weights_bytes is not None or self.max_activation_bytes is not None:
            constraints |= without_none(precision=self.precision)
        return {
            "precision": self.precision,
            "constraints": constraints or None,
            "budget": without_none(mode=self.mode, tolerance=self.tolerance) or None,
            "study": self.from_study,
            "predictor": self.predictor,
            "version": self.version,
        }


@dataclass(frozen=True)
class InputOptions:
    """The classes and channels that a baseline is counted for."""

    dataset: str | None = option(
        "Count the classes of this data set, as a training does.",
        "NAME",
        complete=completion_values.complete_dataset,
    )
    num_classes: int | None = option("Number of classes (default: the baseline's).", "N")
    in_chans: int | None = option("Channels of the input (default: the baseline's).", "N")

    def to_request(self) -> dict[str, Any]:
        """Return the arguments that the client's methods take."""
        return {"dataset": self.dataset, "num_classes": self.num_classes, "in_chans": self.in_chans}


@dataclass(frozen=True)
class DataOptions:
    """What a network is trained on, and how."""

    dataset: str = option(
        "Data set: see `rdw datasets list`.", "NAME", default=REQUIRED, complete=completion_values.complete_dataset
    )
    recipe: Any = option(
        f"A preset ({', '.join(PRESET_NAMES)}) or a .json file.",
        "NAME|FILE",
        parse=read_name_or_file,
        complete=lambda: PRESET_NAMES,
    )
    init: Any = option(
        "Initial weights in place of the recipe's: scratch, timm (the baseline's), trial:ID, or file:PATH below the "
        "data root.",
        "SOURCE",
        parse=parse_weight_source,
    )
    distill: Any = option("Teacher: trial:ID, file:PATH or timm:NAME.", "SOURCE", parse=parse_weight_source)

    def to_recipe(self, **changes: Any) -> Any:
        """Return the recipe, or the name of a preset (None: `quick`), with those options that have a value."""
        teacher = self.distill and {"teacher": self.distill}
        changes = without_none(init=self.init, distill=teacher, **changes)
        if not changes:
            return self.recipe
        recipe = self.recipe
        if not isinstance(recipe, dict):
            name = recipe or "quick"
            if name not in PRESET_NAMES:
                raise ValueError(f"--recipe: {name!r} is no preset; use {', '.join(PRESET_NAMES)}, or a .json file")
            from app.data.recipes import PRESETS  # needs the server's packages, unlike other commands

            recipe = PRESETS[name].to_json()
        return {**recipe, **changes}


def without_none(**options: Any) -> dict[str, Any]:
    """Return the options that have a value."""
    return {name: value for name, value in options.items() if value is not None}
