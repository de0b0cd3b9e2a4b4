"""`rdw scale`, `family`, `compare`: budgets in, networks out."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.cli import asking
from app.cli.output import document, document_to, facts, note, paint, table
from app.cli.units import count, name_or_file, number, percent, short

if TYPE_CHECKING:
    from rdw_client import Client, Recommendation

RULES = ("tiny_formula", "surrogate", "compound", "dwr", "fast", "resolution", "depth", "width")
_HEAD = ("r", "d", "w", "px", "flops", "params", "off by", "expected")


def add_command(commands: Any) -> None:
    scale = asking.add(commands, "scale", _scale, "the network for a budget: its r, d, w and exact cost")
    add_network(scale)
    add_target(scale, required=False)
    scale.add_argument("--rule", choices=(*RULES, "manual"), help="(default: tiny_formula)")
    scale.add_argument("--r", type=number, metavar="X", help="of the rule manual: resolution")
    scale.add_argument("--d", type=number, metavar="X", help="of the rule manual: depth")
    scale.add_argument(
        "--w", type=number, metavar="X", help="of the rule manual: width; without it, it is solved to the target"
    )
    add_options(scale)
    scale.add_argument("--config", type=Path, metavar="FILE", help="write the network to this file")
    scale.add_argument("--timm", action="store_true", help="also print how stock timm builds it")

    family = asking.add(commands, "family", _family, "a network for each of several budgets")
    add_network(family)
    family.add_argument("--flops", type=count, nargs="+", default=[], metavar="N", help="200M, 1.2G, …")
    family.add_argument("--ratio", type=number, nargs="+", default=[], metavar="C", help="of the baseline's flops")
    family.add_argument("--rule", choices=RULES, help="(default: tiny_formula)")
    add_options(family)

    compare = asking.add(commands, "compare", _compare, "one budget by several rules, side by side")
    add_network(compare)
    add_target(compare, required=True)
    compare.add_argument("--rule", choices=RULES, nargs="+", help="(default: all)")
    add_options(compare)


def add_network(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "architecture", type=name_or_file, help="a baseline (`rdw architectures`), or a .json file with one"
    )


def add_target(parser: argparse.ArgumentParser, *, required: bool) -> None:
    target = parser.add_mutually_exclusive_group(required=required)
    target.add_argument("--flops", type=count, metavar="N", help="multiply-adds of one image: 200M, 1.2G, 200e6, …")
    target.add_argument("--ratio", type=number, metavar="C", help="of the baseline's flops: .258, …")


def add_options(parser: argparse.ArgumentParser) -> None:
    options = parser.add_argument_group("constraints")
    options.add_argument("--mode", choices=("nearest", "at_most"), help="at_most: never above the budget")
    options.add_argument("--tolerance", type=number, metavar="X", help="relative (default: .005)")
    options.add_argument("--multiple-of", type=int, metavar="PX", help="resolutions are multiples of so many px")
    options.add_argument("--min-px", type=int, metavar="PX", help="no lower resolution")
    options.add_argument("--max-px", type=int, metavar="PX", help="no higher resolution")
    options.add_argument("--px", type=int, metavar="PX", help="this resolution and no other")
    options.add_argument("--max-params", type=count, metavar="N", help="5M, …")
    options.add_argument("--max-activation-bytes", type=count, metavar="N", help="peak of one image in float32: 2M, …")
    options.add_argument("--channel-divisor", type=int, metavar="N", help="channels are multiples of so many")
    options.add_argument("--predictor", metavar="ID", help="(default: the architecture's active one)")
    options.add_argument("--version", type=int, metavar="N", help="another version of that predictor")


def options_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """What the client's calls take beside architecture, target and rule."""
    a = arguments
    px = _given(multiple_of=a.multiple_of, min=a.min_px, max=a.max_px, fixed=a.px)
    constraints = _given(
        resolution=px or None,
        max_params=a.max_params,
        max_activation_bytes=a.max_activation_bytes,
        channel_divisor=a.channel_divisor,
    )
    return {
        "constraints": constraints or None,
        "budget": _given(mode=a.mode, tolerance=a.tolerance) or None,
        "predictor": a.predictor,
        "version": a.version,
    }


