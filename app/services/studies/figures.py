"""The figures of a study, drawn from its observations."""

from __future__ import annotations

from app import figures
from app.core.figures import FigureFormat, FigureName
from app.core.studies import RefitPolicy
from app.db.tables import StudyRow
from app.db.unit_of_work import UnitOfWork
from app.figures import Drawing
from app.scaling.predictors.published_tinynets import published_predictor
from app.services import observations
from app.services.predictors import store
from app.services.studies import family, proposals
from app.services.studies.front import Front, compute_front, study_calibration


def render_figure(work: UnitOfWork, study: StudyRow, name: FigureName, format: FigureFormat) -> bytes | str:
    """Return the figure as a file of that format."""
    return draw_figure(work, study, name).render(format)


def draw_figure(work: UnitOfWork, study: StudyRow, name: FigureName) -> Drawing:
    """Draw the figure of that name from the study's observations so far."""
    match name:
        case "predicted-against-measured":
            outcomes = study_calibration(work, study).items
            return figures.predicted_against_measured([(o.mean, o.sd, o.measured) for o in outcomes])
        case "family":
            results = [result for result in family.results(work, study) if result.accuracies]
            return figures.family([_family_member(result) for result in results])
        case "hypervolume":
            return figures.hypervolume({"networks as they finished": _finished(work, study)})
        case _:
            return _draw_front(work, study, compute_front(work, study, RefitPolicy.k), name)


def _draw_front(work: UnitOfWork, study: StudyRow, front: Front, name: FigureName) -> Drawing:
    match name:
        case "accuracy-against-multipliers":
            return figures.accuracy_against_multipliers(front.observations)
        case "accuracy-against-flops":
            return figures.accuracy_against_flops(front.observations, front.selected)
        case "accuracy-against-latency":
            return figures.accuracy_against_latency(front.observations, front.selected)
        case "multipliers-against-flops":
            return figures.multipliers_against_flops(front.selected)
        case "predictor-curve":
            newest = work.predictors.newest_of_study(study.id)
            predictor = (
                store.load(work, newest) if newest else front.fit_predictor(proposals.load_evidence(work, study))
            )
            return figures.predictor_curve(predictor, published_predictor().points)
        case _:
            raise ValueError(f"unknown figure: {name}")


def _finished(work: UnitOfWork, study: StudyRow) -> list[figures.FinishedTraining]:
    """List observations that count, oldest first; imported ones are assumed to have trained for the study's epochs."""
    epochs = study.recipe.epochs
    counted = [o for o in observations.load_for_study(work, study) if o.role.counts]
    return [figures.FinishedTraining(epochs, o.flops, o.accuracy) for o in counted]


def _family_member(result: family.FamilyMemberResult) -> figures.Member:
    member = result.member
    assert member.flops is not None
    return figures.Member(member.target_flops, member.rule, member.recipe, member.flops, tuple(result.accuracies))
