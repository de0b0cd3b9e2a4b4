"""Which blocks and channels of a network another one of the same architecture inherits its weights from.

Channels are selected uniformly, as in "Initializing Models with Larger Ones" (Xu et al., ICLR 2024): evenly spaced ones
of each layer. A selection depends on the two numbers of channels only, so the outputs of a layer are what the next one
takes, and the branches of a residual sum agree. Of a stage's blocks the first ones are taken. A wider network takes
channels several times (Net2Net, Chen et al., ICLR 2016).
"""

from __future__ import annotations

from typing import Any

from app.scaling.families.family import Family
from app.scaling.network import Config, Stage


def select_channels(available: int, wanted: int, groups: tuple[int, int] = (1, 1)) -> list[int]:
    """Return the index of the channel that each of `wanted` ones inherits from, evenly spaced.

    If the channels form groups, as many in each network as `groups` says, whole groups are selected, then channels
    within each.
    """
    from_groups, to_groups = groups
    from_width, to_width = available // from_groups, wanted // to_groups
    return [
        group * from_groups // to_groups * from_width + channel * from_width // to_width
        for group in range(to_groups)
        for channel in range(to_width)
    ]


def group_count(stage: Stage) -> int:
    """Return the number of groups in the stage's convolutions; 1 if they are not grouped."""
    return int(stage.channels // stage.group_width) if stage.group_width else stage.groups


def block_names(family: Family, config: Config) -> list[list[str]]:
    """Return the names of the modules of timm's network that are the blocks of each of the config's stages."""
    names = []
    for number, joined in enumerate(config.joined_stages()):
        first = 0
        for stage in joined:
            names.append([family.block_name(number, first + block) for block in range(stage.repeats)])
            first += stage.repeats
    return names


def explain_mismatch(source: Config, network: Config) -> str | None:
    """Return why a network cannot inherit the weights of another one, or None if it can.

    They may differ in input, classes, depth, widths and expansions, but not in their kinds of blocks.
    """
    if source.family != network.family:
        return f"its weights are of the family {source.family}, the network is of {network.family}"
    if (source.stem.kernel, source.stem.stride) != (network.stem.kernel, network.stem.stride):
        return "its stem has another kernel or stride"
    if len(source.stages) != len(network.stages):
        return f"it has {len(source.stages)} stages, the network {len(network.stages)}"
    for index, (one, other) in enumerate(zip(source.stages, network.stages, strict=True)):
        if _kind(one) != _kind(other):
            return f"its stage {index + 1} has other blocks, kernels, strides or groups"
    return None


def _kind(stage: Stage) -> tuple[Any, ...]:
    return (
        stage.block, stage.kernel, stage.stride, stage.se_ratio > 0, stage.groups, stage.group_width > 0, stage.skip,
        stage.joined,
    )  # fmt: skip
