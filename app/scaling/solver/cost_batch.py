"""The costs, as arrays, of many networks that differ only in their channels.

A batch stores the terms of the networks' ledger: the cost per pixel of a level in a part. Multiplied by the repeats of
the part and the pixels of the level, they sum to the cost of each network at any depth and input size.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.scaling import families
from app.scaling.cost import memory
from app.scaling.cost.budget_unit import BudgetUnit
from app.scaling.cost.ledger import BIAS, BYTES_PER_ELEMENT, OPERATORS, POINT, Cost, Ledger
from app.scaling.cost.memory import Precision
from app.scaling.input_sizes import MAX_RESOLUTION, Indices, InputSizes, input_sizes
from app.scaling.network import Config
from app.scaling.rounding import Channels, Floats

Repeats = tuple[int, ...]

_MAX_CACHED_DEPTHS = 64  # per batch
_MAX_CACHED_LIMITS = 4  # of memory, per batch
_MAX_CACHED_PEAKS = 32  # of an input size, per batch
_MAX_CACHED_BYTES = 16 * 2**20  # per batch and kind of entry
_BLOCK = 64  # networks computed with at once, so that their arrays fit the processor's cache

_KINDS = (*OPERATORS, BIAS, "activations", "params")
_FLOPS = (OPERATORS.index("conv"), OPERATORS.index("linear"))
_PARAMS = _KINDS.index("params")
_ACTIVATIONS = _KINDS.index("activations")  # per pixel, these are the output channels of layers
_BATCH_NORM = OPERATORS.index("batch_norm")  # per pixel, 2 a channel
_WEIGHT_COUNTS = np.zeros((3, len(_KINDS)))  # kernel weights, layer channels and norm channels, by kind of term
_WEIGHT_COUNTS[0, _FLOPS] = 1
_WEIGHT_COUNTS[1, _ACTIVATIONS] = 1
_WEIGHT_COUNTS[2, _BATCH_NORM] = 1 / 2


class BatchCost:
    """The costs of `n` networks, given as one config whose channels are arrays [n] and whose stages all repeat.

    An input's size is its number in `InputSizes`; the config has the resolution at r = 1. `pixels` [size, level] are
    the same for all networks of an architecture, so another batch's may be passed.
    """

    def __init__(self, networks: Config, n: int, pixels: Floats | None = None) -> None:
        self.n = n
        ledger = families.ledger(networks)
        self.pixels = _pixels_by_level(ledger, input_sizes(networks.resolution)) if pixels is None else pixels
        self.last_size = len(self.pixels) - 1
        self._once, self._per_further_block, self._if_repeated, self._stage = np.array([p.runs for p in ledger.parts]).T
        part_costs = [part.summarize() for part in ledger.parts]
        terms: list[tuple[int, int, int, Channels]] = []  # kind, part, level, operations a pixel
        live_tensors: list[tuple[int, int, Channels]] = []  # operator, level, elements a pixel
        self._part_of_operator = np.array([part for part, b in enumerate(part_costs) for _ in b.live_tensors])
        operator = 0
        for part, b in enumerate(part_costs):
            terms += [(_KINDS.index(kind), part, level, count) for (kind, level), count in b.counts.items()]
            terms += [(_KINDS.index("activations"), part, level, count) for level, count in b.activations.items()]
            terms.append((_PARAMS, part, POINT, b.params))
            for maps in b.live_tensors:
                live_tensors += [(operator, level, channels) for channels, level in maps]
                operator += 1
        self._kind, self._part, self._level = np.array([term[:3] for term in terms]).T
        self._terms = self._stack([term[3] for term in terms])  # [network, term]
        self._weight_counts = _WEIGHT_COUNTS[:, self._kind]
        self._operator, self._live_levels = np.array([maps[:2] for maps in live_tensors]).T
        distinct = {id(channels): channels for *_, channels in live_tensors}  # most maps are listed several times
        position = {key: column for column, key in enumerate(distinct)}
        self._column_of_maps = np.array([position[id(channels)] for *_, channels in live_tensors])
        self._live_channels = self._stack([*distinct.values()], np.float32)  # [network, column]; exact below 2^24
        self._operator_starts = np.flatnonzero(np.diff(self._operator, prepend=-1))
        self._live_parts = np.unique(self._part_of_operator)
        self._flops_cache: dict[Repeats, Floats] = {}
        self._peaks_cache: dict[tuple[int, bytes], Floats] = {}
        self._largest_sizes_cache: dict[int, Indices] = {}
        self._runs_cache: dict[Repeats, tuple[Floats, NDArray[np.bool_]]] = {}
        self._flops = self._select_terms(np.isin(self._kind, _FLOPS))
        self._params = self._select_terms(self._kind == _PARAMS)

    def flops(self, repeats: Repeats, size: int) -> Floats:
        """Return the multiply-adds, [network]. They are exact, as whole numbers below 2^53 are."""
        flops: Floats = self.flops_by_level(repeats) @ self.pixels[size]
        return flops

    def flops_at(self, networks: Indices, repeats: Repeats, sizes: Indices) -> Floats:
        """Return the multiply-adds of some networks, each at its own input size, [network]."""
        pixels = self.pixels[np.minimum(sizes, self.last_size)]
        flops: Floats = np.einsum("ij,ij->i", self.flops_by_level(repeats)[np.minimum(networks, self.n - 1)], pixels)
        return flops

    def flops_by_point(self, repeats: Indices, sizes: Indices) -> Floats:
        """Return the multiply-adds of every network at points of repeats [point, stage] and sizes, [network, point]."""
        terms, part, level = self._flops
        pixels = self.pixels[np.minimum(sizes, self.last_size)]
        flops: Floats = terms @ (self._runs_by_point(repeats)[:, part] * pixels[:, level]).T
        return flops

    @property
    def work_per_point(self) -> int:
        """The multiplications that `flops_by_point` needs for each point."""
        return self.n * len(self._flops[1])

    def params_at(self, networks: Indices, repeats: Indices) -> Floats:
        """Return the learnable parameters of some networks, each at its own repeats [network, stage], [network]."""
        terms, part, _ = self._params
        params: Floats = np.einsum("ij,ij->i", terms[networks], self._runs_by_point(repeats)[:, part])
        return params

    def params(self, repeats: Repeats) -> Floats:
        """Return the learnable parameters, [network]."""
        terms, part, _ = self._params
        params: Floats = terms @ self._runs_by_part(repeats)[part]
        return params

    def weights_bytes(self, repeats: Repeats, precision: Precision) -> Floats:
        """Return what the weights occupy on a device, [network]."""
        runs = self._runs_by_part(repeats)[self._part]
        weights: Floats = self._terms @ (_bytes_by_kind(precision)[self._kind] * runs)
        return weights

    def peaks(self, repeats: Repeats, size: int) -> Floats:
        """Return the peak activation bytes, [network], from a cache."""
        is_run = self._runs_by_part(repeats)[self._part_of_operator] > 0
        key = size, is_run.tobytes()  # depths differ little: most have the same operators
        cached = self._peaks_cache.get(key)
        if cached is None:
            elements = self._live_elements(slice(None)) * self.pixels[size][self._live_levels]
            if len(self._peaks_cache) >= _max_cached(8 * self.n, _MAX_CACHED_PEAKS):
                self._peaks_cache.clear()
            cached = self._peaks_cache[key] = self._peak_bytes(elements, is_run)
        return cached

    def peaks_at(self, networks: Indices, repeats: Repeats, sizes: Indices) -> Floats:
        """Return the peak activation bytes of some networks, each at its own input size, [network]."""
        peaks = np.empty(len(networks))
        is_run = self._runs_by_part(repeats)[self._part_of_operator] > 0
        for start in range(0, len(networks), _BLOCK):
            block = slice(start, start + _BLOCK)
            live_channels = self._live_channels[np.minimum(networks[block], self.n - 1)]
            pixels = self.pixels[np.minimum(sizes[block], self.last_size)]
            elements = live_channels.take(self._column_of_maps, axis=1) * pixels.take(self._live_levels, axis=1)
            peaks[block] = self._peak_bytes(elements, is_run)
        return peaks

    def _peak_bytes(self, elements: Floats, is_run: NDArray[np.bool_]) -> Floats:
        """Return the peak bytes, [network], from the elements of live maps, [network, map]."""
        elements_by_operator = np.add.reduceat(elements, self._operator_starts, axis=1)
        peaks: Floats = BYTES_PER_ELEMENT * elements_by_operator[:, is_run].max(1)
        return peaks

    def costs(self, unit: BudgetUnit, repeats: Repeats, size: int) -> Floats:
        """Return the costs in a unit, [network]."""
        if unit.name == "flops":
            return self.flops(repeats, size)
        if unit.name == "params":
            return self.params(repeats)
        if unit.name == "weights_bytes":
            return self.weights_bytes(repeats, unit.precision)
        return self.peaks(repeats, size) * _bytes_per_float32(unit.precision)

    def costs_at(self, unit: BudgetUnit, networks: Indices, repeats: Repeats, sizes: Indices) -> Floats:
        """Return the costs of some networks in a unit, each at its own input size, [network]."""
        if unit.name == "flops":
            return self.flops_at(networks, repeats, sizes)
        if unit.name == "activation_bytes":
            return self.peaks_at(networks, repeats, sizes) * _bytes_per_float32(unit.precision)
        costs: Floats = self.costs(unit, repeats, 0)[np.minimum(networks, self.n - 1)]
        return costs

    def largest_sizes_by_flops(self, repeats: Repeats, max_flops: int) -> Indices:
        """Return the largest input size at which the multiply-adds are within a limit, [network]; 0: at none."""
        flops_by_level = self.flops_by_level(repeats)
        sizes, step = np.zeros(self.n, np.int64), MAX_RESOLUTION
        while step >= 1:
            larger = np.minimum(sizes + step, self.last_size)
            fits = np.einsum("ij,ij->i", flops_by_level, self.pixels[larger]) <= max_flops
            sizes = np.where(fits, larger, sizes)
            step //= 2
        return sizes

    def largest_sizes(self, repeats: Repeats, max_elements: int) -> Indices:
        """Return the largest input size at which at most `max_elements` are live at once, [network].

        It is 0 for a network that exceeds them at any size.
        """
        by_part = self._largest_sizes_cache.get(max_elements)
        if by_part is None:
            if len(self._largest_sizes_cache) >= _max_cached(8 * self.n * len(self._live_parts), _MAX_CACHED_LIMITS):
                self._largest_sizes_cache.clear()
            by_part = self._largest_sizes_cache[max_elements] = self._largest_sizes_by_part(max_elements)
        is_run = self._runs_by_part(repeats)[self._live_parts] > 0
        sizes: Indices = by_part[is_run].min(0)
        return sizes

    def _largest_sizes_by_part(self, max_elements: int) -> Indices:
        """Return the largest size at which each part alone keeps to the limit, [part, network]."""
        part_starts = np.flatnonzero(np.diff(self._part_of_operator, prepend=-1))
        part_of_maps = np.searchsorted(self._live_parts, self._part_of_operator)[self._operator]
        levels = self.pixels.shape[1]
        columns = part_of_maps * levels + self._live_levels % levels
        sizes = np.zeros((self.n, len(part_starts)), np.int64)
        for start in range(0, self.n, _BLOCK):
            live_elements = self._live_elements(slice(start, start + _BLOCK))
            low, step = sizes[start : start + _BLOCK], MAX_RESOLUTION  # a power of two above half of the sizes
            while step >= 1:
                pixels = self.pixels[np.minimum(low + step, self.last_size)].reshape(len(low), -1)
                elements = pixels.take(columns, axis=1)
                elements *= live_elements
                elements_by_operator = np.add.reduceat(elements, self._operator_starts, axis=1)
                fits = np.maximum.reduceat(elements_by_operator, part_starts, axis=1) <= max_elements
                np.minimum(low + step * fits, self.last_size, out=low)
                step //= 2
        return np.ascontiguousarray(sizes.T)

    def cost(self, network: int, repeats: Repeats, size: int) -> Cost:
        """Return the same as `families.network_cost`, an order of magnitude faster."""
        (runs, is_run), pixels = self._runs(repeats), self.pixels[size]
        per_pixel = self._terms[network] * runs
        terms = per_pixel * pixels.take(self._level)
        *by_operator, bias, activations, params = np.bincount(self._kind, terms, len(_KINDS)).astype(int).tolist()
        kernel_weights, layer_channels, norm_channels = map(round, (self._weight_counts @ per_pixel).tolist())
        live_elements = self._live_channels[network].take(self._column_of_maps)
        elements = np.add.reduceat(live_elements * pixels.take(self._live_levels), self._operator_starts)
        peak = BYTES_PER_ELEMENT * int(elements[is_run].max())
        operators = dict(zip(OPERATORS, by_operator, strict=True))
        return Cost(operators, params, activations, peak, bias, kernel_weights, layer_channels, norm_channels)

    @property
    def terms(self) -> int:
        """The number of terms per network, which the time to compute with a batch is proportional to."""
        return len(self._kind) + len(self._operator)

    def _runs(self, repeats: Repeats) -> tuple[Floats, NDArray[np.bool_]]:
        """Return how often each term counts, and which operators run, at these repeats, from a cache."""
        cached = self._runs_cache.get(repeats)
        if cached is None:
            runs = self._runs_by_part(repeats)
            if len(self._runs_cache) >= _MAX_CACHED_DEPTHS:
                self._runs_cache.clear()
            cached = self._runs_cache[repeats] = runs[self._part], runs[self._part_of_operator] > 0
        return cached

    def _runs_by_part(self, repeats: Repeats) -> Floats:
        """Return how often each part runs, [part]."""
        runs: Floats = self._runs_by_point(np.array([repeats]))[0]
        return runs

    def _runs_by_point(self, repeats: Indices) -> Floats:
        """Return how often each part runs at each point's repeats, [point, part]."""
        further = repeats[:, self._stage] - 1.0
        runs: Floats = self._once + self._per_further_block * further + self._if_repeated * (further > 0)
        return runs

    def flops_by_level(self, repeats: Repeats) -> Floats:
        """Return the multiply-adds per pixel of each level at these repeats, [network, level], from a cache."""
        cached = self._flops_cache.get(repeats)
        if cached is not None:
            return cached
        terms, part, level = self._flops
        runs_by_level = np.zeros((len(level), self.pixels.shape[1]))
        runs_by_level[np.arange(len(level)), level] = self._runs_by_part(repeats)[part]
        if len(self._flops_cache) >= _max_cached(8 * self.n * self.pixels.shape[1], _MAX_CACHED_DEPTHS):
            self._flops_cache.clear()
        flops: Floats = terms @ runs_by_level
        self._flops_cache[repeats] = flops
        return flops

    @property
    def nbytes(self) -> int:
        """The memory in bytes, with the most that the caches of this batch may occupy."""
        arrays: tuple[NDArray[Any], ...] = (self._terms, self._live_channels, self._flops[0], self._params[0])
        per_depth, per_limit = 8 * self.n * int(self.pixels.shape[1]), 8 * self.n * len(self._live_parts)
        depths = _max_cached(per_depth, _MAX_CACHED_DEPTHS) * per_depth
        limits = _max_cached(per_limit, _MAX_CACHED_LIMITS) * per_limit
        runs = _MAX_CACHED_DEPTHS * (8 * len(self._part) + len(self._part_of_operator))
        peaks = _max_cached(8 * self.n, _MAX_CACHED_PEAKS) * 8 * self.n
        return sum(array.nbytes for array in arrays) + depths + limits + runs + peaks

    def _live_elements(self, networks: slice) -> Floats:
        """Return the elements a pixel of the maps that are live at each operator, [network, maps]."""
        elements: Floats = self._live_channels[networks].take(self._column_of_maps, axis=1)
        return elements

    def _stack(self, counts: list[Channels], dtype: type[np.floating[Any]] = np.float64) -> Floats:
        columns = np.empty((len(counts), self.n), dtype)
        for column, count in zip(columns, counts, strict=True):
            column[:] = count
        return np.ascontiguousarray(columns.T)

    def _select_terms(self, mask: NDArray[np.bool_]) -> tuple[Floats, Indices, Indices]:
        return np.ascontiguousarray(self._terms[:, mask]), self._part[mask], self._level[mask]


