"""The families of baselines match timm's networks, also when scaled."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from timm.layers import get_act_layer
from timm.models._efficientnet_builder import _decode_block_str, _scale_stage_depth

from app.scaling import families
from app.scaling.errors import InvalidNetwork, UnknownArchitecture
from app.scaling.families import mbconv
from app.scaling.network import Architecture, Config, Multipliers
from app.scaling.rounding import DepthRounding
from tests.scaling.baselines import OWN_NAMES, SMALLEST, SMALLEST_NAMES
from tests.support import example_count

NAMES = tuple(families.baselines())
TIMM_NAMES = tuple(name for name in NAMES if name not in OWN_NAMES)
PAPERS_SIZES = {"efficientnet_b2": 260, "efficientnet_b3": 300, "efficientnet_b4": 380, "efficientnet_b5": 456}
MULTIPLIERS = st.builds(Multipliers, st.floats(0.15, 2), st.floats(0.1, 3), st.floats(0.02, 3))

every_baseline = pytest.mark.parametrize("name", NAMES)
every_baseline_of_timm = pytest.mark.parametrize("name", TIMM_NAMES)
every_family = pytest.mark.parametrize("family", families.families())


def scaled(architecture: Architecture, multipliers: Multipliers) -> Config:
    """Scaled, at 32 px or more."""
    config = architecture.scale(multipliers)
    return replace(config, resolution=max(32, config.resolution))


def from_family(name: str) -> st.SearchStrategy[Config]:
    return st.builds(scaled, st.sampled_from(families.families()[name].baselines), MULTIPLIERS)


def test_there_are_baselines_of_many_families() -> None:
    assert len(NAMES) >= 35
    assert {
        "efficientnet",
        "efficientnet_lite",
        "mobilenetv1",
        "mobilenetv2",
        "mobilenetv3",
        "mnasnet",
        "ghostnet",
        "resnet",
        "resnext",
        "regnet",
        "convnext",
    } <= set(families.families())


def test_tests_on_small_baselines_reach_every_family() -> None:
    assert {a.baseline.family for a in SMALLEST} == set(families.families())


@every_baseline_of_timm
def test_baseline_has_timms_name(name: str) -> None:
    assert timm.is_model(name)
    assert families.baseline(name).name == name


@every_family
def test_baselines_name_their_family(family: str) -> None:
    assert {a.baseline.family for a in families.families()[family].baselines} == {family}


@every_family
def test_a_familys_baselines_consist_of_its_blocks(family: str) -> None:
    of_family = families.families()[family]

    assert {s.block for a in of_family.baselines for s in a.baseline.stages} <= set(of_family.blocks)


@every_baseline_of_timm
def test_input_size_matches_timm_or_the_paper(name: str) -> None:
    config = families.baseline(name).baseline

    published = timm.get_pretrained_cfg(name).input_size
    assert (config.in_chans, config.resolution) == (published[0], PAPERS_SIZES.get(name, published[-1]))


@every_baseline
def test_a_baseline_passes_its_familys_check(name: str) -> None:
    families.check(families.baseline(name).baseline)


@every_baseline
def test_multipliers_of_one_keep_repeats_and_input(name: str) -> None:
    architecture = families.baseline(name)
    same = architecture.scale(Multipliers(1, 1, 1))

    assert same.resolution == architecture.baseline.resolution
    assert [s.repeats for s in same.stages] == [s.repeats for s in architecture.baseline.stages]


@every_family
@settings(max_examples=example_count(30))
@given(st.data())
def test_a_scaled_network_passes_its_familys_check(family: str, data: st.DataObject) -> None:
    families.check(data.draw(from_family(family)))


@every_family
@settings(max_examples=example_count(20))
@given(st.data())
def test_scaled_network_round_trips_through_json(family: str, data: st.DataObject) -> None:
    """Keys that answers have besides the config's are ignored."""
    config = data.draw(from_family(family))
    answered = {**config.to_json(), "timm": families.rebuild_recipe(config)}

    assert Config.from_json(json.loads(json.dumps(answered))) == config


