"""The statistics of the experiment, pure: paired differences between rules, their intervals, verdicts and the power.

A rule that learns from a study gives one network per (study, budget). A rule that needs no study gives one per budget,
whose trainings all studies share. The differences d[s, b] (study s, budget b, mean over the shared seeds) therefore
follow the crossed model

    d[s, b] = mean + study[s] + budget[b] + interaction[s, b]

in which budget[b] holds the deviation and the seed noise of the shared network, and interaction[s, b] those of the
network of the study. The variance of the mean is (MS_study + MS_budget - MS_interaction) / (S B), by the expected mean
squares of the two-way layout (Searle, Casella and McCulloch, Variance Components, 1992, section 4.3), components
estimated below zero taken as zero. Student's t then has Satterthwaite's degrees of freedom (Biometrics Bulletin 2,
1946, 110-114). A percentile bootstrap over two or three studies has too short intervals if studies differ much (a
shift of a point or more); it is reported beside this interval, for comparison. `bench/experiment_coverage.py` measures
the coverage of both.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]
_Trainings = Mapping[float, Mapping[int, float]]  # accuracy, or a difference, by budget and seed

CONFIDENCE = 0.95
EQUIVALENCE_CONFIDENCE = 0.90  # two one-sided tests at 5 %
EQUIVALENCE_MARGIN = 0.005  # of accuracy, from 0 to 1
RESAMPLES = 10_000
POWER = 0.80
_MIN_BUDGETS = 2
_MIN_BUDGETS_FOR_CURVE = 5  # a quadratic and two degrees of freedom


class NotEnoughData(ValueError):
    """There are too few paired trainings for an interval."""


class Verdict(StrEnum):
    SUPERIOR = "superior"
    INFERIOR = "inferior"
    EQUIVALENT = "equivalent"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Score:
    """The accuracy, from 0 to 1, of one training of a rule's network; `study` is None for a rule that needs none."""

    rule: str
    study: int | None
    budget: float
    seed: int
    accuracy: float


@dataclass(frozen=True)
class Differences:
    """Paired differences of accuracy; `values` has the shape (studies, budgets, seeds) and is nowhere missing."""

    studies: tuple[int | None, ...]
    budgets: tuple[float, ...]
    values: Array
    pairs: int  # trained on both sides

    @property
    def by_budget(self) -> Array:
        """The mean over studies and seeds at each budget."""
        return np.asarray(self.values.mean(axis=(0, 2)))

    def at(self, budgets: Sequence[float]) -> Differences:
        """Return the differences at some of the budgets."""
        mask = np.isin(self.budgets, budgets)
        kept = tuple(b for b, keep in zip(self.budgets, mask, strict=True) if keep)
        return Differences(self.studies, kept, self.values[:, mask], self.pairs)


@dataclass(frozen=True)
class MeanEstimate:
    """A mean difference with its standard error and the components of variance, as standard deviations.

    Fields are arrays if many experiments were analysed at once. `study_sd` is None for a single study: the interval
    then holds for this study, not for others.
    """

    mean: Array
    standard_error: Array
    degrees_of_freedom: Array
    budget_sd: Array
    interaction_sd: Array | None
    study_sd: Array | None

    def half_width(self, confidence: float = CONFIDENCE) -> Array:
        quantile = stats.t.ppf((1 + confidence) / 2, self.degrees_of_freedom)
        return np.asarray(quantile * self.standard_error)

    def interval(self, confidence: float = CONFIDENCE) -> tuple[float, float]:
        half = float(self.half_width(confidence))
        return float(self.mean) - half, float(self.mean) + half

    @property
    def p_value(self) -> float:
        """The two-sided p-value of no difference."""
        if self.standard_error == 0:
            return 1.0 if self.mean == 0 else 0.0
        return float(2 * stats.t.sf(abs(self.mean) / self.standard_error, self.degrees_of_freedom))


