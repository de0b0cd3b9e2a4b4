"""Routes of studies, their fronts, figures, refits and families."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request, Response

from app.core.figures import FigureFormat, FigureName
from app.core.studies import RefitPolicy, Sampler
from app.db.repositories.observations import StudyObservation
from app.db.tables import StudyRow
from app.db.unit_of_work import UnitOfWork
from app.http import openapi_examples
from app.http.auth import COUNTS_AS_TRAINING, READ, TRAIN
from app.http.conditional import check_if_match
from app.http.deletion import DELETION, deletion_response
from app.http.dependencies import (
    Archived,
    CatalogDep,
    Cursor,
    DryRun,
    Force,
    Id,
    IdPrefix,
    IfMatch,
    K,
    Limit,
    NameQuery,
    ReadUow,
    RequestId,
    SettingsDep,
    WriteUow,
    example_path,
    open_read,
    open_write,
)
from app.http.long_requests import takes_long
from app.http.openapi import identifies
from app.http.problems import RESPONSES, STALE
from app.http.route import ApiRoute
from app.http.schemas.architectures import resolve_architecture
from app.http.schemas.common import Page, fields_in
from app.http.schemas.predictors import CalibrationResponse, PredictorDetail
from app.http.schemas.studies import (
    BestNetwork,
    CorrelationsResponse,
    FamilyMemberItem,
    FamilyTrialItem,
    FrontItem,
    FrontResponse,
    NewFamily,
    NewStudy,
    RefitRequest,
    StudyDetail,
    StudyItem,
    StudyUpdate,
    TrainedFamilyResponse,
)
from app.http.schemas.trials import EstimateItem, EstimateResponse
from app.http.solving import compute_elsewhere, compute_over_study, solve_in_thread
from app.services.catalog import architectures, datasets
from app.services.predictors import store
from app.services.studies import family, lifecycle, refit, studies
from app.services.studies import front as fronts
from app.services.trials import sources

router = APIRouter(prefix="/v1/studies", tags=["studies"], responses=RESPONSES, route_class=ApiRoute)

_DEFAULT_REFIT = RefitRequest()
_MEDIA_TYPES = {"svg": "image/svg+xml", "png": "image/png", "csv": "text/csv"}


@router.post(
    "",
    status_code=201,
    summary="Create a study",
    responses={200: {"model": EstimateResponse | StudyDetail}, 201: identifies("studies", "/id")},
    openapi_extra=openapi_examples.STUDY,
    dependencies=[TRAIN],
)
@takes_long
def create_study(
    body: NewStudy, work: WriteUow, catalog: CatalogDep, settings: SettingsDep, response: Response
) -> StudyDetail | EstimateResponse:
    """Create a study and sample its networks; training begins when the study is started.

    With `load_if_exists` the study of that name that the caller may change is returned with 200 if there is one. A
    search space with too few networks is rejected. With `validate_only` nothing is created, and the response is an
    estimate of all trainings, one after the other.
    """
    dataset = datasets.find(work, body.dataset)
    architecture = resolve_architecture(body.architecture, catalog.architecture)
    plan = studies.StudyPlan(
        name=body.name,
        architecture=architecture,
        dataset=dataset,
        recipe=sources.resolve_recipe(
            work, settings.data_dir, dataset, body.recipe, "/recipe", architecture.baseline, architecture.name
        ),
        space=body.space.to_space(),
        size=body.trials,
        seed=body.seed,
        sampler=Sampler(body.sampler),
        options=body.to_options(),
        is_registered=isinstance(body.architecture, str),
    )
    if body.validate_only:
        response.status_code = 200
        return EstimateResponse(estimate=EstimateItem.model_validate(studies.estimate(work, plan)))
    study = studies.find_existing(work, plan) if body.load_if_exists else None
    if study is not None:
        response.status_code = 200
        return _detail(work, study)
    study = studies.create(work, plan, load_if_exists=body.load_if_exists)
    response.headers["Location"] = f"/v1/studies/{study.id}"
    return _detail(work, study)


@router.get("", summary="List studies", responses={200: identifies("studies", "/items/0/id")}, dependencies=[READ])
def list_studies(
    work: ReadUow,
    limit: Limit = 50,
    cursor: Cursor = None,
    architecture: NameQuery = None,
    id_prefix: IdPrefix = None,
    archived: Archived = False,
) -> Page[StudyItem]:
    """List the studies, newest first. Archived ones are left out, unless `id_prefix` asks for them by their ids."""
    is_archived = None if id_prefix and not archived else archived
    architecture = architectures.present_name(work, architecture)
    page = work.studies.page(limit, cursor, architecture=architecture, id_prefix=id_prefix, archived=is_archived)
    progress = lifecycle.progress(work, page.items)
    return Page(items=[_item(s, progress[s.id]) for s in page.items], next=page.next)


@router.get("/{id}", summary="Read a study", dependencies=[READ])
def read_study(id: Id, work: ReadUow) -> StudyDetail:
    """Read a study with its state and the number of its trials by state."""
    return _detail(work, studies.find(work, id))


@router.patch(
    "/{id}", summary="Change a study", responses=STALE, openapi_extra=openapi_examples.UPDATE, dependencies=[TRAIN]
)
def update_study(id: Id, body: StudyUpdate, work: WriteUow, if_match: IfMatch = None) -> StudyDetail:
    """Rename, describe or archive a study.

    Archived studies are left out of lists and take no new work; what they have queued goes on. `promote` decides
    whether automatic refits may become active; turning it on needs an API key with scope `admin`.
    """
    study = studies.lock_own(work, id)
    check_if_match(_detail(work, study), if_match)
    lifecycle.update(work, study, body.to_changes(), promote=body.promote)
    return _detail(work, study)


@router.delete("/{id}", summary="Delete a study", dependencies=[TRAIN], **DELETION)
def delete_study(id: Id, work: WriteUow, force: Force = False, dry_run: DryRun = False) -> Response:
    """Delete a study with its suggestions and its imported and reported observations.

    Trials that have ended and predictors remain. Without `force` a study with predictors, unfinished trials, open
    suggestions or such observations is not deleted; the problem lists them in `dependents`.
    """
    return deletion_response(lifecycle.delete(work, id, force=force, dry_run=dry_run), dry_run=dry_run)


@router.post(
    "/{id}/start", status_code=202, summary="Train a study's networks", dependencies=[TRAIN, COUNTS_AS_TRAINING]
)
def start_study(id: Id, work: WriteUow, request_id: RequestId) -> StudyDetail:
    """Queue all trials of the study. Starting it again has no effect."""
    return _detail(work, lifecycle.start(work, id, request_id))


@router.post("/{id}/pause", status_code=202, summary="Pause a study", dependencies=[TRAIN])
def pause_study(id: Id, work: WriteUow) -> StudyDetail:
    """Let the queued trials wait, except those that another running study or a client requested.

    Running trials continue.
    """
    return _detail(work, lifecycle.pause(work, id))


@router.post("/{id}/resume", status_code=202, summary="Resume a study", dependencies=[TRAIN, COUNTS_AS_TRAINING])
def resume_study(id: Id, work: WriteUow) -> StudyDetail:
    """Let the queued trials of a paused study run again."""
    return _detail(work, lifecycle.resume(work, id))


@router.post("/{id}/cancel", status_code=202, summary="Stop a study", dependencies=[TRAIN])
def cancel_study(id: Id, work: WriteUow) -> StudyDetail:
    """Cancel the study and its unfinished trials, except those that another study or a client requested."""
    return _detail(work, lifecycle.cancel(work, id))


@router.get("/{id}/front", summary="Read the front", dependencies=[READ])
@takes_long
def read_front(id: Id, work: ReadUow, request: Request, k: K = RefitPolicy.k) -> FrontResponse:
    """Read the Pareto front of accuracy and FLOPs, by increasing FLOPs.

    NSGA-III selects at most `k` networks. A front of fewer than five is filled up with dominated networks.
    """
    front = compute_over_study(request, work, studies.find(work, id), fronts.summarize_front, k)
    items = [
        FrontItem(**vars(network), dominated=beaten)
        for network, beaten in zip(front.selected, front.dominated, strict=True)
    ]
    return FrontResponse(items=items, hypervolume=front.hypervolume)


@router.get("/{id}/correlations", summary="Read the correlations", dependencies=[READ])
@takes_long
def read_correlations(id: Id, work: ReadUow, request: Request, k: K = RefitPolicy.k) -> CorrelationsResponse:
    """Read the correlations of r, d and w with FLOPs over the front, with bootstrap intervals."""
    correlations = compute_over_study(request, work, studies.find(work, id), fronts.compute_correlations, k)
    return CorrelationsResponse.model_validate(correlations)


@router.get("/{id}/calibration", summary="Read the calibration", dependencies=[READ])
def read_study_calibration(id: Id, work: ReadUow) -> CalibrationResponse:
    """Compare predictions with measurements, over the latest 1,000 trials and suggestions with both."""
    return CalibrationResponse.model_validate(fronts.study_calibration(work, studies.find(work, id)))


@router.get("/{id}/figures/{name}.{format}", summary="Draw a figure", response_class=Response, dependencies=[READ])
@takes_long
def read_figure(
    id: Id,
    name: Annotated[FigureName, example_path("accuracy-against-flops")],
    format: Annotated[FigureFormat, example_path("svg")],
    work: ReadUow,
    request: Request,
) -> Response:
    """Draw a figure of the study's observations so far as SVG or PNG, or return its data as CSV."""
    from app.services.studies.figures import render_figure  # Matplotlib, which nothing else of the API needs

    figure = compute_over_study(request, work, studies.find(work, id), render_figure, name, format)
    return Response(figure, media_type=_MEDIA_TYPES[format])