@every_baseline
def test_a_baselines_stages_sum_to_the_whole(name: str) -> None:
    config = families.baseline(name).baseline
    whole, stages = families.network_cost(config), families.stage_costs(config)

    assert len(stages) == len(config.stages) + 2
    for operator, operations in whole.by_operator.items():
        assert sum(cost.by_operator[operator] for _, cost in stages) == operations
    assert sum(cost.params for _, cost in stages) == whole.params
    assert sum(cost.activations for _, cost in stages) == whole.activations
    assert max(cost.peak_activation_bytes for _, cost in stages) == whole.peak_activation_bytes


@settings(max_examples=example_count(50))
@given(from_family("regnet"))
def test_a_scaled_regnets_channels_are_whole_groups(config: Config) -> None:
    for stage in config.stages:
        assert stage.channels % stage.group_width == 0


@settings(max_examples=example_count(50))
@given(st.sampled_from(families.families()["regnet"].baselines), MULTIPLIERS)
def test_regnet_group_width_is_constant_unless_too_narrow(architecture: Architecture, multipliers: Multipliers) -> None:
    for stage, before in zip(architecture.scale(multipliers).stages, architecture.baseline.stages, strict=True):
        assert stage.group_width == min(stage.channels, before.group_width)


@settings(max_examples=example_count(50))
@given(from_family("resnext"))
def test_resnext_inner_channels_fill_all_groups(config: Config) -> None:
    for stage in config.stages:
        inner = stage.channels * stage.expansion
        assert stage.groups == 32
        assert inner == int(inner)
        assert inner % 32 == 0


@settings(max_examples=example_count(50))
@given(st.sampled_from(SMALLEST), MULTIPLIERS)
def test_stages_of_equal_channels_stay_equal(architecture: Architecture, multipliers: Multipliers) -> None:
    before, after = architecture.baseline.stages, architecture.scale(multipliers).stages
    widths: dict[Any, set[Any]] = {}
    for old, new in zip(before, after, strict=True):
        widths.setdefault((old.channels, old.group_width), set()).add(new.channels)

    assert all(len(channels) == 1 for channels in widths.values())


@settings(max_examples=example_count(50))
@given(
    st.sampled_from([a for f in ("mobilenetv3", "ghostnet") for a in families.families()[f].baselines]),
    st.floats(0.05, 4),
    st.sampled_from(["round", "ceil"]),
)
def test_joined_stages_deepen_together_as_in_timm(
    architecture: Architecture, depth: float, rounding: DepthRounding
) -> None:
    expected: list[int] = []
    for joined in architecture.baseline.joined_stages():
        kinds = [{"kind": i} for i in range(len(joined))]
        blocks = [block["kind"] for block in _scale_stage_depth(kinds, [s.repeats for s in joined], depth, rounding)]
        expected += [blocks.count(i) for i in range(len(joined))]
    rules = replace(architecture.rules, depth=rounding)

    assert replace(architecture, rules=rules).repeats(depth) == tuple(expected)


@pytest.fixture(scope="module")
def arch_defs() -> dict[str, list[list[str]]]:
    """The strings from which timm builds the baselines that it builds from such, by the baselines' names."""
    found: dict[str, list[list[str]]] = {}
    names = [a.name for f in families.families().values() if f.decode for a in f.baselines if a.name in TIMM_NAMES]
    read = timm.models._efficientnet_builder.decode_arch_def

    def kept(arch_def: list[list[str]], *args: Any, **options: Any) -> Any:
        found[names[len(found)]] = arch_def
        return read(arch_def, *args, **options)

    with pytest.MonkeyPatch.context() as patch, torch.device("meta"):
        patch.setattr(timm.models.efficientnet, "decode_arch_def", kept)
        patch.setattr(timm.models.mobilenetv3, "decode_arch_def", kept)
        patch.setattr(timm.models.hardcorenas, "decode_arch_def", kept)
        for name in names:
            timm.create_model(name)
    assert list(found) == names
    return found


