"""The latency model: milliseconds of a network on one device, from measurements of other networks there.

The latency of a network is the sum of those of its fused operators, as in nn-Meter (Zhang et al., MobiSys 2021), which
predicts each by a random forest. Here the time of a layer is a roofline, a non-negative combination of its
multiply-adds, the elements that it moves and a constant, times what boosted trees say of the kernels' efficiency at its
shape. A layer includes the operators after it that the runtime may not have fused. Each kind of layer has its model.
Errors count relative to the layer, by the share of the network's time that it takes.

A model is a value: rebuilt from its plain data it predicts the same bits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import nnls

from app.scaling.errors import KindNotMeasured, NotEnoughObservations
from app.scaling.input_sizes import Indices, InputSizes
from app.scaling.latency.layers import FEATURES, KINDS, TERMS, Layers
from app.scaling.latency.trees import BoostedTrees
from app.scaling.network import Config
from app.scaling.rounding import Floats

MIN_NETWORKS = 10
_FOLDS = 5
_TOLERANCE = 0.1  # of the error, in `within_10`


@dataclass(frozen=True)
class MeasuredNetwork:
    """A network with its milliseconds, and those of each of its layers (`profiles.layer_milliseconds`)."""

    config: Config
    ms: float
    layer_ms: tuple[float, ...]


@dataclass(frozen=True)
class LatencyError:
    """The relative error of predictions on networks that the model has not seen."""

    networks: int
    within_10: float  # the share of networks within 10 %
    median: float
    p90: float
    spearman: float

    @classmethod
    def of(cls, predicted: Floats, measured: Floats) -> LatencyError:
        from scipy.stats import spearmanr  # takes long to load, and predictions do not need it

        errors = np.abs(predicted / measured - 1)
        return cls(
            len(errors),
            float((errors <= _TOLERANCE).mean()),
            float(np.median(errors)),
            float(np.quantile(errors, 0.9)),
            float(spearmanr(predicted, measured).statistic),
        )


@dataclass(frozen=True)
class KindModel:
    """The model of one kind of layers: a coefficient of each of `layers.TERMS`, and the logarithm of a factor."""

    coefficients: tuple[float, ...]
    trees: BoostedTrees

    def predict(self, features: Floats, terms: Floats) -> Floats:
        """Return the milliseconds of layers from their features and terms, each [layer, …]."""
        milliseconds: Floats = (terms @ np.array(self.coefficients)) * np.exp(self.trees.predict(features))
        return milliseconds


@dataclass(frozen=True)
class LatencyModel:
    """The latency of networks on a device.

    `device` says where and how the networks were measured; `error` is that on networks that were left out of the fit.
    """

    kinds: Mapping[str, KindModel]
    networks: int
    device: Mapping[str, Any]
    error: LatencyError

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> LatencyModel:
        kinds = {
            name: KindModel(tuple(kind["coefficients"]), BoostedTrees.from_json(kind["trees"]))
            for name, kind in plain["kinds"].items()
        }
        return cls(kinds, plain["networks"], dict(plain["device"]), LatencyError(**plain["error"]))

    def to_json(self) -> dict[str, Any]:
        kinds = {
            name: {"coefficients": list(kind.coefficients), "trees": kind.trees.to_json()}
            for name, kind in self.kinds.items()
        }
        return {
            "features": list(FEATURES),
            "terms": list(TERMS),
            "kinds": kinds,
            "networks": self.networks,
            "device": dict(self.device),
            "error": asdict(self.error),
        }

    def predict(self, config: Config) -> float:
        """Return the milliseconds of a network.

        Raises: KindNotMeasured.
        """
        layers = Layers(config)
        features, terms = layers.numbers(*layers.levels(config.resolution))
        return float((self.layer_milliseconds(layers.kind, features, terms) * layers.runs(_repeats(config))).sum())

    def layer_milliseconds(self, kinds: Indices, features: Floats, terms: Floats) -> Floats:
        """Return the milliseconds of each layer, [network, layer].

        `kinds` are indices in `layers.KINDS`, [layer].
        Raises: KindNotMeasured.
        """
        milliseconds = np.zeros(features.shape[:2])
        for index in np.unique(kinds):
            kind = self.kinds.get(KINDS[index])
            if kind is None:
                raise KindNotMeasured(KINDS[index])
            layers = np.flatnonzero(kinds == index)
            predicted = kind.predict(
                features[:, layers].reshape(-1, len(FEATURES)), terms[:, layers].reshape(-1, len(TERMS))
            )
            milliseconds[:, layers] = predicted.reshape(-1, len(layers))
        return milliseconds


class LatencyBatch:
    """The latency of `n` networks, given as one config whose channels are arrays [n]."""

    def __init__(self, model: LatencyModel, networks: Config, n: int) -> None:
        self._model = model
        self._layers = Layers(networks, n)
        sizes = InputSizes(networks.resolution)
        sides = (self._layers.ledger.sides(side) for side in (sizes.heights, sizes.widths))
        count = len(sizes.heights)
        self._rows, self._columns = (np.stack([np.broadcast_to(s, count) for s in side], 1) * 1.0 for side in sides)

    def milliseconds(self, networks: Indices, repeats: Indices, sizes: Indices) -> Floats:
        """Return the latency of some networks, each at its repeats [network, stage] and input size, [network].

        Raises: KindNotMeasured.
        """
        features, terms = self._layers.numbers(self._rows[sizes], self._columns[sizes], networks)
        milliseconds = self._model.layer_milliseconds(self._layers.kind, features, terms)
        total: Floats = (milliseconds * self._layers.runs(repeats)).sum(1)
        return total


def fit_latency_model(measured: Sequence[MeasuredNetwork], device: Mapping[str, Any]) -> LatencyModel:
    """Fit a model, and its error by cross-validation over whole networks.

    Raises: NotEnoughObservations.
    """
    if len(measured) < MIN_NETWORKS:
        raise NotEnoughObservations(
            f"{len(measured)} networks are too few for a latency model, which needs {MIN_NETWORKS}."
        )
    tables = [_LayerTable.of(network) for network in measured]
    predicted = np.zeros(len(measured))
    for fold in range(_FOLDS):
        kinds = _fit_kinds([table for i, table in enumerate(tables) if i % _FOLDS != fold])
        for i in range(fold, len(tables), _FOLDS):
            predicted[i] = tables[i].predict(kinds)
    milliseconds = np.array([network.ms for network in measured])
    known = predicted > 0
    error = LatencyError.of(predicted[known], milliseconds[known])
    return LatencyModel(_fit_kinds(tables), len(measured), dict(device), error)


def _repeats(config: Config) -> Indices:
    return np.array([[stage.repeats for stage in config.stages]])


@dataclass(frozen=True)
class _LayerTable:
    """The layers that a network runs: kind, features, terms and milliseconds of each."""

    ms: float
    kind: Indices
    features: Floats
    terms: Floats
    layer_ms: Floats

    @classmethod
    def of(cls, network: MeasuredNetwork) -> _LayerTable:
        layers = Layers(network.config)
        features, terms = (numbers[0] for numbers in layers.numbers(*layers.levels(network.config.resolution)))
        runs = layers.runs(_repeats(network.config))[0] * layers.exists[0]
        order = np.array(
            [
                layer
                for part in range(len(layers.ledger.parts))
                for _ in range(runs[layers.part == part].max(initial=0))
                for layer in np.flatnonzero((layers.part == part) & (runs > 0))
            ]
        )
        return cls(network.ms, layers.kind[order], features[order], terms[order], np.array(network.layer_ms))

    def predict(self, kinds: Mapping[str, KindModel]) -> float:
        """Return the network's milliseconds, 0 if a kind is missing."""
        total = 0.0
        for index in np.unique(self.kind):
            if KINDS[index] not in kinds:
                return 0.0
            mask = self.kind == index
            total += float(kinds[KINDS[index]].predict(self.features[mask], self.terms[mask]).sum())
        return total


