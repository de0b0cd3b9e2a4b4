from __future__ import annotations

from dataclasses import fields, replace
from functools import lru_cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.scaling import families
from app.scaling.errors import InvalidNetwork
from app.scaling.network import Architecture, Config, Multipliers
from app.scaling.rules.recommend import recommend
from app.scaling.solver.constraints import Constraints
from app.scaling.solver.cost_batch import MAX_RESOLUTION
from app.scaling.solver.width_solver import SearchRadius, Solution, TargetOutOfRange, solve
from tests.scaling.baselines import ARCHITECTURES, B0, OF_EVERY_FAMILY
from tests.support import example_count

EVERY_FAMILY = pytest.mark.parametrize("architecture", OF_EVERY_FAMILY, ids=[a.name for a in OF_EVERY_FAMILY])
R, D, RATIO = st.floats(0.4, 1.3), st.floats(0.4, 1.5), st.floats(0.03, 1.5)
NAMED = {
    "multiple_of": "resolution.multiple_of",
    "min_resolution": "resolution.min",
    "max_resolution": "resolution.max",
    "fixed_resolution": "resolution.fixed",
}
FREE = {f.name: MAX_RESOLUTION if f.name == "max_resolution" else f.default for f in fields(Constraints)}


@lru_cache
def whole(architecture: Architecture) -> Constraints:
    """The baseline's own px, parameters and memory."""
    cost = families.network_cost(architecture.baseline)
    px = architecture.baseline.resolution
    return Constraints(fixed_resolution=px, max_params=cost.params, max_activation_bytes=cost.peak_activation_bytes)


