"""The bound on the work of a search.

Work is counted in nominal nanoseconds of one core, from the sizes of the arrays that a step computes with. A count is
the same on every machine and at any load, unlike a clock: the same request always has the same answer.
"""

from __future__ import annotations

from app.scaling.solver.cost_batch import BatchCost

TARGET_WORK = 1_000_000_000  # a target's share at the most
REQUEST_WORK = 5_000_000_000  # of all targets of a request

_PER_POINT = 30_000
_PER_LEVEL = 10  # of a network at one input size
_PER_SIZE = 500
_TERMS_PER_WORK = 2  # of a depth
_PER_MEMORY_TERM = 100
_PER_PEAK_TERM = 8
_PEAKS_PER_SIZE = 16  # widths at which a scan computes the peaks of a size
_PER_OBSERVATION = 5_000  # of a surrogate that is maximized
_PER_CANDIDATE_TERM = 12_000  # the ledger of networks with a width per stage is recorded in Python


class WorkDone:
    """The work that all searches of a request have done, and whether one of them has reached its limit."""

    def __init__(self) -> None:
        self.total = 0
        self.is_cut = False


class SearchWork:
    """The work that a search has done, up to a limit; it is added to `done`."""

    def __init__(self, limit: int = TARGET_WORK, done: WorkDone | None = None) -> None:
        self.limit = limit
        self.left = limit
        self.done = done or WorkDone()
        self._computed: set[object] = set()

    def renew(self) -> SearchWork:
        """Return work with the whole limit, for another search of the same request."""
        return SearchWork(self.limit, self.done)

    @property
    def is_exhausted(self) -> bool:
        return self.left <= 0

    def count_point(self, batch: BatchCost) -> None:
        """Count the costs of a batch's networks at one input size, and of those with widths per stage."""
        self._count(_PER_POINT + _PER_LEVEL * batch.n)

    def count_depth(self, batch: BatchCost, depth: object) -> None:
        """Count the costs of a batch's networks at new repeats, once per depth."""
        self._count_once((id(batch), depth), batch.n * batch.terms // _TERMS_PER_WORK)

    def count_memory(self, batch: BatchCost, limit: int) -> None:
        """Count the largest input sizes of a batch's networks, once per limit of memory."""
        self._count_once((id(batch), limit), _PER_MEMORY_TERM * batch.n * batch.terms)

    def count_peaks(self, batch: BatchCost, size: int) -> None:
        """Count the peaks of a batch's networks at an input size, once per size."""
        self._count_once((id(batch), "peaks", size), _PER_PEAK_TERM * batch.n * batch.terms)

    def count_peaks_at(self, batch: BatchCost, n: int) -> None:
        """Count the peaks at this number of input sizes, each of those networks that the search for a width visits."""
        self._count(_PEAKS_PER_SIZE * _PER_PEAK_TERM * n * batch.terms)

    def count_maximization(self, observations: int) -> None:
        """Count the search for the multipliers of the highest expected accuracy by a surrogate on observations."""
        self._count(_PER_OBSERVATION * observations)

    def count_candidates(self, batch: BatchCost, segment: int) -> None:
        """Count the networks with a width per stage around a segment, once per segment."""
        self._count_once(segment, _PER_CANDIDATE_TERM * batch.terms)

    def count_sizes(self, n: int) -> None:
        """Count the search for the width at this number of input sizes."""
        self._count(_PER_POINT + _PER_SIZE * n)

    def _count_once(self, key: object, work: int) -> None:
        if key not in self._computed:
            self._computed.add(key)
            self._count(work)

    def _count(self, work: int) -> None:
        self.left -= work
        self.done.total += work
        self.done.is_cut |= self.left <= 0
