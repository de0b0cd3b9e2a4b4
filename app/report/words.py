"""Numbers as a report says them, and what follows from them in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from app.figures import Member
from app.report.differences import Difference
from app.scaling.observations import Observation

_NAMES = {"r": "resolution r", "d": "depth d", "w": "width w"}
_ALIKE = 1.1  # budgets within this factor are compared with each other


def percent(accuracy: float | None) -> str:
    return "–" if accuracy is None else f"{100 * accuracy:.1f} %"


def points(difference: float) -> str:
    """Of accuracy, in percentage points."""
    return f"{100 * difference:.1f}"


def millions(flops: float) -> str:
    return f"{flops / 1e6:.3g}M"


def rule(name: str) -> str:
    return name.replace("_", " ")


def recipe(name: str) -> str:
    return {"same": "as studied", "randaugment": "with RandAugment"}.get(name, name)


def interval(pair: Sequence[float] | None) -> str:
    return "not defined" if pair is None else f"{pair[0]:+.2f} to {pair[1]:+.2f}"


def duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def of_one_budget(observations: Sequence[Observation]) -> list[str]:
    """Where the best quarter of the random networks lies, and how the compound-shrunk one of that budget does."""
    random = sorted((o for o in observations if o.role != "compound"), key=lambda o: -o.accuracy)
    if len(random) < 4:
        return ["Too few networks to say where the good ones lie."]
    best = random[: len(random) // 4]
    said = [
        f"Accuracy reaches from {percent(random[-1].accuracy)} to {percent(random[0].accuracy)} at one cost.",
        "Median of the best quarter, in brackets of all: "
        + ", ".join(f"{_NAMES[m]} {_median(best, m):.2f} ({_median(random, m):.2f})" for m in _NAMES)
        + ".",
    ]
    budget = median(o.flops for o in random)
    beside = [o for o in observations if o.role == "compound" and budget / _ALIKE < o.flops < budget * _ALIKE]
    if beside:
        best_compound = max(o.accuracy for o in beside)
        ahead = sum(o.accuracy > best_compound for o in random)
        said.append(
            f"{ahead} of the {len(random)} random networks reach more than compound shrinking does "
            f"at that budget ({percent(best_compound)})."
        )
    return said


def of_compound(observations: Sequence[Observation]) -> str:
    """How many compound-shrunk networks are beaten at no more cost."""
    compound = [o for o in observations if o.role == "compound"]
    others = [o for o in observations if o.role != "compound"]
    if not compound or not others:
        return ""
    beaten = sum(any(o.flops <= c.flops and o.accuracy > c.accuracy for o in others) for c in compound)
    return (
        f"Of {len(compound)} compound-shrunk networks {beaten} are beaten by a random one that has no more "
        "multiply-adds. With one seed each, part of that is luck: the best of many random networks is the luckiest too."
    )


def of_correlations(found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """One sentence a multiplier, by Spearman's: strong from .7, fair from .4, weak below."""
    return [_of_correlation(name, found[m]) for m, name in _NAMES.items() if m in found]


def of_gate(gate: Mapping[str, Any] | None) -> str:
    if not gate:
        return ""
    decided = "took the fitted predictor into use" if gate.get("promoted") else "kept the predictor that was in use"
    return f"The gate {decided}. {gate.get('why') or ''}".strip()


def of_differences(found: Sequence[Difference]) -> list[str]:
    """A sentence a budget and recipe."""
    groups: dict[tuple[int, str], list[Difference]] = {}
    for d in found:
        groups.setdefault((d.target_flops, d.recipe), []).append(d)
    said = []
    for (target, how), those in groups.items():
        at = f"At {millions(target)}, {recipe(how)}: "
        told = [f"{rule(d.better)} is ahead of {rule(d.worse)} by {points(d.ahead)} points" for d in those if d.told]
        if told:
            said.append(at + "; ".join(told) + ": more than the seeds account for.")
        elif all(d.by_seeds is None for d in those):
            said.append(at + "one seed each: no difference can be told.")
        else:
            said.append(at + "no two rules differ by more than their seeds do.")
    return said


def mean_and_sd(member: Member) -> str:
    sd = "" if member.sd is None else f" ± {points(member.sd)}"
    return f"{100 * member.mean:.1f}{sd}"


def _median(observations: Sequence[Observation], name: str) -> float:
    return median(getattr(o, name) for o in observations)


def _of_correlation(name: str, found: Mapping[str, Any]) -> str:
    value, within = found.get("spearman"), found.get("spearman_interval")
    if value is None:
        return f"Of {name} no correlation is defined."
    strength = "strongly" if abs(value) >= 0.7 else "fairly" if abs(value) >= 0.4 else "weakly"
    said = f"{name[0].upper()}{name[1:]} {'rises' if value > 0 else 'falls'} {strength} with FLOPs ({value:+.2f}"
    if within is None:
        return f"{said})."
    unsure = "; that interval has zero in it, so it could be none" if within[0] <= 0 <= within[1] else ""
    return f"{said}, 90 % interval {interval(within)}{unsure})."
