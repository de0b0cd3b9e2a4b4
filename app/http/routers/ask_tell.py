"""Routes of ask and tell, for AutoML tools that train elsewhere."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

from fastapi import APIRouter, Request

from app.core.studies import ReportedResult, SuggestionState
from app.db.tables import SuggestionRow
from app.http import openapi_examples
from app.http.auth import READ, TRAIN
from app.http.dependencies import Cursor, Id, Limit, ReadUow, WriteUow, open_read, open_write
from app.http.long_requests import takes_long
from app.http.problems import RESPONSES
from app.http.route import ApiRoute
from app.http.schemas.ask_tell import AskRequest, AskResponse, SuggestionItem, TellRequest, TellResponse
from app.http.schemas.common import Page, fields_in
from app.http.solving import compute_over_study
from app.scaling.network import Multipliers
from app.services.studies import ask_tell, studies

router = APIRouter(prefix="/v1/studies", tags=["ask and tell"], responses=RESPONSES, route_class=ApiRoute)

_DEFAULT_ASK = AskRequest()


@router.post("/{id}/ask", summary="Get suggestions", openapi_extra=openapi_examples.ASK, dependencies=[TRAIN])
@takes_long
def ask(id: Id, request: Request, body: AskRequest = _DEFAULT_ASK) -> AskResponse:
    """Suggest the networks that are expected to improve the front of the study most.

    The unanswered suggestions of the client are returned first, then new ones up to `n`. No network is suggested twice.
    There are fewer if the space has no more networks; if it has none, the problem is `space-exhausted`.
    """
    opened, compute = (open_read(request), open_write(request)), partial(compute_over_study, request)
    rows = ask_tell.ask(*opened, id, body.client, body.n, body.lease_seconds, compute)
    return AskResponse(items=[_item(row) for row in rows])


@router.get("/{id}/suggestions", summary="List suggestions", dependencies=[READ])
def list_suggestions(
    id: Id, work: ReadUow, limit: Limit = 50, cursor: Cursor = None, state: SuggestionState | None = None
) -> Page[SuggestionItem]:
    """List the suggestions of the study to all clients, newest first, with the results that were reported.

    `pending` ones are open; `reported` and `infeasible` ones are answered.
    """
    page = work.suggestions.page(studies.find(work, id).id, limit, cursor, state)
    return Page(items=[_item(row) for row in page.items], next=page.next)


@router.post("/{id}/tell", summary="Report a result", openapi_extra=openapi_examples.TELL, dependencies=[TRAIN])
def tell(id: Id, body: TellRequest, work: WriteUow) -> TellResponse:
    """Store a result as an observation of the study. Reporting the same result again has no effect.

    With `epoch` it is an interim result: it is stored with the suggestion, and `go_on` says whether to continue.
    Another result of the same suggestion is accepted after `infeasible`, and once the observation was retracted.
    """
    report = ReportedResult(body.accuracy, body.infeasible, body.seconds, body.latency_ms, body.metrics)
    if body.multipliers is not None:
        multipliers = Multipliers(body.multipliers.r, body.multipliers.d, body.multipliers.w)
        return TellResponse(
            observation=ask_tell.report_own_network(work, id, body.client, multipliers, report), suggestion=None
        )
    assert body.suggestion is not None
    if body.epoch is not None:
        assert body.accuracy is not None
        row, go_on = ask_tell.tell_interim(work, id, body.suggestion, body.epoch, body.accuracy)
        return TellResponse(observation=None, suggestion=_item(row), go_on=go_on)
    row = ask_tell.tell(work, id, body.suggestion, report)
    return TellResponse(observation=row.reported.observation if row.reported else None, suggestion=_item(row))


def _item(row: SuggestionRow) -> SuggestionItem:
    changed = {
        "multipliers": {"r": row.r, "d": row.d, "w": row.w},
        "config": row.config.to_json(),
        "predicted_accuracy": row.predicted.to_json() if row.predicted else None,
        "reported": row.reported.to_json() if row.reported else None,
        "interim": [result.to_json() for result in row.interim or ()],
        "lease_expires_at": datetime.fromtimestamp(row.lease_expires_at, UTC),
    }
    return SuggestionItem(**{**fields_in(row, SuggestionItem), **changed})