def _fit_kinds(tables: Sequence[_LayerTable]) -> dict[str, KindModel]:
    everything = _LayerTable(
        0.0,
        np.concatenate([table.kind for table in tables]),
        np.concatenate([table.features for table in tables]),
        np.concatenate([table.terms for table in tables]),
        np.concatenate([table.layer_ms for table in tables]),
    )
    shares = np.concatenate([table.layer_ms / table.ms for table in tables])
    kinds = {}
    for index in np.unique(everything.kind):
        mask = everything.kind == index
        layers = replace(
            everything,
            features=everything.features[mask], terms=everything.terms[mask], layer_ms=everything.layer_ms[mask],
        )  # fmt: skip
        kinds[KINDS[index]] = _fit_kind(layers, shares[mask])
    return kinds


def _fit_kind(layers: _LayerTable, shares: Floats) -> KindModel:
    scale = np.maximum(layers.terms.max(0), np.finfo(float).tiny)
    weights = np.sqrt(shares) / layers.layer_ms
    solution, _ = nnls(layers.terms / scale * weights[:, None], layers.layer_ms * weights)
    coefficients = solution / scale
    residuals = np.log(layers.layer_ms / (layers.terms @ coefficients))
    trees = BoostedTrees.fit(layers.features, residuals, shares / shares.mean())
    return KindModel(tuple(coefficients.tolist()), trees)
