"""`rdw scale`, `family` and `compare`: networks for budgets."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from app.cli.cost import memory_facts
from app.cli.options import ARCHITECTURE, RULE, InputOptions, MultiplierOptions, ScaleOptions, TargetOptions
from app.cli.output import note, print_facts, print_json, print_table, write_json
from app.cli.parameters import flag, option
from app.cli.service_command import MultiValueCommand, service_command
from app.cli.units import format_count, format_multiplier, format_percent, format_px, parse_count, read_name_or_file
from app.scaling.rules.names import DEFAULT_RULE, SOLVED_RULES, RequestedRule, SolvedOrAuto

if TYPE_CHECKING:
    from rdw_client import Client, Comparison, Family, Recommendation

app = typer.Typer()

_NAMES = ", ".join(SOLVED_RULES)
_RULES: Any = option(f"{_NAMES} (default: all), or auto.", "RULE…", complete=lambda: (DEFAULT_RULE, *SOLVED_RULES))
_RULE_OR_MANUAL: Any = option(
    f"{DEFAULT_RULE} (default), {_NAMES}, or manual, which takes --r, --d and --w; without --w, it solves the width.",
    "RULE",
)
_UNITS = {"params": "params", "weights_bytes": "B weights", "activation_bytes": "B activations"}
_HEAD = ("r", "d", "w", "px", "flops", "params", "off by", "expected")


@app.command("scale")
@service_command()
def scale(
    rdw: "Client",
    as_json: bool,
    target: TargetOptions,
    multipliers: MultiplierOptions,
    options: ScaleOptions,
    inputs: InputOptions,
    architecture: str = ARCHITECTURE,
    rule: RequestedRule | None = _RULE_OR_MANUAL,
    config: Path | None = option("Write the network to this JSON file.", "FILE"),
    timm: bool = flag("--timm", "Also print how stock timm builds the network."),
) -> None:
    """Find the network for a budget: its r, d, w and exact cost."""
    network = rdw.scale(
        read_name_or_file(architecture),
        **target.to_request(),
        rule=rule,
        multipliers=multipliers.to_request(),
        **options.to_request(),
        **inputs.to_request(),
    )
    if config:
        write_json(config, network.config)
    if as_json:
        print_json(network.raw)
        return
    _print_recommendation(network)
    if timm:
        print(f"\ntimm\n{json.dumps(network.config.get('timm'), indent=2)}")
    if config:
        note(f"The network is in {config}.")


def _print_family(family: "Family") -> None:
    print_table(("target", *_HEAD), ((_target(one), *_row(one)) for one in family.items))
    _print_warnings(*family.items)


@app.command("family", cls=MultiValueCommand)
@service_command(_print_family)
def family(
    rdw: "Client",
    options: ScaleOptions,
    inputs: InputOptions,
    architecture: str = ARCHITECTURE,
    flops: list[int] | None = option("Multiply-adds of one image: 200M 100M …", "N…", parse=parse_count),
    ratio: list[float] | None = option("Shares of the baseline's flops: .52 .258 …", "C…"),
    params: list[int] | None = option("Numbers of parameters: 3M 2M …", "N…", parse=parse_count),
    weights_bytes: list[int] | None = option("Bytes of the weights: 2M 1M …", "BYTES…", parse=parse_count),
    activation_bytes: list[int] | None = option(
        "Peak memory of the activations: 500K 250K …", "BYTES…", parse=parse_count
    ),
    rule: SolvedOrAuto | None = RULE,
) -> "Family":
    """Find a network for each of several budgets."""
    if not any((flops, ratio, params, weights_bytes, activation_bytes)):
        raise ValueError("budgets are needed, such as --flops 200M 100M or --ratio .52 .258")
    return rdw.family(
        read_name_or_file(architecture),
        flops=flops or (),
        ratios=ratio or (),
        params=params or (),
        weights_bytes=weights_bytes or (),
        activation_bytes=activation_bytes or (),
        rule=rule,
        **options.to_request(),
        **inputs.to_request(),
    )


def _target(network: "Recommendation") -> str:
    """Return the amount of the target; units other than multiply-adds are named."""
    if network.target is None or network.target_flops is not None:
        return format_count(network.target_flops)
    unit = next(iter(network.target))
    return f"{format_count(network.target[unit])} {_UNITS[unit]}"


def _print_comparison(comparison: "Comparison") -> None:
    print_table(
        ("rule", *_HEAD),
        ((one.rule, *(_row(one.answer) if one.answer else ("-",) * len(_HEAD))) for one in comparison.items),
    )
    for one in comparison.items:
        if one.problem:
            note(f"{one.rule}: {one.problem}")


@app.command("compare", cls=MultiValueCommand)
@service_command(_print_comparison)
def compare(
    rdw: "Client",
    target: TargetOptions,
    options: ScaleOptions,
    inputs: InputOptions,
    architecture: str = ARCHITECTURE,
    rule: list[str] | None = _RULES,
) -> "Comparison":
    """Find the network for one budget by several rules, side by side."""
    if not target.is_set:
        raise ValueError("a budget is needed, such as --flops 200M or --ratio .258")
    return rdw.compare(
        read_name_or_file(architecture),
        **target.to_request(),
        rules=rule or None,
        **options.to_request(),
        **inputs.to_request(),
    )


def _print_recommendation(network: "Recommendation") -> None:
    m, expected = network.multipliers, network.predicted_accuracy
    print_facts(
        [
            ("network", f"{network.architecture} by {network.rule}"),
            ("because", network.rule_reason),
            ("r", _with_sd(m.r, m.r_sd)),
            ("d", _with_sd(m.d, m.d_sd)),
            ("w", format_multiplier(m.w)),
            ("px", format_px(network.config["resolution"])),
            ("classes", network.num_classes),
            ("multiply-adds", f"{format_count(network.cost.flops)} ({network.cost.flops:,})"),
            ("off by", None if network.budget_error is None else f"{network.budget_error:+.3%}"),
            ("parameters", f"{format_count(network.cost.params)} ({network.cost.params:,})"),
            *memory_facts(network.cost),
            (
                "expected",
                expected and f"{format_percent(expected.mean)} ± {format_percent(expected.sd)} on {expected.dataset}",
            ),
            ("predictor", network.predictor and f"{network.predictor.id}, version {network.predictor.version}"),
        ]
    )
    _print_warnings(network)


def _row(network: "Recommendation") -> tuple[str, ...]:
    m, expected = network.multipliers, network.predicted_accuracy
    return (
        format_multiplier(m.r),
        format_multiplier(m.d),
        format_multiplier(m.w),
        format_px(network.config["resolution"]),
        format_count(network.cost.flops),
        format_count(network.cost.params),
        "-" if network.budget_error is None else f"{network.budget_error:+.2%}",
        format_percent(expected.mean) if expected else "-",
    )


def _print_warnings(*networks: "Recommendation") -> None:
    for detail in dict.fromkeys(warning.detail for network in networks for warning in network.warnings):
        note(detail, label="warning")


def _with_sd(value: float, sd: float | None) -> str:
    return format_multiplier(value) if sd is None else f"{format_multiplier(value)} ± {sd:.3f}"