@st.composite
def constraints(draw: st.DrawFn, architecture: Architecture) -> Constraints:
    base = whole(architecture)
    step = draw(st.sampled_from([1, 1, 8, 32]))
    least = draw(st.sampled_from([8, 8, 64, 100]))
    most = max(draw(st.sampled_from([1024, 1024, 160, 224])), -(-least // step) * step)
    return Constraints(
        multiple_of=step,
        min_resolution=least,
        max_resolution=most,
        fixed_resolution=draw(st.sampled_from([None, None, None, 96, 224])),
        max_params=draw(st.none() | st.floats(0.05, 1.5).map(lambda part: int(part * (base.max_params or 0)))),
        max_activation_bytes=draw(
            st.none() | st.floats(0.05, 1.5).map(lambda part: int(part * (base.max_activation_bytes or 0)))
        ),
        channel_divisor=draw(st.sampled_from([None, None, 16, 32])),
    )


CONSTRAINED = st.sampled_from((*ARCHITECTURES, *OF_EVERY_FAMILY)).flatmap(
    lambda architecture: st.tuples(st.just(architecture), constraints(architecture))
)


def flops_of(architecture: Architecture) -> int:
    return families.network_cost(architecture.baseline).flops


def channels(config: Config) -> list[int]:
    return [int(part.channels) for part in (config.stem, *config.stages, config.head)]


def keeps_to(constraints: Constraints, found: Solution) -> bool:
    px, cost = found.config.resolution, families.network_cost(found.config)
    if constraints.fixed_resolution is not None:
        right = px == constraints.fixed_resolution
    else:
        right = constraints.min_resolution <= px <= constraints.max_resolution and px % constraints.multiple_of == 0
    divisor = constraints.channel_divisor or 1
    return (
        right
        and (constraints.max_params is None or cost.params <= constraints.max_params)
        and (constraints.max_activation_bytes is None or cost.peak_activation_bytes <= constraints.max_activation_bytes)
        and all(count % divisor == 0 for count in channels(found.config))
    )


def possible(architecture: Architecture, r: float, d: float, target: int, **options: object) -> bool:
    try:
        solve(architecture, r, d, target, **options)  # type: ignore[arg-type]
    except TargetOutOfRange:
        return False
    return True


@settings(max_examples=example_count(250))
@given(CONSTRAINED, R, D, RATIO, st.booleans(), st.sampled_from(["nearest", "at_most"]))
def test_network_respects_every_constraint(
    constrained: tuple[Architecture, Constraints], r: float, d: float, ratio: float, stages: bool, mode: str
) -> None:
    architecture, constraints = constrained
    radius, target = SearchRadius(4, 0.05, stages), round(ratio * flops_of(architecture))
    try:
        narrowed = constraints.apply_channel_divisor(architecture)
        found = solve(architecture, r, d, target, radius=radius, constraints=constraints, mode=mode)  # type: ignore[arg-type]
    except (TargetOutOfRange, InvalidNetwork):
        return

    assert keeps_to(constraints, found)
    assert narrowed.scale(found.multipliers) == found.config
    assert families.network_cost(found.config) == found.cost
    assert mode == "nearest" or found.cost.flops <= target


@settings(max_examples=example_count(250))
@given(CONSTRAINED, R, D, RATIO, st.sampled_from(["nearest", "at_most"]))
def test_refusal_names_each_constraint_to_relax(
    constrained: tuple[Architecture, Constraints], r: float, d: float, ratio: float, mode: str
) -> None:
    architecture, constraints = constrained
    radius, target = SearchRadius(4, 0.05), round(ratio * flops_of(architecture))
    try:
        solve(architecture, r, d, target, radius=radius, constraints=constraints, mode=mode)  # type: ignore[arg-type]
    except InvalidNetwork:
        return
    except TargetOutOfRange as error:
        refusal = error
    else:
        return
    without = {name: replace(constraints, **{name: free}) for name, free in FREE.items()}
    freeing = {
        NAMED.get(name, name)
        for name, relaxed in without.items()
        if relaxed != constraints
        and possible(architecture, r, d, target, radius=radius, constraints=relaxed, mode=mode)
    }

    assert set(refusal.constraints) == freeing or not freeing
    assert set(refusal.constraints) <= {NAMED.get(name, name) for name in without}
    assert 0 <= refusal.minimum <= refusal.maximum
    assert not refusal.minimum <= target <= refusal.maximum
    assert refusal.nearest is not None or refusal.maximum == 0
    if refusal.nearest is not None and refusal.maximum > 0:
        assert keeps_to(constraints, refusal.nearest)


@pytest.mark.parametrize("multiple", [1, 2, 8, 32])
def test_resolution_is_a_multiple_of_the_constraint(multiple: int) -> None:
    constraints = Constraints(multiple_of=multiple)
    found = solve(B0, 0.83, 1.0, 150_000_000, radius=SearchRadius(px=8), constraints=constraints)

    assert found.config.resolution % multiple == 0
    assert abs(found.config.resolution - 0.83 * 224) <= max(8, multiple)


@EVERY_FAMILY
def test_fixed_resolution_is_respected(architecture: Architecture) -> None:
    base = architecture.baseline.resolution
    fixed = base * 5 // 7  # 160 of 224
    found = solve(architecture, 0.9, 1.0, flops_of(architecture), constraints=Constraints(fixed_resolution=fixed))

    assert found.config.resolution == fixed
    assert found.displacement.px == fixed - int(0.9 * base)


@pytest.mark.parametrize(
    "constraints",
    [Constraints(fixed_resolution=24), Constraints(max_resolution=24), Constraints(multiple_of=24, max_resolution=47)],
)
def test_family_minimum_px_respects_the_constraints(constraints: Constraints) -> None:
    convnext = families.baseline("convnext_atto")
    try:
        found = solve(convnext, 0.11, 1.0, 10_000_000, constraints=constraints)
    except TargetOutOfRange:
        return

    assert keeps_to(constraints, found)


@pytest.mark.parametrize(("r", "px"), [(0.2, 96), (1.5, 128), (0.5, 112)])
def test_the_resolution_stays_within_its_bounds(r: float, px: int) -> None:
    constraints = Constraints(min_resolution=96, max_resolution=128)

    assert solve(B0, r, 1.0, 60_000_000, constraints=constraints).config.resolution == px


def test_bounds_are_rounded_inwards_to_the_multiple() -> None:
    constraints = Constraints(multiple_of=32, min_resolution=40, max_resolution=120)

    assert solve(B0, 0.1, 1.0, 30_000_000, constraints=constraints).config.resolution == 64
    assert solve(B0, 1.0, 1.0, 30_000_000, constraints=constraints).config.resolution == 96


def test_parameter_bound_is_met_by_moving_px() -> None:
    free = solve(B0, 0.8, 1.0, 300_000_000, radius=SearchRadius(px=60))
    bound = Constraints(max_params=int(free.cost.params * 0.9))
    held = solve(B0, 0.8, 1.0, 300_000_000, radius=SearchRadius(px=60), constraints=bound)

    assert held.cost.params <= free.cost.params * 0.9
    assert held.config.resolution > free.config.resolution


def test_memory_bound_is_met_by_moving_px() -> None:
    free = solve(B0, 1.0, 1.0, 300_000_000, radius=SearchRadius(px=60, stages=True))
    bound = Constraints(max_activation_bytes=int(free.cost.peak_activation_bytes * 0.8))
    held = solve(B0, 1.0, 1.0, 300_000_000, radius=SearchRadius(px=60, stages=True), constraints=bound)

    assert held.cost.peak_activation_bytes <= 0.8 * free.cost.peak_activation_bytes
    assert held.config.resolution < free.config.resolution
    assert held.cost.flops == pytest.approx(300e6, rel=5e-4)


def with_divisor(architecture: Architecture, divisor: int, width: float) -> Solution:
    constraints = Constraints(channel_divisor=divisor)
    aim = constraints.apply_channel_divisor(architecture).scale(Multipliers(0.9, 1.0, width))
    target = round(1.01 * families.network_cost(aim).flops)
    return solve(architecture, 0.9, 1.0, target, radius=SearchRadius(8, 0.05, stages=True), constraints=constraints)


@pytest.mark.parametrize(
    "architecture", [a for a in OF_EVERY_FAMILY if a.name != "convnext_atto"], ids=lambda a: a.name
)
@pytest.mark.parametrize("divisor", [16, 32, 48])
def test_channels_are_multiples_of_their_divisor(architecture: Architecture, divisor: int) -> None:
    if divisor == 48 and architecture.baseline.family in ("ghostnet", "resnet", "resnext"):
        with pytest.raises(InvalidNetwork) as refusal:
            with_divisor(architecture, divisor, 1.0)
        assert refusal.value.pointer == "/constraints/channel_divisor"
        return

    floored = divisor == 48 and architecture.rules.head == "floored"  # see the next test
    for width in (0.6, 1.0, 1.3, 1.7, 2.1):
        found = with_divisor(architecture, divisor, width)
        assert all(count % divisor == 0 for count in channels(found.config)[: -1 if floored else None])
        families.check(found.config)


@pytest.mark.parametrize("divisor", [36, 48])
def test_floored_head_is_a_multiple_of_divisor(divisor: int) -> None:
    assert with_divisor(B0, divisor, 0.6).config.head.channels % divisor == 0


@pytest.mark.parametrize("divisor", [16, 32, 48])
def test_convnext_stem_equals_first_stage(divisor: int) -> None:
    for width in (0.6, 1.0, 1.3, 1.7, 2.1):
        families.check(with_divisor(families.baseline("convnext_atto"), divisor, width).config)


def test_refusal_names_the_bound_and_the_nearest_network() -> None:
    bound = Constraints(max_params=3_000_000, multiple_of=32)
    with pytest.raises(TargetOutOfRange, match=r"Without max_params \(3,000,000\) it could be met") as refusal:
        solve(B0, 0.8, 1.0, 300_000_000, constraints=bound)

    assert refusal.value.constraints == ["max_params"]
    assert refusal.value.nearest is not None
    assert refusal.value.nearest.cost.params <= 3_000_000
    assert refusal.value.nearest.cost.flops == refusal.value.maximum


def test_unsatisfiable_bounds_leave_no_network() -> None:
    with pytest.raises(TargetOutOfRange, match="the constraints leave no network at all") as refusal:
        solve(B0, 1.0, 1.0, 200_000_000, constraints=Constraints(max_params=1000))

    assert (refusal.value.minimum, refusal.value.maximum) == (0, 0)
    assert refusal.value.constraints == ["max_params"]
    assert refusal.value.nearest is not None
    assert f"{refusal.value.nearest.cost.params:,} parameters" in str(refusal.value)


def test_fixed_input_that_is_too_small_for_the_family_is_out_of_range() -> None:
    convnext = families.baseline("convnext_atto")

    with pytest.raises(TargetOutOfRange) as caught:
        recommend(convnext, flops_of(convnext) // 2, "dwr", constraints=Constraints(fixed_resolution=16))

    assert caught.value.constraints == ["resolution.fixed"]