@dataclass(frozen=True)
class Third:
    """The mean difference within a third of the budgets; `interval` is None if it has too few of them."""

    budgets: tuple[float, ...]
    mean: float
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Contrast:
    """A rule against a reference. `adjusted_p` is by Holm for primary contrasts, and `p_value` itself for others."""

    rule: str
    reference: str
    is_primary: bool
    differences: Differences
    estimate: MeanEstimate
    interval: tuple[float, float]
    equivalence_interval: tuple[float, float]
    bootstrap_interval: tuple[float, float]
    these_studies_interval: tuple[float, float]
    p_value: float
    adjusted_p: float
    verdict: Verdict
    wins: float
    thirds: tuple[Third, ...]

    @property
    def name(self) -> str:
        return f"{self.rule} - {self.reference}"

    @property
    def mean(self) -> float:
        return float(self.estimate.mean)


def pair_differences(scores: Iterable[Score], rule: str, reference: str) -> Differences:
    """Pair two rules by study, budget and seed; a rule without a study is paired with each study.

    Only complete budgets of the studies are used: the largest grid in which every study has a pair at every budget.

    Raises: NotEnoughData.
    """
    tables: dict[str, dict[int | None, dict[float, dict[int, float]]]] = {}
    for score in scores:
        if score.rule in (rule, reference):
            by_study = tables.setdefault(score.rule, defaultdict(lambda: defaultdict(dict)))
            by_study[score.study][score.budget][score.seed] = score.accuracy
    left, right = tables.get(rule, {}), tables.get(reference, {})
    studies: set[int | None] = {study for study in (*left, *right) if study is not None}
    studies = studies or {None}
    cells = {study: _pair_study(_get_study(left, study), _get_study(right, study)) for study in studies}
    grid, budgets = _largest_grid(cells)
    if len(budgets) < _MIN_BUDGETS:
        raise NotEnoughData(f"{rule} and {reference} have been trained at fewer than two common budgets.")
    chosen = [[cells[study][budget] for budget in budgets] for study in grid]
    seeds = sorted({seed for row in chosen for cell in row for seed in cell})
    values = np.array([[_fill(cell, seeds) for cell in row] for row in chosen])
    return Differences(tuple(grid), tuple(budgets), values, sum(len(cell) for row in chosen for cell in row))


def estimate_mean(cells: Array) -> MeanEstimate:
    """Estimate the mean of differences of shape (…, studies, budgets), leading axes being separate experiments.

    Raises: NotEnoughData for fewer than two budgets.
    """
    studies, budgets = cells.shape[-2:]
    if budgets < _MIN_BUDGETS:
        raise NotEnoughData("An interval needs at least two budgets.")
    mean = cells.mean((-1, -2))
    of_study, of_budget = cells.mean(-1, keepdims=True), cells.mean(-2, keepdims=True)
    centre = mean[..., None, None]
    budget_df = budgets - 1
    ms_budget = studies * ((of_budget - centre) ** 2).sum((-1, -2)) / budget_df
    if studies == 1:
        df = np.full_like(mean, budget_df)
        return MeanEstimate(mean, np.sqrt(ms_budget / budgets), df, np.sqrt(ms_budget), None, None)
    study_df, interaction_df = studies - 1, (studies - 1) * budget_df
    ms_study = budgets * ((of_study - centre) ** 2).sum((-1, -2)) / study_df
    ms_interaction = ((cells - of_study - of_budget + centre) ** 2).sum((-1, -2)) / interaction_df
    # The variance is a signed sum of mean squares; a component that is not positive drops out of it.
    has_study, has_budget = ms_study > ms_interaction, ms_budget > ms_interaction
    a, b = ms_study * has_study, ms_budget * has_budget
    c = ms_interaction * (1.0 - has_study - has_budget)
    variance = a + b + c
    with np.errstate(divide="ignore", invalid="ignore"):
        df = variance**2 / (a**2 / study_df + b**2 / budget_df + c**2 / interaction_df)
    return MeanEstimate(
        mean,
        np.sqrt(variance / (studies * budgets)),
        np.where(np.isfinite(df), df, interaction_df),
        np.sqrt(np.maximum(ms_budget - ms_interaction, 0) / studies),
        np.sqrt(ms_interaction),
        np.sqrt(np.maximum(ms_study - ms_interaction, 0) / budgets),
    )


