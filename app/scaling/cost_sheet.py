"""The costs of many networks that differ in their channels alone, as arrays.

A sheet keeps the terms of the networks' ledger: what a pixel of a level costs in a part. Times the repeats of the part
and the pixels of the level they add up to the cost of each network, at any depth and input size.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from app.scaling import families
from app.scaling.architecture import Config
from app.scaling.cost import BIAS, BYTES, OPERATORS, POINT, Cost, Ledger
from app.scaling.rounding import Channels, Floats

Indices = NDArray[np.int64]
Repeats = tuple[int, ...]

LARGEST = 4096  # the greatest input side, px
_MOST_KEPT = 64  # depths that a sheet remembers

_KINDS = (*OPERATORS, BIAS, "activations", "params")
_FLOPS = (OPERATORS.index("conv"), OPERATORS.index("linear"))
_PARAMS = _KINDS.index("params")


class CostSheet:
    """The costs of `n` networks, given as one whose channels are arrays [n]; every stage repeats.

    `pixels` [px, level] are the same for all networks of an architecture: another sheet's may be given.
    """

    def __init__(self, networks: Config, n: int, pixels: Floats | None = None) -> None:
        self.n = n
        ledger = families.ledger(networks)
        self.pixels = _pixels(ledger) if pixels is None else pixels
        self._of_stage = [part.of_stage for part in ledger.parts]
        booked = [part.booked() for part in ledger.parts]
        terms: list[tuple[int, int, int, Channels]] = []  # kind, part, level, operations a pixel
        alive: list[tuple[int, int, Channels]] = []  # operator, level, elements a pixel
        self._part_of_operator = np.array([part for part, b in enumerate(booked) for _ in b.alive])
        operator = 0
        for part, b in enumerate(booked):
            terms += [(_KINDS.index(kind), part, level, count) for (kind, level), count in b.counts.items()]
            terms += [(_KINDS.index("activations"), part, level, count) for level, count in b.activations.items()]
            terms.append((_PARAMS, part, POINT, b.params))
            for maps in b.alive:
                alive += [(operator, level, channels) for channels, level in maps]
                operator += 1
        self._kind, self._part, self._level = np.array([term[:3] for term in terms]).T
        self._terms = self._stacked([term[3] for term in terms])  # [network, term]
        self._operator, self._alive_level = np.array([maps[:2] for maps in alive]).T
        self._alive = self._stacked([maps[2] for maps in alive])  # [network, maps]
        self._first_of_operator = np.flatnonzero(np.diff(self._operator, prepend=-1))
        self._flops_of: dict[Repeats, Floats] = {}
        self._flops = self._only(np.isin(self._kind, _FLOPS))
        self._params = self._only(self._kind == _PARAMS)

    def flops(self, repeats: Repeats, resolution: int) -> Floats:
        """Multiply-adds, [network]: exact, since whole numbers below 2^53 are."""
        flops: Floats = self._of_levels(repeats) @ self.pixels[resolution]
        return flops

    def flops_at(self, networks: Indices, repeats: Repeats, resolutions: Indices) -> Floats:
        """Multiply-adds of some networks, each at its own input side, [network]."""
        pixels = self.pixels[np.minimum(resolutions, LARGEST)]
        flops: Floats = np.einsum("ij,ij->i", self._of_levels(repeats)[np.minimum(networks, self.n - 1)], pixels)
        return flops

    def params(self, repeats: Repeats) -> Floats:
        """Learnable parameters, [network]."""
        terms, part, _ = self._params
        params: Floats = terms @ self._times(repeats)[part]
        return params

    def peaks(self, repeats: Repeats, resolution: int) -> Floats:
        """Peak activation bytes, [network]."""
        elements = self._alive * self.pixels[resolution][self._alive_level]
        of_operator = np.add.reduceat(elements, self._first_of_operator, axis=1)
        peaks: Floats = BYTES * of_operator[:, self._times(repeats)[self._part_of_operator] > 0].max(1)
        return peaks

    def cost(self, network: int, repeats: Repeats, resolution: int) -> Cost:
        """What `families.network_cost` says of a network, an order of magnitude sooner."""
        times, pixels = self._times(repeats), self.pixels[resolution]
        terms = self._terms[network] * times[self._part] * pixels[self._level]
        *by_operator, bias, activations, params = np.bincount(self._kind, terms, len(_KINDS)).astype(int).tolist()
        alive = np.add.reduceat(self._alive[network] * pixels[self._alive_level], self._first_of_operator)
        peak = BYTES * int(alive[times[self._part_of_operator] > 0].max())
        return Cost(dict(zip(OPERATORS, by_operator, strict=True)), params, activations, peak, bias)

    def _times(self, repeats: Repeats) -> Floats:
        """How often each part runs, [part]."""
        return np.array([1.0 if of is None else repeats[of] - 1.0 for of in self._of_stage])

    def _of_levels(self, repeats: Repeats) -> Floats:
        """Multiply-adds a pixel of each level, [network, level], at these repeats: remembered."""
        found = self._flops_of.get(repeats)
        if found is not None:
            return found
        terms, part, level = self._flops
        by_level = np.zeros((self.pixels.shape[1], self.n))
        np.add.at(by_level, level, (terms * self._times(repeats)[part]).T)
        if len(self._flops_of) >= _MOST_KEPT:
            self._flops_of.clear()
        of_levels = self._flops_of[repeats] = np.ascontiguousarray(by_level.T)
        return of_levels

    def _stacked(self, counts: list[Channels]) -> Floats:
        return np.stack([np.broadcast_to(count, self.n) for count in counts], axis=1).astype(float)

    def _only(self, which: NDArray[np.bool_]) -> tuple[Floats, Indices, Indices]:
        return np.ascontiguousarray(self._terms[:, which]), self._part[which], self._level[which]


def _pixels(ledger: Ledger) -> Floats:
    """The pixels of each level for each input side up to LARGEST, [px, level]."""
    sides = ledger.sides(np.arange(LARGEST + 1))
    pixels: Floats = np.stack([np.broadcast_to(side, LARGEST + 1) for side in sides], axis=1) ** 2.0
    return pixels
