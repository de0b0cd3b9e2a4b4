"""The explanations that the `type` of problem documents links to."""

from __future__ import annotations

from fastapi import APIRouter

from app.core.errors import NotFound
from app.http.problem_types import PROBLEM_TYPES

router = APIRouter(prefix="/problems", include_in_schema=False)


@router.get("")
async def list_problem_types() -> dict[str, list[dict[str, str | int]]]:
    return {"items": [_explain(name) for name in PROBLEM_TYPES]}


@router.get("/{name}")
async def read_problem_type(name: str) -> dict[str, str | int]:
    """Say what the type means and what to do about it."""
    if name not in PROBLEM_TYPES:
        raise NotFound("problem type", name)
    return _explain(name)


def _explain(name: str) -> dict[str, str | int]:
    kind = PROBLEM_TYPES[name]
    return {
        "type": f"/problems/{name}",
        "title": kind.title,
        "status": kind.status,
        "meaning": kind.meaning,
        "remedy": kind.remedy,
    }