def bootstrap_mean(values: Array, confidence: float = CONFIDENCE, resamples: int = RESAMPLES, seed: int = 0) -> Array:
    """Return the percentile interval of the mean by resampling studies, budgets, and seeds within a budget.

    `values` has the shape (studies, budgets, seeds). The seeds of a budget are drawn together for all studies, as
    their noise in a shared network is common.
    """
    generator = np.random.default_rng(seed)
    studies, budgets, seeds = values.shape
    study_weights = generator.multinomial(studies, np.full(studies, 1 / studies), resamples) / studies
    budget_weights = generator.multinomial(budgets, np.full(budgets, 1 / budgets), resamples) / budgets
    seed_weights = generator.multinomial(seeds, np.full(seeds, 1 / seeds), (resamples, budgets)) / seeds
    by_seed = np.tensordot(study_weights, values, axes=1)  # (resamples, budgets, seeds)
    means = np.einsum("nbk,nbk,nb->n", by_seed, seed_weights, budget_weights)
    return np.asarray(np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2]))


def adjust_by_holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for their number by Holm's step-down method."""
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(np.argsort(p_values)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def decide(mean: float, adjusted_p: float, equivalence_interval: tuple[float, float]) -> Verdict:
    """Decide from a two-sided test and the 90 % interval; a significant difference comes first, however small."""
    if adjusted_p < 1 - CONFIDENCE:
        return Verdict.SUPERIOR if mean > 0 else Verdict.INFERIOR
    low, high = equivalence_interval
    return Verdict.EQUIVALENT if low > -EQUIVALENCE_MARGIN and high < EQUIVALENCE_MARGIN else Verdict.UNDECIDED


def compare_rules(
    scores: Sequence[Score], primary: Sequence[tuple[str, str]], secondary: Sequence[tuple[str, str]] = ()
) -> list[Contrast]:
    """Compare pairs of (rule, reference); those with too few paired trainings are left out."""
    found: list[tuple[tuple[str, str], Differences, MeanEstimate]] = []
    for pair in (*primary, *secondary):
        try:
            differences = pair_differences(scores, *pair)
        except NotEnoughData:
            continue
        found.append((pair, differences, estimate_mean(differences.values.mean(-1))))
    p_values = [estimate.p_value for _, _, estimate in found]
    count = sum(pair in primary for pair, _, _ in found)  # they come first
    adjusted = [*adjust_by_holm(p_values[:count]), *p_values[count:]]
    return [
        _contrast(pair, pair in primary, differences, estimate, p)
        for (pair, differences, estimate), p in zip(found, adjusted, strict=True)
    ]


@dataclass(frozen=True)
class Calibration:
    """Predicted against measured accuracies: bias and errors from 0 to 1, rank correlation, share in the 90 % band."""

    networks: int
    bias: float
    rmse: float
    mean_sd: float
    inside_90: float
    spearman: float | None


def calibrate(predictions: Sequence[tuple[float, float, float]]) -> Calibration | None:
    """Compare predictions (mean, sd, measured). Return None without predictions."""
    if not predictions:
        return None
    mean, sd, measured = np.array(predictions, float).T
    error = mean - measured
    varies = len(predictions) > 2 and np.ptp(mean) > 0 and np.ptp(measured) > 0
    return Calibration(
        len(predictions),
        float(error.mean()),
        float(np.sqrt((error**2).mean())),
        float(sd.mean()),
        float((np.abs(error) <= stats.norm.ppf(0.95) * sd).mean()),
        float(stats.spearmanr(mean, measured).statistic) if varies else None,
    )


@dataclass(frozen=True)
class Noise:
    """Standard deviations of accuracy, from 0 to 1.

    `network` is a network's own deviation from a smooth curve, `seed` that of a repeated training, and `study` what
    the networks of one study have in common. The defaults are rounded from recorded trainings on typefaces.
    """

    network: float = 0.012
    seed: float = 0.008
    study: float = 0.0025


def simulate_cells(
    noise: Noise, studies: int, budgets: int, seeds: int, experiments: int, generator: np.random.Generator
) -> Array:
    """Simulate differences between a rule that learns from studies and a shared one, whose true mean is zero.

    Return an array of shape (experiments, studies, budgets, seeds).
    """

    def draw(sd: float, *shape: int) -> Array:
        return sd * generator.standard_normal((experiments, *shape))

    own = draw(noise.study, studies, 1, 1) + draw(noise.network, studies, budgets, 1)
    shared = draw(noise.network, 1, budgets, 1) + draw(noise.seed, 1, budgets, seeds)
    return own + draw(noise.seed, studies, budgets, seeds) - shared


@dataclass(frozen=True)
class Power:
    """What a design can tell, for one contrast against a shared rule.

    `half_width` is the median of the 95 % interval's, `detectable` the true difference that is called superior in 80
    of 100 experiments, `equivalent` the share of experiments without a difference that show equivalence.
    """

    half_width: float
    detectable: float
    equivalent: float


def estimate_power(
    studies: int, budgets: int, seeds: int, noise: Noise | None = None, contrasts: int = 2, experiments: int = 4000
) -> Power:
    """Estimate by Monte Carlo what a design can tell.

    The difference to detect allows for the first step of Holm's method over `contrasts` primary contrasts.
    """
    cells = simulate_cells(noise or Noise(), studies, budgets, seeds, experiments, np.random.default_rng(0)).mean(-1)
    estimate = estimate_mean(cells)
    strict = estimate.half_width(1 - (1 - CONFIDENCE) / contrasts)
    narrow = estimate.half_width(EQUIVALENCE_CONFIDENCE)
    return Power(
        float(np.median(estimate.half_width())),
        float(np.quantile(strict - estimate.mean, POWER)),
        float((np.abs(estimate.mean) + narrow < EQUIVALENCE_MARGIN).mean()),
    )


def measure_noise(scores: Sequence[Score]) -> Noise | None:
    """Measure the noise in recorded trainings; None if they are too few.

    The seed's is pooled within networks. A network's own is what remains about a quadratic in log budget, fitted for
    each rule and study; the study's is the spread of a rule's mean differences between studies, above the other two.
    """
    repeated: dict[tuple[str, int | None, float], list[float]] = defaultdict(list)
    for score in scores:
        repeated[score.rule, score.study, score.budget].append(score.accuracy)
    squares = sum(float(np.var(v) * len(v)) for v in repeated.values())
    repeats = sum(len(v) - 1 for v in repeated.values())
    curves: dict[tuple[str, int | None], list[tuple[float, float, int]]] = defaultdict(list)
    for (rule, study, budget), values in repeated.items():
        curves[rule, study].append((math.log(budget), float(np.mean(values)), len(values)))
    usable = [np.array(curve) for curve in curves.values() if len(curve) >= _MIN_BUDGETS_FOR_CURVE]
    if not repeats or not usable:
        return None
    seed = squares / repeats
    residuals = [_residual_squares(curve) for curve in usable]
    scatter = sum(square for square, _ in residuals) / sum(df for _, df in residuals)
    per_network = float(np.mean([1 / curve[:, 2].mean() for curve in usable]))
    rules = {rule for rule, study in curves if study is not None}
    spreads = [spread for rule in rules if (spread := _study_spread(scores, rule)) is not None]
    study_variance = float(np.mean([spread**2 for spread in spreads])) if spreads else 0.0
    return Noise(math.sqrt(max(0.0, scatter - seed * per_network)), math.sqrt(seed), math.sqrt(study_variance))


def _study_spread(scores: Sequence[Score], rule: str) -> float | None:
    """Return the standard deviation between studies of a rule's mean over the budgets; None for one study."""
    shared = [Score("nothing", None, s.budget, s.seed, 0.0) for s in scores if s.rule == rule]
    try:
        estimate = estimate_mean(pair_differences([*scores, *shared], rule, "nothing").values.mean(-1))
    except NotEnoughData:
        return None
    return None if estimate.study_sd is None else float(estimate.study_sd)


def _residual_squares(curve: Array) -> tuple[float, int]:
    design = np.vander(curve[:, 0], 3)
    fitted = design @ np.linalg.lstsq(design, curve[:, 1], rcond=None)[0]
    return float(((curve[:, 1] - fitted) ** 2).sum()), len(curve) - 3


def _get_study(table: Mapping[int | None, _Trainings], study: int | None) -> _Trainings:
    """Return a rule's trainings for a study, or those that all studies share."""
    return table.get(study) or table.get(None) or {}


def _pair_study(left: _Trainings, right: _Trainings) -> dict[float, dict[int, float]]:
    """Return the difference of each seed at each budget that both have."""
    cells = {
        budget: {seed: values[seed] - right[budget][seed] for seed in values if seed in right[budget]}
        for budget, values in left.items()
        if budget in right
    }
    return {budget: cell for budget, cell in cells.items() if cell}


def _largest_grid(cells: Mapping[int | None, _Trainings]) -> tuple[list[int | None], list[float]]:
    """Return studies and budgets with a pair in every cell: as many cells as possible.

    Studies are tried in the order of their number of budgets.
    """
    ordered = sorted(cells, key=lambda study: (-len(cells[study]), study or 0))
    best: tuple[list[int | None], list[float]] = ([], [])
    for count in range(1, len(ordered) + 1):
        budgets = set.intersection(*(set(cells[study]) for study in ordered[:count]))
        if count * len(budgets) > len(best[0]) * len(best[1]):
            best = (sorted(ordered[:count], key=lambda study: study or 0), sorted(budgets))
    return best


def _fill(cell: Mapping[int, float], seeds: Sequence[int]) -> list[float]:
    """Return a cell's differences by seed; a missing one is the mean of the others, which leaves the cell's mean."""
    mean = float(np.mean(list(cell.values())))
    return [cell.get(seed, mean) for seed in seeds]


def _contrast(
    pair: tuple[str, str], is_primary: bool, differences: Differences, estimate: MeanEstimate, adjusted_p: float
) -> Contrast:
    low, high = bootstrap_mean(differences.values)
    parts = np.array_split(np.array(differences.budgets), 3)
    equivalence = estimate.interval(EQUIVALENCE_CONFIDENCE)
    return Contrast(
        rule=pair[0],
        reference=pair[1],
        is_primary=is_primary,
        differences=differences,
        estimate=estimate,
        interval=estimate.interval(),
        equivalence_interval=equivalence,
        bootstrap_interval=(float(low), float(high)),
        these_studies_interval=estimate_mean(differences.by_budget[None]).interval(),
        p_value=estimate.p_value,
        adjusted_p=adjusted_p,
        verdict=decide(float(estimate.mean), adjusted_p, equivalence),
        wins=float((np.sign(differences.by_budget) + 1).mean() / 2),
        thirds=tuple(_third(differences.at(part.tolist())) for part in parts if part.size),
    )


def _third(differences: Differences) -> Third:
    interval = None
    if len(differences.budgets) >= _MIN_BUDGETS:
        interval = estimate_mean(differences.values.mean(-1)).interval()
    return Third(differences.budgets, float(differences.values.mean()), interval)