@lru_cache
def _bytes_by_kind(precision: Precision) -> Floats:
    """Return the bytes of weights that one of each kind of term stands for, [kind]: `weights_bytes` is linear."""
    by_kind = np.zeros(len(_KINDS))
    by_kind[[*_FLOPS]] = memory.weights_bytes(1, 0, -1, precision)
    by_kind[_ACTIVATIONS] = memory.weights_bytes(0, 1, -1, precision)
    by_kind[_BATCH_NORM] = memory.weights_bytes(0, 0, -1, precision) / 2
    by_kind[_PARAMS] = memory.weights_bytes(0, 0, 1, precision)
    return by_kind


def _bytes_per_float32(precision: Precision) -> float:
    return memory.BYTES_PER_ELEMENT[precision] / BYTES_PER_ELEMENT


def _max_cached(size: int, most: int) -> int:
    """Return how many entries of this size in bytes a batch caches: `most`, or fewer if they are large."""
    return max(1, min(most, _MAX_CACHED_BYTES // size))


def _pixels_by_level(ledger: Ledger, sizes: InputSizes) -> Floats:
    """Return the pixels of each level for each input size, [size, level]."""
    rows, columns = ledger.sides(sizes.heights), ledger.sides(sizes.widths)
    n = len(sizes.heights)
    pixels = [np.broadcast_to(height * width, n) for height, width in zip(rows, columns, strict=True)]
    return np.stack(pixels, axis=1).astype(np.float64)
