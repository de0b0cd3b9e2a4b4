"""Initialises a network with the weights of a larger, or smaller, trained one of the same architecture.

`app.scaling.families.inheritance` says which blocks and channels inherit from which. A layer that takes a channel
several times divides its weights by their number, so that a network of the same depth that is wider computes the same
function, if its norms are batch norms (Net2WiderNet). Blocks that the source does not have stay new.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from app.scaling import families
from app.scaling.families.inheritance import block_names, explain_mismatch, group_count, select_channels
from app.scaling.network import Config
from worker.training.pretrained import Pretrained, SourceError

_BACKBONE = "backbone."  # in a detector
_MAX_LISTED = 20
_GROUPED_OUTPUTS = ("conv1.", "bn1.", "conv2.", "bn2.", "se.fc2.")  # layers of a block with grouped convolutions …
_GROUPED_INPUTS = ("se.fc1.", "conv3.")  # … whose outputs or inputs are the channels that form groups


@dataclass(frozen=True)
class _Origin:
    """What a tensor inherits from: the tensor of that name, with that many groups of channels before and after."""

    name: str
    layer: str = ""  # its name within its block
    groups: tuple[int, int] = (1, 1)

    def indices(self, dim: int, available: int, wanted: int) -> list[int]:
        """Return which channels are selected in the dimension: 0 outputs, 1 inputs."""
        is_grouped = self.layer.startswith((_GROUPED_OUTPUTS, _GROUPED_INPUTS)[dim])
        return select_channels(available, wanted, self.groups if is_grouped else (1, 1))


def initialise(
    network: nn.Module, config: Config, source: Pretrained, classes: tuple[str, ...], batches: Iterator[Tensor]
) -> dict[str, Any]:
    """Give the network the source's weights, re-estimate the statistics of its batch norms, and report what was taken.

    The classifier is new if the source has other classes. The statistics are those of `batches`, of images.
    Raises: SourceError if the source is of another architecture.
    """
    report = inherit(network, config, source, classes)
    with torch.no_grad():
        update_bn(batches, network)
    return report


def inherit(network: nn.Module, config: Config, source: Pretrained, classes: tuple[str, ...] = ()) -> dict[str, Any]:
    """Give the network the source's weights; return what was taken, as plain data.

    Raises: SourceError if the source is of another architecture.
    """
    if mismatch := explain_mismatch(source.config, config):
        raise SourceError(f"The network cannot be initialised with {source.source}: {mismatch}.")
    available = {name.removeprefix(_BACKBONE): tensor for name, tensor in source.network.state_dict().items()}
    state = network.state_dict()
    stem = next(name for name, tensor in state.items() if tensor.ndim > 1).removeprefix(_BACKBONE)
    head, reason = _classifier(network), _explain_new_head(source, config, classes)
    blocks, new = _Blocks(source.config, config), []
    taken = dict.fromkeys((name for name, _ in network.named_parameters()), 0)
    for name, tensor in state.items():
        origin = blocks.find(name.removeprefix(_BACKBONE))
        if reason is not None and head is not None and name.startswith(f"{head}."):
            origin = None
        selected = None
        if origin is not None and origin.name in available:
            selected = _select(origin, available[origin.name], tensor, is_stem=origin.name == stem)
        if selected is None:
            new.append(name.rpartition(".")[0])
            continue
        state[name] = selected
        if name in taken:
            taken[name] = tensor.numel()
    network.load_state_dict(state)
    new = list(dict.fromkeys(new))
    return {
        "source": source.source,
        "sha256": source.sha256,
        "parameters": sum(taken.values()),
        "share": sum(taken.values()) / _count_parameters(network),
        "share_of_source": sum(taken.values()) / _count_parameters(source.network),
        "stages": [
            {
                "stage": index + 1,
                "blocks": [min(one.repeats, other.repeats), other.repeats],
                "channels": [one.channels, other.channels],
                "parameters": sum(n for name, n in taken.items() if blocks.stage_of(name) == index),
            }
            for index, (one, other) in enumerate(zip(config.stages, source.config.stages, strict=True))
        ],
        "classifier": _describe_classifier(head, reason, new),
        "new_layers": new[:_MAX_LISTED],
        "new_layer_count": len(new),
    }


def _count_parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


class _Blocks:
    """The blocks of a network and those of the source that they inherit from."""

    def __init__(self, source: Config, network: Config) -> None:
        family = families.get_family(network)
        self._found: dict[str, tuple[int, str | None]] = {}
        self._groups = []
        names = zip(block_names(family, network), block_names(family, source), strict=True)
        for index, (wanted, available) in enumerate(names):
            origins = [*available, *[None] * len(wanted)]
            self._found |= {name: (index, origins[block]) for block, name in enumerate(wanted)}
            self._groups.append((group_count(source.stages[index]), group_count(network.stages[index])))

    def find(self, name: str) -> _Origin | None:
        """Return what a tensor inherits from; None if the source does not have its block."""
        block = self._block_of(name)
        if block is None:
            return _Origin(name)
        stage, origin = self._found[block]
        layer = name.removeprefix(f"{block}.")
        return None if origin is None else _Origin(f"{origin}.{layer}", layer, self._groups[stage])

    def stage_of(self, name: str) -> int | None:
        """Return the number of the stage in one of whose blocks the tensor is."""
        block = self._block_of(name.removeprefix(_BACKBONE))
        return None if block is None else self._found[block][0]

    def _block_of(self, name: str) -> str | None:
        return next((block for block in self._found if name.startswith(f"{block}.")), None)


def _select(origin: _Origin, source: Tensor, wanted: Tensor, *, is_stem: bool) -> Tensor | None:
    """Return the part of the source's tensor, in the wanted shape; None if the tensors are of different kinds."""
    if source.ndim != wanted.ndim or source.shape[2:] != wanted.shape[2:]:
        return None
    if is_stem and wanted.shape[1] == 1:  # grey images look like colours that are all the same
        source = source.sum(1, keepdim=True)
    for dim, (available, size) in enumerate(zip(source.shape[:2], wanted.shape[:2], strict=True)):
        index = torch.tensor(origin.indices(dim, available, size), device=source.device)
        source = source.index_select(dim, index)
        if dim == 1:
            copies = index.bincount(minlength=available)[index].to(source.dtype)
            source = source / copies.reshape(-1, *[1] * (source.ndim - 2))
    return source.to(wanted)


def _classifier(network: nn.Module) -> str | None:
    """Return the name of the classifier; None for a detector."""
    if not hasattr(network, "get_classifier"):
        return None
    classifier = network.get_classifier()  # type: ignore[operator]  # timm's networks have this method
    names: list[str] = [name for name, module in network.named_modules() if module is classifier]
    return names[0]


def _describe_classifier(head: str | None, reason: str | None, new: list[str]) -> str | None:
    if head is None:
        return None
    return reason or ("new: the source has none" if head in new else "inherited")


def _explain_new_head(source: Pretrained, config: Config, classes: tuple[str, ...]) -> str | None:
    if source.config.num_classes != config.num_classes:
        return f"new: the source has {source.config.num_classes} classes, the network {config.num_classes}"
    if source.classes and classes and source.classes != classes:
        return "new: the source has classes of other names"
    return None
