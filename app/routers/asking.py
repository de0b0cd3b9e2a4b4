"""Ask and tell, for AutoML tools that train elsewhere."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter

from app.db.tables import SuggestionRow
from app.deps import Id, Work
from app.problems import RESPONSES
from app.safe_routes import SafeRoute
from app.scaling.architecture import Multipliers
from app.schemas.asking import Ask, Heard, SuggestionItem, Suggestions, Tell
from app.services import asking

router = APIRouter(prefix="/v1/studies", tags=["ask and tell"], responses=RESPONSES, route_class=SafeRoute)

_DEFAULT_ASK = Ask()


@router.post("/{id}/ask", summary="What to train next")
def ask(id: Id, work: Work, body: Ask = _DEFAULT_ASK) -> Suggestions:
    """The networks that promise most to the study's front, given all it knows and what others are training.

    A client asked again gets what it has not answered yet, and new ones up to `n`. No network is suggested twice.
    """
    rows = asking.ask(work, id, body.client, body.n, body.lease_seconds)
    return Suggestions(items=[_item(row) for row in rows])


@router.post("/{id}/tell", summary="What came of it")
def tell(id: Id, body: Tell, work: Work) -> Heard:
    """An observation of the study from now on; told again, nothing happens twice."""
    told = asking.Told(body.accuracy, body.infeasible, body.seconds, body.latency_ms, body.metrics)
    if body.multipliers is not None:
        own = Multipliers(body.multipliers.r, body.multipliers.d, body.multipliers.w)
        return Heard(observation=asking.tell_of(work, id, body.client, own, told), suggestion=None)
    assert body.suggestion is not None
    row, observation = asking.tell(work, id, body.suggestion, told)
    return Heard(observation=observation, suggestion=_item(row))


def _item(row: SuggestionRow) -> SuggestionItem:
    kept = ("id", "client", "state", "config", "flops", "params", "ratio", "late", "told", "reason", "created_at")
    return SuggestionItem(
        **{name: getattr(row, name) for name in kept},
        multipliers={"r": row.r, "d": row.d, "w": row.w},
        predicted_accuracy=row.predicted,
        lease_expires_at=datetime.fromtimestamp(row.lease_expires_at, UTC),
        told_at=row.told_at,
    )
