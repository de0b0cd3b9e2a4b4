"""Studies: drawn networks, the front, its correlations and figures, refits, the family."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Request, Response

from app import figures
from app.db.tables import StudyRow
from app.db.unit_of_work import UnitOfWork
from app.deps import Cursor, Id, K, Known, Limit, Look, NameQuery, RequestId, Work, looking, writing
from app.problems import RESPONSES
from app.recipes import recipe_for
from app.routers.predictors import detail as predictor_detail
from app.routers.scale import resolved
from app.safe_routes import SafeRoute
from app.scaling.gate import Gate
from app.scaling.published import published_predictor
from app.schemas.common import Listed
from app.schemas.predictors import CalibrationAnswer, PredictorDetail
from app.schemas.studies import (
    CorrelationsAnswer,
    FamilyMembers,
    FamilyTrial,
    FrontAnswer,
    FrontItem,
    MemberItem,
    NewFamily,
    NewStudy,
    RefitRequest,
    StudyDetail,
    StudyItem,
)
from app.schemas.trials import Estimated, EstimateItem
from app.services import datasets, fronts, members, observations, predictors, refits, studies

router = APIRouter(prefix="/v1/studies", tags=["studies"], responses=RESPONSES, route_class=SafeRoute)

FigureName = Annotated[Literal[tuple(figures.FIGURES)], Path()]  # type: ignore[valid-type]

_DEFAULT_REFIT = RefitRequest()
_MEDIA_TYPES = {"svg": "image/svg+xml", "png": "image/png", "csv": "text/csv"}


@router.post("", status_code=201, summary="Create a study", responses={200: {"model": Estimated}})
def create_study(body: NewStudy, work: Work, known: Known, response: Response) -> StudyDetail | Estimated:
    """Draws networks at once: a space that has too few of them is refused. Nothing is trained yet.

    With `validate_only` nothing is kept: 200, and what all its trials would take, one after the other.
    """
    dataset = datasets.find(work, body.dataset)
    plan = studies.Plan(
        name=body.name,
        architecture=resolved(known, body.architecture),
        dataset=dataset,
        recipe=recipe_for(dataset.task, body.recipe, "/recipe"),
        space=body.space.model_dump(mode="json"),
        size=body.trials,
        seed=body.seed,
        sampler=body.sampler,
        compound=body.compound,
        seeds=body.seeds,
        halving=body.halving.model_dump() if body.halving else None,
        refit=body.refit.model_dump(),
    )
    if body.validate_only:
        response.status_code = 200
        return Estimated(estimate=EstimateItem.model_validate(studies.estimate(work, plan)))
    study = studies.create(work, plan)
    response.headers["Location"] = f"/v1/studies/{study.id}"
    return _detail(work, study)


@router.get("", summary="List studies")
def list_studies(
    work: Look, limit: Limit = 50, cursor: Cursor = None, architecture: NameQuery = None
) -> Listed[StudyItem]:
    """Newest first."""
    page = work.studies.page(limit, cursor, architecture)
    progress = studies.progress(work, page.items)
    return Listed(items=[StudyItem(**_fields(s, progress[s.id])) for s in page.items], next=page.next)


@router.get("/{id}", summary="Read a study")
def read_study(id: Id, work: Look) -> StudyDetail:
    """Its state, and how many of its trials are in which."""
    return _detail(work, studies.find(work, id))


@router.post("/{id}/start", status_code=202, summary="Train a study's networks")
def start_study(id: Id, work: Work, request_id: RequestId) -> StudyDetail:
    """Enqueues all its trials; started again, nothing happens twice."""
    return _detail(work, studies.start(work, id, request_id))


@router.post("/{id}/pause", status_code=202, summary="Pause a study")
def pause_study(id: Id, work: Work) -> StudyDetail:
    """Its queued trials wait, but for those that another started study or a client wants; running ones go on."""
    return _detail(work, studies.pause(work, id))


@router.post("/{id}/resume", status_code=202, summary="Resume a study")
def resume_study(id: Id, work: Work) -> StudyDetail:
    """Its queued trials take their turns again."""
    return _detail(work, studies.resume(work, id))


@router.post("/{id}/cancel", status_code=202, summary="Stop a study")
def cancel_study(id: Id, work: Work) -> StudyDetail:
    """Cancels its trials, but for those that another study or a client counts on; finished ones stay."""
    return _detail(work, studies.cancel(work, id))


@router.get("/{id}/front", summary="The accuracy-FLOPs front")
def read_front(id: Id, work: Look, k: K = 20) -> FrontAnswer:
    """At most k networks, as NSGA-III selects them, by rising flops; a short front is filled up from those behind."""
    front = fronts.front(work, studies.find(work, id), k)
    items = [
        FrontItem(**vars(network), dominated=beaten)
        for network, beaten in zip(front.selected, front.dominated, strict=True)
    ]
    return FrontAnswer(items=items, hypervolume=front.hypervolume)


@router.get("/{id}/correlations", summary="Correlations on the front")
def read_correlations(id: Id, work: Look, k: K = 20) -> CorrelationsAnswer:
    """Of r, d and w with FLOPs over the front's networks, with bootstrap intervals."""
    return CorrelationsAnswer.model_validate(fronts.front_correlations(work, studies.find(work, id), k))