def test_arch_defs_decode_like_timm(arch_defs: dict[str, list[list[str]]]) -> None:
    strings = {text for arch_def in arch_defs.values() for entries in arch_def for text in entries}

    assert len(strings) > 40
    for text in strings:
        stage, (block, repeats) = mbconv.decode_block(text), _decode_block_str(text)
        theirs = {
            "block": block["block_type"],
            "repeats": repeats,
            "channels": block["out_chs"],
            "kernel": block.get("dw_kernel_size", block.get("kernel_size")),
            "stride": block["stride"],
            "expansion": block.get("exp_ratio", 1.0),
            "se_ratio": block.get("se_ratio", 0.0),
            "skip": not block.get("noskip", False) or block["block_type"] == "dsa",
        }
        assert {name: getattr(stage, name) for name in theirs} == theirs
        assert (get_act_layer(stage.activation) if stage.activation else None) is block["act_layer"]


def test_baselines_match_timms_arch_defs(arch_defs: dict[str, list[list[str]]]) -> None:
    for name, arch_def in arch_defs.items():
        read = mbconv.decode_arch_def(arch_def)
        ours = families.baseline(name).baseline.stages

        same = dict(repeats=1, channels=1)
        assert [replace(s, **same) for s in ours] == [replace(s, **same) for s in read]


def test_strings_of_one_entry_form_one_stage() -> None:
    stages = mbconv.decode_arch_def([["ir_r1_s2_e4_c24", "ir_r2_s1_e3_c24"], ["ir_r1_s2_e6_c40"]])

    assert [stage.joined for stage in stages] == [False, True, False]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("xx_r1_k3_s1_c16", "block"),
        ("", "block"),
        ("er_r1_k3_s1_e4_c24", "block"),
        ("ir_r1_k3_s1_e6", "has no c"),
        ("ir_k3_e6", "has no r, s, c"),
        ("ir_r1_k3_s1_e6_c16_q4", "'q4'"),
        ("ir_r1_k3_s1_e6_c16_", "not a valid option"),
        ("ir_r1_k3_s1_e6_c16_skip", "'skip'"),
        ("ir_r1_k3_s1_e6_c16_nmi", "'nmi'"),
        ("ir_r1_k3_s1_e6_c-16", "'c-16'"),
        ("ir_r1_k3_s1_e6_c16_c24", "c twice"),
        ("ir_r1_k3_s1_e6_c16_nre_nhs", "n twice"),
        ("ir_r1.5_k3_s1_e6_c16", "whole"),
        ("ir_r1_k3_s1_e6_c16.5", "whole"),
    ],
)
def test_malformed_string_is_rejected_with_pointer(text: str, said: str) -> None:
    with pytest.raises(InvalidNetwork, match=said) as refused:
        mbconv.decode_arch_def([["ds_r1_k3_s1_c16"], ["ir_r1_k3_s2_e6_c24"], ["ir_r1_k3_s2_e6_c40", text]])

    assert refused.value.pointer == "/arch_def/2/1"


Change = Callable[[Config], Config]


def stage(index: int, **changes: Any) -> Change:
    def changed(config: Config) -> Config:
        stages = list(config.stages)
        stages[index] = replace(stages[index], **changes)
        return replace(config, stages=tuple(stages))

    return changed


def every_stage(**changes: Any) -> Change:
    return lambda config: replace(config, stages=tuple(replace(s, **changes) for s in config.stages))


def stem(**changes: Any) -> Change:
    return lambda config: replace(config, stem=replace(config.stem, **changes))


def head(channels: int) -> Change:
    return lambda config: replace(config, head=replace(config.head, channels=channels))


def first_stages(n: int) -> Change:
    return lambda config: replace(config, stages=config.stages[:n])


