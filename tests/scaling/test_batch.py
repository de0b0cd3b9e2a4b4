"""Recommendations for several targets, within one bound of work."""

from __future__ import annotations

import pickle

import pytest

from app.scaling import families
from app.scaling.errors import InvalidNetwork, ScalingError, UnknownArchitecture
from app.scaling.families import flops_of
from app.scaling.predictors.published_tinynets import published_predictor
from app.scaling.rules.batch import RecommendationRequest, Work, estimate_preparation, recommend_each
from app.scaling.rules.recommend import Budget, Recommendation
from app.scaling.solver.constraints import Constraints
from app.scaling.solver.search_work import REQUEST_WORK
from app.scaling.solver.width_solver import TargetOutOfRange

B0 = families.baseline("efficientnet_b0")
EXHAUSTIVE = Budget("at_most", tolerance=0.0, px=512, depth=2.0)


def requests(n: int, budget: Budget = EXHAUSTIVE) -> list[RecommendationRequest]:
    return [RecommendationRequest(B0, "tiny_formula", 100_000_007 + 10_007 * i, budget=budget) for i in range(n)]


def test_targets_share_the_work_of_a_request() -> None:
    limit = 40_000_000
    *found, work = recommend_each(requests(4), published_predictor(), limit=limit)

    assert isinstance(work, Work)
    assert work.is_cut
    assert all(isinstance(one, Recommendation) and one.is_truncated for one in found)
    assert limit / 2 < work.total < 2 * limit


def test_work_within_the_limit_does_not_depend_on_it() -> None:
    quick = requests(2, Budget())
    *some, less = recommend_each(quick, published_predictor(), limit=REQUEST_WORK // 10)
    *same, more = recommend_each(quick, published_predictor(), limit=REQUEST_WORK)

    assert isinstance(less, Work)
    assert not less.is_cut
    assert (some, less) == (same, more)


def test_error_of_one_target_leaves_the_others() -> None:
    unreachable = RecommendationRequest(B0, "tiny_formula", 10**15)
    found, refused, _ = recommend_each([*requests(1, Budget()), unreachable], published_predictor())

    assert isinstance(found, Recommendation)
    assert isinstance(refused, TargetOutOfRange)


def test_preparation_grows_with_the_stages_and_channels() -> None:
    b7 = RecommendationRequest(families.baseline("efficientnet_b7"), "tiny_formula", 10**9)
    narrowed = RecommendationRequest(B0, "tiny_formula", 10**8, constraints=Constraints(channel_divisor=16))

    assert 0 < estimate_preparation(requests(1)[0]) < estimate_preparation(b7)
    assert estimate_preparation(narrowed) == 2 * estimate_preparation(requests(1)[0])


def test_recommendations_are_the_same_in_another_process() -> None:
    request = requests(1, Budget())[0]
    flops_of(request.architecture)  # the hash is in the cache
    copied, predictor = pickle.loads(pickle.dumps((request, published_predictor())))  # noqa: S301

    assert copied == request
    assert list(recommend_each([copied], predictor)) == list(recommend_each([request], published_predictor()))


@pytest.mark.parametrize(
    "error",
    [
        InvalidNetwork("/stages", "too few"),
        UnknownArchitecture("b0", ["efficientnet_b0"]),
        TargetOutOfRange(10, 20, 30, ["max_params"]),
    ],
)
def test_errors_can_be_sent_to_another_process(error: ScalingError) -> None:
    received = pickle.loads(pickle.dumps(error))  # noqa: S301

    assert type(received) is type(error)
    assert (str(received), vars(received)) == (str(error), vars(error))
