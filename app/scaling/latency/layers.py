"""The layers of many networks as numbers, by which a latency model tells them apart.

The networks differ in their channels alone, as in `solver.cost_batch`. A layer is a convolution, a linear layer or a
squeeze-excite, together with what runs between it and the next one. Besides its shape, its time depends on how
onnxruntime stores maps: in blocks of 16 channels (with AVX-512; `BLOCK`), padded with zeros, where a layer allows it.
Between a layer in blocks and a plain one, maps are copied. The rules are those of onnxruntime's NCHWc optimizer:
depthwise and dense convolutions need multiples of 4 channels, grouped ones whole blocks in each group; a dense
convolution of less than a block reads plain maps; gates, layer norms and concatenations are plain.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.scaling import families
from app.scaling.cost.ledger import POINT
from app.scaling.input_sizes import Indices
from app.scaling.latency.operators import LedgerOperator, ledger_operators
from app.scaling.latency.profiles import LAYER_KINDS
from app.scaling.network import Config, Stage
from app.scaling.resolution import Resolution, sides_of
from app.scaling.rounding import Channels, Floats

BLOCK = 16
_ALIGNMENT = 4

KINDS = ("pointwise", "dense", "depthwise", "grouped", "linear", "squeeze_excite")
"""Kinds of layers; a convolution of pooled maps counts as linear."""

FEATURES = (
    "out_channels", "in_channels", "pixels", "row", "kernel", "stride", "group_width", "out_fill", "in_fill",
    "blocks_left", "is_blocked", "is_copied_before", "is_copied_after", "activation", "is_added", "tail", "elements",
    "weights",
)  # fmt: skip
"""Sizes are logarithms to base 2. `…_fill` is the share of channels that are not padding, `blocks_left` the output
blocks beyond a multiple of 4, `elements` the size of input, output and weights together."""

TERMS = (
    "multiply_adds", "plain_multiply_adds", "out_elements", "in_elements", "weights", "call", "copied_before",
    "copied_after", "hard_swish", "gelu", "swish", "added", "pool", "max_pool", "concatenate", "layer_norm",
)  # fmt: skip
"""What the time of a layer is nearly a linear combination of, in millions."""

_ACTIVATIONS = (None, "relu", "relu6", "hard_swish", "gelu", "swish")  # by cost; the last two are not fused
_COSTLY = _ACTIVATIONS[3:]
_TAILS = ("pool", "max_pool", "concatenate", "layer_norm")  # what may run before the next layer, by cost
_PLAIN_TAILS = ("concatenate", "layer_norm")

Bools = NDArray[np.bool_]


class Layers:
    """The layers of `n` networks, given as one config whose channels are arrays [n] or, for one network, numbers.

    A network's layers are the same alone and among others: all stages are walked with arrays, as if they were repeated.
    """

    def __init__(self, networks: Config, n: int = 1) -> None:
        ledger = families.ledger(replace(networks, stages=tuple(_for_all(stage, n) for stage in networks.stages)))
        self.ledger = ledger
        operators = ledger_operators(ledger)
        layers = [operator for operator in operators if operator.kind in LAYER_KINDS]
        self.part = np.array([layer.part for layer in layers])
        self.kind = np.array([KINDS.index(_kind(layer)) for layer in layers])
        self._in_level = np.array([layer.x.level for layer in layers])
        self._is_gate = self.kind == KINDS.index("squeeze_excite")
        self._out_level = np.where(self._is_gate, self._in_level, [layer.y.level for layer in layers])
        self._in = _stack([layer.x.channels for layer in layers], n)
        self._out = _stack([layer.y.channels for layer in layers], n)
        width = _stack([layer.group_width for layer in layers], n)
        self._group_width = np.where(self._is_gate, self._in, width)
        self._kernel = np.array([layer.kernel for layer in layers])
        self._stride = np.array([layer.stride for layer in layers])
        self._activation = np.array([_ACTIVATIONS.index(layer.activation) for layer in layers])
        self._added = _stack([layer.added for layer in layers], n) > 0
        self._blocked = self._runs_in_blocks()
        self._tail = np.zeros(len(layers), np.int64)
        self._copied_before, self._copied_after = np.zeros((2, *self._out.shape), bool)
        self._follow_maps(operators)

    @property
    def exists(self) -> Bools:
        """Whether a network has a layer, [network, layer]: projections that a block does not need have no channels."""
        return self._out > 0

    def runs(self, repeats: Indices) -> Indices:
        """Return how often each layer runs at repeats [network, stage], [network, layer]."""
        once, per_further_block, if_repeated, stage = np.array([part.runs for part in self.ledger.parts])[self.part].T
        further = repeats[:, stage] - 1
        runs: Indices = once + per_further_block * further + if_repeated * (further > 0)
        return runs

    def _runs_in_blocks(self) -> Bools:
        groups = self._in // np.maximum(1, self._group_width)
        dense_or_depthwise = (groups <= 1) | (self._group_width == 1)
        whole_blocks = (self._group_width % BLOCK == 0) & (self._out // np.maximum(1, groups) % BLOCK == 0)
        aligned = (self._in % _ALIGNMENT == 0) | ((self._in < BLOCK) & (groups <= 1))
        is_linear = self.kind == KINDS.index("linear")
        blocked: Bools = np.where(dense_or_depthwise, aligned, whole_blocks) & ~is_linear
        return blocked

    def _follow_maps(self, operators: list[LedgerOperator]) -> None:
        """Find the layers whose input or output is copied to another layout, and what runs after a layer.

        The writer of a map is the last layer that computed it in blocks, or none if it is plain.
        """
        reads_plain = ~self._blocked | ((self._in < BLOCK) & (self._group_width != 1)) | self._is_gate
        writers: dict[int, int | None] = {}
        layer = -1
        for operator in operators:
            source = writers.get(id(operator.x))
            if operator.kind in LAYER_KINDS:
                layer += 1
                if source is None:
                    self._copied_before[:, layer] = ~reads_plain[:, layer]
                else:
                    self._copied_before[:, layer] = ~reads_plain[:, layer] & ~self._blocked[:, source]
                    self._copied_after[:, source] |= reads_plain[:, layer] & self.exists[:, layer]
                if operator.kind == "squeeze_excite":
                    writers[id(operator.x)] = None
                else:
                    writers[id(operator.y)] = layer
            elif operator.kind in _TAILS:
                is_pool = operator.kind not in _PLAIN_TAILS
                before = layer if source is None or operator.kind == "concatenate" else source
                self._tail[before] = max(self._tail[before], 1 + _TAILS.index(operator.kind))
                self._added[:, before] |= _stack([operator.added], len(self._out))[:, 0] > 0
                for changed in {before, source} - {None} if not is_pool else ():
                    self._copied_after[:, changed] = True
                writers[id(operator.y)] = source if is_pool else None
        self._copied_after &= self._blocked & ~self._is_gate

    def levels(self, resolution: Resolution) -> tuple[Floats, Floats]:
        """Return height and width of each level at a resolution, each [level]."""
        rows, columns = (np.array(self.ledger.sides(side), float) for side in sides_of(resolution))
        return rows, columns

    def numbers(self, rows: Floats, columns: Floats, networks: Indices | slice = slice(None)) -> Numbers:
        """Return features and terms of some networks whose levels have these sides, [level] or [network, level]."""
        channels, out = self._in[networks], self._out[networks]
        row = columns[..., self._out_level]
        pixels = rows[..., self._out_level] * row
        in_pixels = rows[..., self._in_level] * columns[..., self._in_level]
        blocked = self._blocked[networks]
        before, after = self._copied_before[networks], self._copied_after[networks]
        added, width = self._added[networks], self._group_width[networks]
        out_padded = np.where(blocked, -(-out // BLOCK) * BLOCK, out)
        in_padded = np.where(blocked & (channels >= BLOCK), -(-channels // BLOCK) * BLOCK, channels)
        width_padded = np.where(width == channels, in_padded, width)
        weights = 1.0 * self._kernel**2 * width * out
        padded = 1.0 * self._kernel**2 * width_padded * out_padded
        is_gate = self._is_gate
        multiply_adds = padded * np.where(is_gate, 2, pixels)
        out_elements = out_padded * pixels
        in_elements = in_padded * in_pixels
        elements = in_elements + np.where(is_gate, in_elements, out_elements) + weights
        shape = out.shape
        features = np.empty((*shape, len(FEATURES)))
        for column, values in enumerate((
            np.log2(np.maximum(1, out)), np.log2(np.maximum(1, channels)), np.log2(np.maximum(1, pixels)), row,
            self._kernel, self._stride, np.log2(np.maximum(1, width)), out / np.maximum(1, out_padded),
            channels / np.maximum(1, in_padded), out_padded // BLOCK % 4, blocked, before, after, self._activation,
            added, self._tail, np.log2(np.maximum(1, elements)), np.log2(np.maximum(1, weights)),
        )):  # fmt: skip
            features[..., column] = values
        terms = np.empty((*shape, len(TERMS)))
        for column, values in enumerate((
            multiply_adds * blocked, multiply_adds * ~blocked, out_elements, in_elements, weights, 1.0,
            before * in_elements, after * out_elements,
            *(out_elements * (self._activation == _ACTIVATIONS.index(name)) for name in _COSTLY),
            added * out_elements, *(out_elements * (self._tail == 1 + i) for i in range(len(_TAILS))),
        )):  # fmt: skip
            terms[..., column] = values
        terms *= 1e-6
        terms[~self.exists[networks]] = 0
        return Numbers(features, terms)


class Numbers(NamedTuple):
    """Features and terms, each [network, layer, …]; the terms of a layer that a network does not have are 0."""

    features: Floats
    terms: Floats


def _for_all(stage: Stage, n: int) -> Stage:
    """Return the stage with channels in arrays and at least one repeated block."""
    has_width = not isinstance(stage.group_width, int) or stage.group_width > 0
    return replace(
        stage,
        repeats=max(2, stage.repeats),
        channels=np.broadcast_to(np.int64(stage.channels), n),
        group_width=np.broadcast_to(np.int64(stage.group_width), n) if has_width else 0,
    )


def _kind(layer: LedgerOperator) -> str:
    if layer.kind != "conv":
        return layer.kind
    if layer.y.level == POINT:
        return "linear"
    if layer.is_grouped:
        return "depthwise" if isinstance(layer.group_width, int) and layer.group_width == 1 else "grouped"
    return "pointwise" if layer.kernel == 1 else "dense"


def _stack(columns: list[Channels], n: int) -> NDArray[np.int64]:
    stacked = np.empty((n, len(columns)), np.int64)
    for column, values in enumerate(columns):
        stacked[:, column] = values
    return stacked
