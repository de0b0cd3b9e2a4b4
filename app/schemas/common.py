"""What the resources' schemas share."""

from __future__ import annotations

from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Discriminator, Field, StringConstraints, Tag

from app.recipes import Recipe

Item = TypeVar("Item")

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.\-]{0,99}$")]
RowId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
Title = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
Multiplier = Annotated[float, Field(gt=0, le=10)]
Flops = Annotated[
    int, Field(ge=1, le=10**15, description="Multiply-adds of convolutions and linear layers, one image.")
]
Ratio = Annotated[float, Field(gt=0, le=1000, description="Flops relative to the baseline's.")]
Accuracy = Annotated[float, Field(ge=0, le=1, description="Top-1, from 0 to 1.")]
Seed = Annotated[int, Field(ge=0, le=2**31 - 1)]
Priority = Annotated[
    int, Field(ge=-10, le=10, description="Higher goes first, then the older; a study's trials have -5 when it starts.")
]


class Body(BaseModel):
    """A request: nothing unknown, no NaN, no infinity."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Answer(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class Listed(Answer, Generic[Item]):
    """A page of a list; `next` is the cursor of the following page, none on the last."""

    items: list[Item]
    next: str | None = None


class FieldError(BaseModel):
    pointer: str = Field(description="JSON pointer into the body, or the parameter's name.")
    message: str


class Problem(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    errors: list[FieldError] | None = None
    least: int | None = Field(
        None, description="Least flops that are reachable at the r and d for this target (`target-out-of-range`)."
    )
    most: int | None = Field(None, description="Most such flops (`target-out-of-range`).")
    constraints: list[str] | None = Field(
        None, description="Constraints without any of which the target could be met (`target-out-of-range`)."
    )
    nearest: dict[str, Any] | None = Field(
        None, description="The nearest network: multipliers, config, cost (`target-out-of-range`)."
    )


RecipeOrPreset = Annotated[
    Annotated[Recipe, Tag("<recipe>")]
    | Annotated[Literal["quick", "digits-smoke", "tinynet", "tinynet-ra", "detection-quick"], Tag("<preset>")],
    Discriminator(lambda given: "<preset>" if isinstance(given, str) else "<recipe>"),
    Field(description="A recipe, or the name of a preset; `detection-quick` is for data sets to detect in."),
]


Plain = dict[str, Any]