def whole(**changes: Any) -> Change:
    return lambda config: replace(config, **changes)


MBCONV = [
    (stem(kernel=5), "/stem"),
    (stem(stride=1), "/stem"),
    (stage(1, block="basic"), "/stages/1/block"),
    (stage(0, expansion=2.0), "/stages/0/expansion"),
    (stage(2, activation="gelu"), "/stages/2/activation"),
    (stage(1, groups=2), "/stages/1/groups"),
    (stage(1, group_width=8), "/stages/1/groups"),
    (stage(0, joined=True), "/stages/0/joined"),
    (stage(1, joined=True), "/stages/1/joined"),  # its stride is 2
    (stage(1, stride=64), "/stages"),
]
OF_MBCONV = (
    "efficientnet_b0",
    "tinynet_e",
    "efficientnet_lite0",
    "mobilenetv1_100",
    "mobilenetv2_035",
    "mnasnet_small",
    "mobilenetv3_large_100",
)
REFUSED: list[tuple[str, Change, str]] = [
    *((name, change, pointer) for name in OF_MBCONV for change, pointer in MBCONV),
    ("mobilenetv3_large_100", stage(-1, se_ratio=0.25), "/stages/9/se_ratio"),
    ("mobilenetv3_large_100", stage(-1, expansion=6.0), "/stages/9/expansion"),
    ("mobilenetv3_large_100", head(0), "/head/channels"),
    ("ghostnet_050", stem(kernel=5), "/stem"),
    ("ghostnet_050", stem(channels=10), "/stem/channels"),
    ("ghostnet_050", head(1024), "/head/channels"),
    ("ghostnet_050", whole(activation="swish"), "/activation"),
    ("ghostnet_050", stage(3, block="ir"), "/stages/3/block"),
    ("ghostnet_050", stage(3, channels=42), "/stages/3/channels"),
    ("ghostnet_050", stage(0, joined=True), "/stages/0/joined"),
    ("ghostnet_050", stage(3, groups=2), "/stages/3"),
    ("ghostnet_050", stage(3, group_width=4), "/stages/3"),
    ("ghostnet_050", stage(3, activation="relu"), "/stages/3"),
    ("ghostnet_050", stage(3, skip=False), "/stages/3"),
    ("resnet18", stem(channels=32), "/stem"),
    ("resnet18", stem(kernel=3), "/stem"),
    ("resnet18", head(512), "/head/channels"),
    ("resnet18", lambda config: replace(config, stages=(*config.stages, config.stages[-1])), "/stages"),
    ("resnet18", lambda config: stage(0, repeats=1)(first_stages(1)(config)), "/stages"),
    ("resnet18", stage(2, block="regnet"), "/stages/2/block"),
    ("resnet18", stage(0, stride=2), "/stages/0/stride"),
    ("resnet18", stage(2, stride=1), "/stages/2/stride"),
    ("resnet18", stage(2, block="bottleneck"), "/stages/2"),
    ("resnet18", stage(2, kernel=5), "/stages/2"),
    ("resnet18", stage(2, se_ratio=0.25), "/stages/2"),
    ("resnet18", stage(2, skip=False), "/stages/2"),
    ("resnet18", stage(2, activation="swish"), "/stages/2"),
    ("resnet18", stage(2, joined=True), "/stages/2"),
    ("resnet18", stage(2, group_width=8), "/stages/2"),
    ("resnet18", every_stage(expansion=0.5), "/stages/0"),
    ("resnet18", every_stage(groups=2), "/stages/0"),
    ("resnet50", stage(1, channels=130), "/stages/1/channels"),
    ("resnet50", every_stage(expansion=0.3), "/stages/0/expansion"),
    ("resnet50", stage(1, groups=2), "/stages/1"),
    ("resnext50_32x4d", stage(0, channels=8), "/stages/0/channels"),
    ("resnext50_32x4d", every_stage(groups=48), "/stages/0/expansion"),
    ("regnetx_002", stem(stride=4), "/stem"),
    ("regnetx_002", head(100), "/head/channels"),
    ("regnetx_002", first_stages(3), "/stages"),
    ("regnetx_002", stage(1, block="basic"), "/stages/1/block"),
    ("regnetx_002", stage(1, stride=1), "/stages/1"),
    ("regnetx_002", stage(1, kernel=5), "/stages/1"),
    ("regnetx_002", stage(1, expansion=2.0), "/stages/1"),
    ("regnetx_002", stage(1, groups=4), "/stages/1"),
    ("regnetx_002", stage(1, group_width=0), "/stages/1/group_width"),
    ("regnetx_002", stage(1, channels=60), "/stages/1/group_width"),
    ("convnext_atto", first_stages(3), "/stages"),
    ("convnext_atto", stem(channels=48), "/stem"),
    ("convnext_atto", stem(kernel=7), "/stem"),
    ("convnext_atto", stem(stride=2), "/stem"),
    ("convnext_atto", head(100), "/head/channels"),
    ("convnext_atto", stage(2, block="ir"), "/stages/2/block"),
    ("convnext_atto", stage(2, block="convnext_linear"), "/stages/2/block"),
    ("convnext_atto", stage(0, stride=2), "/stages/0/stride"),
    ("convnext_atto", stage(2, stride=1), "/stages/2/stride"),
    ("convnext_atto", stage(2, expansion=3.0), "/stages/2/expansion"),
    ("convnext_atto", stage(2, se_ratio=0.25), "/stages/2"),
    ("convnext_atto", stage(2, groups=2), "/stages/2"),
    ("convnext_atto", stage(2, skip=False), "/stages/2"),
    ("convnext_atto", whole(resolution=16), "/resolution"),
    ("convnext_atto", whole(resolution=31), "/resolution"),
    ("resnet18", whole(family="vgg"), "/family"),
]