@router.get("/{id}/calibration", summary="How good its predictions were")
def read_study_calibration(id: Id, work: Look) -> CalibrationAnswer:
    """How often the truth fell inside the bands, over networks predicted before they were trained."""
    return CalibrationAnswer.model_validate(fronts.calibration(work, studies.find(work, id)))


@router.get("/{id}/figures/{name}.{format}", summary="The paper's figures", response_class=Response)
def read_figure(id: Id, name: FigureName, format: figures.Format, work: Look) -> Response:
    """As SVG or PNG, from the study's observations so far; its data as CSV."""
    return Response(_figure(work, studies.find(work, id), name).render(format), media_type=_MEDIA_TYPES[format])


@router.post("/{id}/predictors", status_code=201, summary="Refit the predictor")
def refit_predictor(
    id: Id, request: Request, known: Known, response: Response, body: RefitRequest = _DEFAULT_REFIT
) -> PredictorDetail:
    """Fits r(c) and d(c) on the study's front, and accuracy on all its networks: a new version.

    In use at once only with `activate`, or where the gate (`"activate": "gate"`) lets it through; it says why.
    """
    with looking(request)() as look:  # fitted before the transaction that keeps it: others may write meanwhile
        study = studies.find(look, id)
        gate = Gate(**(study.options.get("refit") or {}).get("gate", {}))
        refit = refits.fit(look, study, body.k, gate)
    with writing(request)() as work:
        row = refits.keep(work, refit, body.activate)
        work.commit()
    if row.active:
        known.forget_predictors()
    response.headers["Location"] = f"/v1/predictors/{row.id}"
    return predictor_detail(row)


@router.post("/{id}/family", status_code=202, summary="Train a family")
def train_family(id: Id, body: NewFamily, work: Work, request_id: RequestId) -> FamilyMembers:
    """Each rule's network for each budget, trained by each recipe with each seed; what was trained before is taken."""
    study = members.train(
        work,
        id,
        targets=[target.in_flops for target in body.targets],
        rules=list(dict.fromkeys(body.rules)),
        recipes=list(dict.fromkeys(body.recipes)),
        seeds=body.seeds,
        predictor_id=body.predictor,
        request_id=request_id,
    )
    return _family(work, study)


@router.get("/{id}/family", summary="The family's table")
def read_family(id: Id, work: Look) -> FamilyMembers:
    """What its networks have come to so far, mean and standard deviation over seeds."""
    return _family(work, studies.find(work, id))


def _figure(work: UnitOfWork, study: StudyRow, name: str) -> figures.Drawing:
    if name == "predicted-against-measured":
        foretold = fronts.calibration(work, study).items
        return figures.predicted_against_measured([(one.mean, one.sd, one.measured) for one in foretold])
    if name == "family":
        return figures.family([_drawn(trained) for trained in members.trained(work, study) if trained.accuracies])
    if name == "hypervolume":
        return figures.hypervolume({"networks as they finished": _finished(work, study)})
    front = fronts.front(work, study, 20)
    if name == "accuracy-against-multipliers":
        return figures.accuracy_against_multipliers(front.observations)
    if name == "accuracy-against-flops":
        return figures.accuracy_against_flops(front.observations, front.selected)
    if name == "accuracy-against-latency":
        return figures.accuracy_against_latency(front.observations, front.selected)
    if name == "multipliers-against-flops":
        return figures.multipliers_against_flops(front.selected)
    newest = work.predictors.newest_of_study(study.id)
    predictor = predictors.restored(newest) if newest else front.fitted()
    return figures.predictor_curve(predictor, published_predictor().points)


def _finished(work: UnitOfWork, study: StudyRow) -> list[figures.Finished]:
    """What counts and was trained here, or told of, as it came: an epoch of those from outside is not known."""
    epochs = study.recipe["epochs"]
    return [
        figures.Finished(epochs, o.flops, o.accuracy)
        for o in observations.of_study(work, study)
        if o.role not in observations.COMPARED
    ]


def _drawn(trained: members.Trained) -> figures.Member:
    member = trained.member
    assert member.flops is not None
    return figures.Member(member.target_flops, member.rule, member.recipe, member.flops, tuple(trained.accuracies))


def _family(work: UnitOfWork, study: StudyRow) -> FamilyMembers:
    return FamilyMembers(items=[_member(trained) for trained in members.trained(work, study)])


def _member(trained: members.Trained) -> MemberItem:
    kept = ("target_flops", "rule", "recipe", "problem", "multipliers", "config", "flops", "params")
    return MemberItem(
        **{name: getattr(trained.member, name) for name in kept},
        latency_ms=trained.latency_ms,
        predicted_accuracy=trained.member.predicted,
        accuracies=trained.accuracies,
        mean=trained.mean,
        sd=trained.sd,
        trials=[FamilyTrial.model_validate(trial) for trial in trained.trials],
    )


def _detail(work: UnitOfWork, study: StudyRow) -> StudyDetail:
    fields = _fields(study, studies.progress(work, [study])[study.id])
    return StudyDetail(**fields, spec=study.spec, recipe=study.recipe, space=study.space, options=study.options)


def _fields(study: StudyRow, progress: studies.Progress) -> dict[str, Any]:
    kept = ("id", "name", "architecture", "dataset", "sampler", "size", "proposed", "seed", "created_at")
    return {**{k: getattr(study, k) for k in kept}, "state": progress.state, "trials": progress.trials}