def _scale(rdw: Client, arguments: argparse.Namespace) -> int:
    a = arguments
    multipliers = _given(r=a.r, d=a.d, w=a.w) or None
    found = rdw.scale(
        a.architecture, flops=a.flops, ratio=a.ratio, rule=a.rule, multipliers=multipliers, **options_of(a)
    )
    if a.config:
        document_to(a.config, found.config)
    if a.json:
        document(found.raw)
        return 0
    show(found)
    if a.timm:
        print(f"\n{paint('timm', 'dim')}\n{json.dumps(found.config.get('timm'), indent=2)}")
    if a.config:
        note(f"the network is in {a.config}")
    return 0


def _family(rdw: Client, arguments: argparse.Namespace) -> int:
    a = arguments
    if not a.flops and not a.ratio:
        raise ValueError("give budgets: --flops 200M 100M, or --ratio .52 .258")
    found = rdw.family(a.architecture, flops=a.flops, ratios=a.ratio, rule=a.rule, **options_of(a))
    if a.json:
        document(found.raw)
        return 0
    table(("target", *_HEAD), ((short(one.target_flops), *_row(one)) for one in found.items))
    _warn(*found.items)
    return 0


def _compare(rdw: Client, arguments: argparse.Namespace) -> int:
    a = arguments
    found = rdw.compare(a.architecture, flops=a.flops, ratio=a.ratio, rules=a.rule, **options_of(a))
    if a.json:
        document(found.raw)
        return 0
    table(
        ("rule", *_HEAD),
        ((one.rule, *(_row(one.answer) if one.answer else ("-",) * len(_HEAD))) for one in found.items),
    )
    for one in found.items:
        if one.problem:
            note(f"{one.rule}: {one.problem}")
    return 0


def show(found: Recommendation) -> None:
    """A recommendation, for people."""
    m, expected = found.multipliers, found.predicted_accuracy
    facts(
        [
            ("network", f"{found.architecture} by {found.rule}"),
            ("r", _with_sd(m.r, m.r_sd)),
            ("d", _with_sd(m.d, m.d_sd)),
            ("w", f"{m.w:.3f}"),
            ("px", found.config["resolution"]),
            ("multiply-adds", f"{short(found.cost.flops)} ({found.cost.flops:,})"),
            ("off by", None if found.budget_error is None else f"{found.budget_error:+.3%}"),
            ("parameters", f"{short(found.cost.params)} ({found.cost.params:,})"),
            ("peak memory", f"{short(found.cost.peak_activation_bytes)}B of activations"),
            ("expected", expected and f"{percent(expected.mean)} ± {percent(expected.sd)} on {expected.dataset}"),
            ("predictor", found.predictor and f"{found.predictor.id}, version {found.predictor.version}"),
        ]
    )
    _warn(found)


def _row(found: Recommendation) -> tuple[str, ...]:
    m, expected = found.multipliers, found.predicted_accuracy
    return (
        f"{m.r:.3f}",
        f"{m.d:.3f}",
        f"{m.w:.3f}",
        str(found.config["resolution"]),
        short(found.cost.flops),
        short(found.cost.params),
        "-" if found.budget_error is None else f"{found.budget_error:+.2%}",
        percent(expected.mean) if expected else "-",
    )


def _warn(*found: Recommendation) -> None:
    for detail in dict.fromkeys(warning.detail for one in found for warning in one.warnings):
        note(f"{paint('warning:', 'warning')} {detail}")


def _with_sd(value: float, sd: float | None) -> str:
    return f"{value:.3f}" if sd is None else f"{value:.3f} ± {sd:.3f}"


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}
