"""Schemas of predictors."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import Field

from app.db.tables import PredictorRow
from app.http.schemas.common import DescribedBy, Owner, ResponseModel, fields_in


class GateCheckItem(ResponseModel):
    """A check of the promotion gate."""

    name: str = Field(description="Name of the check.")
    passed: bool = Field(description="Whether the requirement is met.")
    detail: str = Field(description="The measured value and the requirement.")


class GateDecisionItem(ResponseModel):
    """The decision of the promotion gate."""

    promoted: bool = Field(description="Whether all checks have passed.")
    reason: str = Field(description="The decision in one sentence.")
    checks: list[GateCheckItem] = Field(description="The checks of the gate.")


class CurveQualityItem(ResponseModel):
    """The leave-one-out quality of a Gaussian process."""

    rmse: float = Field(description="Root mean square error.")
    coverage_50: float = Field(description="Share of points inside the 50 % band.")
    coverage_90: float = Field(description="Share of points inside the 90 % band.")


class SkillItem(ResponseModel):
    """How much better than by a simpler model left-out networks are predicted; a curve without skill is not used."""

    networks: int = Field(description="Number of networks, outliers aside.")
    explained: float = Field(
        description="Share of the squared error of a constant that is avoided; for the surrogate, of a line over log c."
    )
    required: float = Field(description="Share that chance alone rarely reaches.")
    proven: bool = Field(description="Whether the curve has skill.")


QualityJson = Annotated[dict[str, Any], DescribedBy(dict[str, CurveQualityItem])]
GateDecisionJson = Annotated[dict[str, Any], DescribedBy(GateDecisionItem)]


class PointItem(ResponseModel):
    """A network that a predictor was fitted on."""

    c: float = Field(description="FLOPs divided by those of the baseline.")
    r: float = Field(description="Resolution multiplier.")
    d: float = Field(description="Depth multiplier.")
    w: float = Field(description="Width multiplier.")
    accuracy: float | None = Field(description="Accuracy from 0 to 1; null if it is not known.")
    name: str | None = Field(description="Name of a published network.")
    trial: str | None = Field(
        description="Id of the trial that it comes from, of several seeds the first. Null if it was trained elsewhere, "
        "the trial is deleted, or an earlier release fitted the version."
    )


PointJson = Annotated[dict[str, Any], DescribedBy(PointItem)]


class PredictorItem(ResponseModel):
    """A version of a predictor."""

    id: str = Field(description="Id of the version.")
    owner: Owner
    name: str | None = Field(description="Name that it was given.")
    description: str | None = Field(description="Description that it was given.")
    archived_at: datetime | None = Field(description="When it was archived; null if it was not.")
    architecture: str = Field(description="Name of the baseline.")
    dataset: str = Field(description="Data set of its observations.")
    version: int = Field(description="Number of the version, per architecture and data set.")
    active: bool = Field(description="Whether recommendations use this version by default.")
    observations: int = Field(description="Number of networks that it was fitted on.")
    quality: QualityJson = Field(description="Leave-one-out error and coverage of the bands, by curve.")
    gate: GateDecisionJson | None = Field(
        description="Decision of the promotion gate, with its checks; null if it was not asked."
    )
    provenance: str = Field(description="Where its observations come from.")
    study_id: str | None = Field(description="Id of the study that it was fitted on.")
    created_at: datetime = Field(description="When it was fitted.")

    @classmethod
    def of(cls, row: PredictorRow) -> Self:
        """Convert a stored version; parts of its data without a field are ignored."""
        gate = row.gate.to_json() if row.gate else None
        computed = {"observations": len(row.data["points"]), "gate": gate}
        return cls.model_validate({"surrogate": None, "skill": {}, **row.data, **fields_in(row, cls), **computed})


class PredictorDetail(PredictorItem):
    """A version of a predictor with its training points and hyperparameters."""

    points: list[PointJson] = Field(description="The networks that r(c) and d(c) were fitted on.")
    hyperparameters: dict[str, Any] = Field(
        description="By curve: the hyperparameters with their weights (`components`), and the indices of the points "
        "that were rejected as outliers (`outliers`)."
    )
    skill: dict[str, SkillItem] = Field(
        description="By curve: the result of cross-validation. Empty for published networks and in versions of earlier "
        "releases."
    )
    surrogate: dict[str, Any] | None = Field(
        description="Points and hyperparameters of the accuracy model over the features of networks, if there is one."
    )

    @classmethod
    def with_trials(cls, row: PredictorRow, trials: list[str | None]) -> Self:
        """Convert a stored version; `trials` has the trial of each of its points."""
        detail = cls.of(row)
        detail.points = [{**point, "trial": trial} for point, trial in zip(detail.points, trials, strict=True)]
        return detail


class PredictionOutcomeItem(ResponseModel):
    """A prediction made before a training, and the measured accuracy, both from 0 to 1."""

    trial: str | None = Field(description="Id of the trial; null if the network was trained outside the service.")
    mean: float = Field(description="Predicted accuracy.")
    sd: float = Field(description="Standard deviation of the prediction.")
    measured: float = Field(description="Measured accuracy.")


class CalibrationResponse(ResponseModel):
    """How often measured accuracies fell inside the predicted bands."""

    trials: int = Field(description="Number of networks with a prediction and a measurement.")
    coverage_50: float | None = Field(description="Share inside the 50 % band; null without networks.")
    coverage_90: float | None = Field(description="Share inside the 90 % band; null without networks.")
    items: list[PredictionOutcomeItem] = Field(description="Predictions and measurements.")


class CurvePoint(ResponseModel):
    """The predictions for one ratio c, with standard deviations (`_sd`)."""

    c: float = Field(description="FLOPs divided by those of the baseline.")
    r: float = Field(description="Resolution multiplier.")
    r_sd: float = Field(description="Standard deviation of r.")
    d: float = Field(description="Depth multiplier.")
    d_sd: float = Field(description="Standard deviation of d.")
    accuracy: float | None = Field(description="Predicted accuracy from 0 to 1; null without an accuracy model.")
    accuracy_sd: float | None = Field(description="Standard deviation of the accuracy.")


class CurveResponse(ResponseModel):
    """The curves r(c), d(c) and accuracy(c). Outside `min_c` to `max_c` they are extrapolated."""

    min_c: float = Field(description="Smallest ratio of the training points.")
    max_c: float = Field(description="Largest ratio of the training points.")
    items: list[CurvePoint] = Field(description="The points of the curves, by rising ratio.")