@router.post(
    "/{id}/predictors",
    status_code=201,
    summary="Refit the predictor",
    responses={201: identifies("predictors", "/id")},
    openapi_extra=openapi_examples.REFIT,
    dependencies=[TRAIN, COUNTS_AS_TRAINING],
)
@takes_long
def refit_predictor(
    id: Id, request: Request, catalog: CatalogDep, response: Response, body: RefitRequest = _DEFAULT_REFIT
) -> PredictorDetail:
    """Fit r(c) and d(c) on the front of the study, and accuracy on all its networks, as a new version.

    The version answers requests with this `study`. With `"activate": true`, or with `"activate": "gate"` if it passes
    the promotion gate, it also becomes active, so that it answers everybody; that needs an API key with scope `admin`.
    """
    arguments = open_read(request), open_write(request), id, body.k, body.activate
    predictor_id = compute_elsewhere(request, refit.refit_study, *arguments)
    catalog.invalidate_predictors()
    response.headers["Location"] = f"/v1/predictors/{predictor_id}"
    with open_read(request)() as work:
        row = store.find(work, predictor_id)
        return PredictorDetail.with_trials(row, store.trials_of_points(work, row))


@router.post(
    "/{id}/family",
    status_code=202,
    summary="Train a family",
    openapi_extra=openapi_examples.TRAIN_FAMILY,
    dependencies=[TRAIN, COUNTS_AS_TRAINING],
)
@takes_long
def train_family(
    id: Id, body: NewFamily, work: WriteUow, request_id: RequestId, request: Request
) -> TrainedFamilyResponse:
    """Train the network of each rule for each target, by each recipe, with each seed. Completed trials are reused."""
    requested = family.FamilyRequest(
        targets=[target.in_flops for target in body.targets],
        rules=list(dict.fromkeys(body.rules)),
        recipes=list(dict.fromkeys(body.recipes)),
        seeds=body.seeds,
        predictor_id=body.predictor,
    )
    return _family(work, family.train(work, id, requested, request_id, solve_in_thread(request)))


