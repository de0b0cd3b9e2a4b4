"""Where computations run: quick ones in a thread of this process, others in the pool of processes.

A search is first tried with little work. What needs more waits in the pool's lane for long computations, so that it
holds up no request that takes little. As long as the pool has started no process, what is mostly quick is tried in a
thread: who drags a budget would wait for the process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any, TypeVar, cast

from anyio import from_thread
from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from app.core.errors import ServiceBusy
from app.core.process_pool import ComputationFailed, ProcessPool, call
from app.db.tables import StudyRow
from app.db.unit_of_work import UnitOfWork
from app.http.auth import caller_of, count_computation
from app.scaling.rules.batch import RecommendationRequest, Work, estimate_preparation, recommend_each
from app.scaling.solver.search_work import REQUEST_WORK, TARGET_WORK
from app.services import recommendations
from app.services.predictors.store import ResolvedPredictor
from app.services.recommendations import RuleOutcome
from app.services.studies.in_process import MAX_QUICK_OBSERVATIONS, call_with_study

_TRY_WORK = 100_000_000  # ns
_MOSTLY_QUICK_WORK = 400_000_000  # ns, of all rules for a target beyond the predictor's data
_SECOND = 1_000_000_000  # ns
_STUDY_SECONDS = 4.0

Result = TypeVar("Result")


async def solve(
    request: Request, requests: Sequence[RecommendationRequest], predictor: ResolvedPredictor
) -> list[RuleOutcome]:
    """Return each request's network or error; their computation counts against the caller's limit.

    Raises: ServiceBusy if too many searches wait.
    """
    pool: ProcessPool = request.app.state.pool
    if not pool.processes or recommendations.are_quick(requests, predictor):
        return await run_in_threadpool(recommendations.recommend_networks, requests, predictor)
    yielded = await _try_first(request, requests, predictor)
    outcomes, work = await run_in_threadpool(recommendations.outcomes_of, requests, yielded, predictor)
    await count_computation(request, work.total / _SECOND)
    return outcomes


async def _try_first(
    request: Request, requests: Sequence[RecommendationRequest], predictor: ResolvedPredictor
) -> list[Any]:
    if estimate_preparation(requests[0]) < _TRY_WORK:
        pool: ProcessPool = request.app.state.pool
        if not pool.is_started and recommendations.are_mostly_quick(requests):
            arguments = recommendations.arguments_of(requests, predictor, _MOSTLY_QUICK_WORK)
            yielded: list[Any] = await run_in_threadpool(lambda: list(recommend_each(*arguments)))
        else:
            arguments = recommendations.arguments_of(requests, predictor, _TRY_WORK)
            yielded = await _run(request, recommend_each, arguments, is_long=False, seconds=_TRY_WORK / _SECOND)
        work: Work = yielded[-1]
        if not work.is_cut:
            return yielded
    seconds = min(REQUEST_WORK, TARGET_WORK * len(requests)) / _SECOND
    arguments = recommendations.arguments_of(requests, predictor)
    return await _run(request, recommend_each, arguments, is_long=True, seconds=seconds)


async def _run(
    request: Request,
    function: Callable[..., Iterable[Any]],
    arguments: Sequence[Any],
    *,
    is_long: bool,
    seconds: float,
) -> list[Any]:
    pool: ProcessPool = request.app.state.pool
    caller = caller_of(request).id
    try:
        return await pool.run(function, *arguments, is_long=is_long, seconds=seconds, caller=caller)
    except ComputationFailed as error:
        raise ServiceBusy(f"{error} Retry with a smaller request.", 1) from None


async def until_disconnect(request: Request, answer: Awaitable[Result]) -> Result:
    """Return the answer, or stop computing it when the client leaves.

    Raises: ClientDisconnect; whatever the answer raises.
    """
    computing = asyncio.ensure_future(answer)
    leaving = asyncio.ensure_future(_wait_for_disconnect(request))
    try:
        await asyncio.wait((computing, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not computing.done():
            raise ClientDisconnect
        return await computing
    finally:
        computing.cancel()
        leaving.cancel()


async def _wait_for_disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def solve_in_thread(
    request: Request,
) -> Callable[[Sequence[RecommendationRequest], ResolvedPredictor], list[RuleOutcome]]:
    """Return `solve` for the thread of a route, which waits for the result."""
    return lambda requests, predictor: from_thread.run(solve, request, requests, predictor)


def compute_over_study(
    request: Request, work: UnitOfWork, study: StudyRow, function: Callable[..., Result], *arguments: Any
) -> Result:
    """Return `function(work, study, *arguments)`, computed in another process if the study has many observations.

    Call it from the thread of a route. The function, its arguments and its result are pickled.
    Raises: ServiceBusy; whatever the function raises.
    """
    pool: ProcessPool = request.app.state.pool
    if not pool.processes or work.observations.tally(study.id)[0] <= MAX_QUICK_OBSERVATIONS:
        return function(work, study, *arguments)
    in_study = (work.database, study.id, function, *arguments)
    work.release()
    [result] = from_thread.run(partial(_run, request, call_with_study, in_study, is_long=False, seconds=_STUDY_SECONDS))
    return cast("Result", result)


def compute_elsewhere(
    request: Request, function: Callable[..., Result], *arguments: Any, seconds: float = _STUDY_SECONDS
) -> Result:
    """Return `function(*arguments)`, computed in the pool, or here if it has no processes. It takes about `seconds`.

    Call it from the thread of a route. The function, its arguments and its result are pickled.
    Raises: ServiceBusy; whatever the function raises.
    """
    pool: ProcessPool = request.app.state.pool
    if not pool.processes:
        return function(*arguments)
    [result] = from_thread.run(partial(_run, request, call, (function, *arguments), is_long=True, seconds=seconds))
    return cast("Result", result)


def compute_in_background(pool: ProcessPool, loop: asyncio.AbstractEventLoop) -> Callable[..., Any]:
    """Return a function that computes `function(*arguments)` in the pool, for threads beside the loop's requests."""

    def compute(function: Callable[..., Any], *arguments: Any) -> Any:
        if not pool.processes:
            return function(*arguments)
        running = pool.run(call, function, *arguments, is_long=True, seconds=_STUDY_SECONDS)
        [result] = asyncio.run_coroutine_threadsafe(running, loop).result()
        return result

    return compute
