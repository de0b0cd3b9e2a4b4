"""Boosted regression trees as a value: fitted by scikit-learn, evaluated by numpy, stored as plain data.

The evaluation is QuickScorer's (Lucchese et al., SIGIR 2015): each split that sends a sample to the right rules out the
leaves on its left, and the first leaf that remains is the sample's. With at most eight leaves, a tree's remaining
leaves are a byte, and a table has the bytes that all splits of a feature leave at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.scaling.rounding import Floats

MAX_LEAVES = 8
_ALL_LEAVES = 2**MAX_LEAVES - 1
_TREES = 150
_LEARNING_RATE = 0.08
_SUBSAMPLE = 0.5
_SHARE_OF_FEATURES = 0.5
_MIN_SAMPLES = 5  # in a leaf

Split = tuple[int, float, int]
"""Feature, threshold, and the leaves that remain, as bits, if the feature is above the threshold."""


@dataclass(frozen=True)
class BoostedTrees:
    """A sum of trees; each has splits and the values of its leaves from left to right."""

    splits: tuple[tuple[Split, ...], ...]
    leaves: tuple[tuple[float, ...], ...]

    @classmethod
    def fit(cls, features: Floats, targets: Floats, weights: Floats) -> BoostedTrees:
        """Fit the trees by gradient boosting of the squared error."""
        from sklearn.ensemble import GradientBoostingRegressor  # takes long to load, and predictions do not need it

        regressor = GradientBoostingRegressor(
            n_estimators=_TREES,
            learning_rate=_LEARNING_RATE,
            subsample=_SUBSAMPLE,
            max_features=_SHARE_OF_FEATURES,
            max_depth=None,
            max_leaf_nodes=MAX_LEAVES,
            min_samples_leaf=_MIN_SAMPLES,
            init="zero",
            random_state=0,
        ).fit(features, targets, weights)
        trees = [_read(tree.tree_) for tree in regressor.estimators_[:, 0]]
        return cls(tuple(splits for splits, _ in trees), tuple(leaves for _, leaves in trees))

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> BoostedTrees:
        splits = tuple(tuple((f, t, remaining) for f, t, remaining in tree) for tree in plain["splits"])
        return cls(splits, tuple(tuple(tree) for tree in plain["leaves"]))

    def to_json(self) -> dict[str, Any]:
        return {
            "splits": [[list(split) for split in tree] for tree in self.splits],
            "leaves": [list(tree) for tree in self.leaves],
        }

    def predict(self, features: Floats) -> Floats:
        """Return the sum of the trees for each row of features [sample, feature]."""
        rounded = features.astype(np.float32)  # as in the fit
        remaining: NDArray[np.uint8] | None = None
        for feature, thresholds, table in self._tables:
            left = table[np.searchsorted(thresholds, rounded[:, feature])]
            remaining = left if remaining is None else np.bitwise_and(remaining, left, out=remaining)
        if remaining is None:
            return np.full(len(features), self._values[:, _ALL_LEAVES].sum())
        positions = remaining + np.arange(len(self.leaves)) * (_ALL_LEAVES + 1)
        predicted: Floats = self._values.take(positions).sum(1)
        return predicted

    @cached_property
    def _tables(self) -> list[tuple[int, Floats, NDArray[np.uint8]]]:
        """For each feature its number, its thresholds, and by how many are exceeded the remaining leaves, [n, tree]."""
        by_feature: dict[int, list[tuple[float, int, int]]] = {}
        for tree, splits in enumerate(self.splits):
            for feature, threshold, remaining in splits:
                by_feature.setdefault(feature, []).append((threshold, tree, remaining))
        tables = []
        for feature, splits_of_feature in sorted(by_feature.items()):
            thresholds = np.unique([threshold for threshold, *_ in splits_of_feature])
            table = np.full((len(thresholds) + 1, len(self.splits)), _ALL_LEAVES, np.uint8)
            for threshold, tree, remaining in splits_of_feature:
                table[np.searchsorted(thresholds, threshold) + 1, tree] &= remaining
            tables.append((feature, thresholds, np.bitwise_and.accumulate(table)))
        return tables

    @cached_property
    def _values(self) -> Floats:
        """The value of the first of the remaining leaves, [tree, remaining leaves as bits]."""
        first = [0, *((bits & -bits).bit_length() - 1 for bits in range(1, _ALL_LEAVES + 1))]
        padded = np.zeros((len(self.leaves), MAX_LEAVES))
        for tree, values in enumerate(self.leaves):
            padded[tree, : len(values)] = values
        return np.ascontiguousarray(padded[:, first])


def _read(tree: Any) -> tuple[tuple[Split, ...], tuple[float, ...]]:
    """Return the splits and the leaves of a tree of scikit-learn."""
    splits: list[Split] = []
    leaves: list[float] = []

    def visit(node: int) -> None:
        if tree.children_left[node] < 0:
            leaves.append(float(f"{_LEARNING_RATE * tree.value[node].item():.5g}"))
            return
        first = len(leaves)
        visit(tree.children_left[node])
        on_the_left = (1 << len(leaves)) - (1 << first)
        splits.append((int(tree.feature[node]), float(tree.threshold[node]), _ALL_LEAVES & ~on_the_left))
        visit(tree.children_right[node])

    visit(0)
    return tuple(splits), tuple(leaves)