@router.get("/{id}/family", summary="Read the family", dependencies=[READ])
def read_family(id: Id, work: ReadUow) -> TrainedFamilyResponse:
    """Read the results of the family so far, with mean and standard deviation over seeds."""
    return _family(work, studies.find(work, id))


def _family(work: UnitOfWork, study: StudyRow) -> TrainedFamilyResponse:
    return TrainedFamilyResponse(items=[_member(result) for result in family.results(work, study)])


def _member(result: family.FamilyMemberResult) -> FamilyMemberItem:
    plain = result.member.to_json()
    trials = [FamilyTrialItem.model_validate(trial) for trial in result.trials]
    return FamilyMemberItem(
        **{**plain, "predicted_accuracy": plain["predicted"], "trials": trials},
        latency_ms=result.latency_ms,
        accuracies=result.accuracies,
        mean=result.mean,
        sd=result.sd,
    )


def _detail(work: UnitOfWork, study: StudyRow) -> StudyDetail:
    item = _item(study, lifecycle.progress(work, [study])[study.id])
    return StudyDetail(
        **vars(item),
        spec=study.spec.to_json(),
        recipe=study.recipe.to_json(),
        space=study.space.to_json(),
        options=study.options.to_json(),
        best=_best(lifecycle.best_so_far(work, study)),
    )


def _best(best: StudyObservation | None) -> BestNetwork | None:
    if best is None:
        return None
    in_study = {"r": best.r, "d": best.d, "w": best.w}
    return BestNetwork(
        **{**fields_in(best.row, BestNetwork), **in_study}, observation=best.row.id, trial=best.row.trial_id
    )


def _item(study: StudyRow, progress: lifecycle.StudyProgress) -> StudyItem:
    trials = {state.value: count for state, count in progress.trials.items()}
    counts = {**vars(progress), "trials": trials}
    changed = {"state": progress.status, "trials": trials, "counts": counts}
    return StudyItem.model_validate({**fields_in(study, StudyItem), **changed})