@pytest.mark.parametrize(("name", "change", "pointer"), REFUSED, ids=[f"{n}-{p}" for n, _, p in REFUSED])
def test_invalid_network_is_rejected_with_pointer(name: str, change: Change, pointer: str) -> None:
    with pytest.raises(InvalidNetwork) as refused:
        families.check(change(families.baseline(name).baseline))

    assert refused.value.pointer == pointer


@pytest.mark.parametrize("name", SMALLEST_NAMES)
def test_every_family_accepts_32_px(name: str) -> None:
    families.check(replace(families.baseline(name).baseline, resolution=32))


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("tf_efficientnet_b0", "efficientnet_b0"),
        ("tf_efficientnet_b7.ns_jft_in1k", "efficientnet_b7"),
        ("efficientnet_b0.ra_in1k", "efficientnet_b0"),
        ("EfficientNet-B0", "efficientnet_b0"),
        ("EfficientNetB3", "efficientnet_b3"),
        ("hf_hub:timm/lcnet_050.ra2_in1k", "lcnet_050"),
        ("ResNet50", "resnet50"),
        ("resnext50-32x4d", "resnext50_32x4d"),
        ("mobilenet_v2", "mobilenetv2_100"),
        ("regnet_y_1_6gf", "regnety_016"),
        ("TinyNet-A", "tinynet_a"),
    ],
)
def test_names_that_people_type_are_understood(typed: str, name: str) -> None:
    assert families.baseline(typed) is families.baseline(name)


@pytest.mark.parametrize(
    "name", ["tf_efficientnet_es", "efficientnet_b0_gn", "tf_efficientnetv2_b0", "resnet50d", "regnet_x_400mf"]
)
def test_other_networks_are_no_other_names(name: str) -> None:
    with pytest.raises(UnknownArchitecture):
        families.baseline(name)


def test_unknown_architecture_lists_nearest_names() -> None:
    with pytest.raises(UnknownArchitecture, match=r"Did you mean tinynet_."):
        families.baseline("tinynet_z")
