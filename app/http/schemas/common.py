"""Types and base classes that several resources share."""

from __future__ import annotations

from typing import Annotated, Any, Generic, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    GetJsonSchemaHandler,
    StringConstraints,
    Tag,
    TypeAdapter,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core.core_schema import CoreSchema, chain_schema

from app.core.json_scalars import JsonScalarsModel
from app.data.preset_names import PresetName
from app.data.recipes import Recipe
from app.services.changes import Changes

Item = TypeVar("Item")

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.\-]{0,99}$")]
AnyName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.\-/:]{0,99}$")]
RowId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
Title = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
Multiplier = Annotated[float, Field(gt=0, le=10)]
Flops = Annotated[
    int, Field(ge=1, le=10**15, description="Multiply-adds of convolutions and linear layers for one image.")
]
Ratio = Annotated[float, Field(gt=0, le=1000, description="FLOPs divided by those of the baseline.")]
Side = Annotated[int, Field(ge=8, le=1024)]
SIDE_OR_SIDES = Discriminator(lambda value: "<sides>" if isinstance(value, list | tuple) else "<side>")
ResolutionSpec = Annotated[
    Annotated[Side, Tag("<side>")] | Annotated[tuple[Side, Side], Tag("<sides>")],
    SIDE_OR_SIDES,
]
"""An input in a request: the side of a square, or height and width."""


Owner = Annotated[
    str | None,
    Field(
        description="Name of the key that it belongs to: only that key or one of scope `admin` may change it. Null if "
        "it was made without a key or is built-in."
    ),
]


def _reject_percent(value: Any) -> Any:
    number = value.strip() if isinstance(value, str) else value
    if isinstance(number, str) and number.endswith("%"):
        raise ValueError(f"{number} is in percent: an accuracy is from 0 to 1")
    try:
        is_percent = not isinstance(number, bool) and 1 < float(number) <= 100
    except (TypeError, ValueError):
        is_percent = False
    if is_percent:
        raise ValueError(f"{number} seems to be in percent: an accuracy is from 0 to 1")
    return value


Accuracy = Annotated[
    float,
    Field(ge=0, le=1, description="Top-1 accuracy (detection: mean average precision) from 0 to 1."),
    BeforeValidator(_reject_percent),
]
Seed = Annotated[int, Field(ge=0, le=2**31 - 1)]
Priority = Annotated[
    int,
    Field(
        ge=-10,
        le=10,
        description="Priority in the queue: higher first, then older first. A study starts its trials with -5.",
    ),
]


class RequestModel(JsonScalarsModel):
    """Base class of request bodies: unknown fields, NaN, infinity and values of another type are rejected."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class ResponseModel(BaseModel):
    """Base class of responses."""

    model_config = ConfigDict(from_attributes=True)


def fields_in(row: object, model: type[BaseModel]) -> dict[str, Any]:
    """Return the model's fields that the row has under the same name."""
    return {name: getattr(row, name) for name in model.model_fields if hasattr(row, name)}


class Page(ResponseModel, Generic[Item]):
    """One page of a list."""

    items: list[Item] = Field(description="The entries of the page.")
    next: str | None = Field(None, description="Cursor of the next page; null on the last page.")


class ResourceUpdate(RequestModel):
    """A change of a resource; fields that are null stay as they are."""

    name: Title | None = Field(None, description="New name.")
    description: str | None = Field(None, max_length=5000, description="New description; an empty one removes it.")
    archived: bool | None = Field(
        None, description="Whether it is archived: lists leave it out, and it takes no new work."
    )

    def to_changes(self) -> Changes:
        return Changes(self.name, self.description, self.archived)


class CatalogUpdate(ResourceUpdate):
    """A change of a registered baseline or data set; fields that are null stay as they are."""

    name: Name | None = Field(None, description="New name. The former one goes on to stand for the resource.")


class DeletionPreview(ResponseModel):
    """What depends on a resource (`dry_run`). With dependents it is deleted only with `force`."""

    dependents: dict[str, list[str]] = Field(description="Ids of the dependents by kind, the first 100 of each.")
    dependent_counts: dict[str, int] = Field(description="Number of the dependents by kind.")


class DescribedBy:
    """Annotates plain JSON of a response with the schema of a model, without the cost of validating it.

    The tests of the contract check that responses conform to the schema.
    """

    def __init__(self, model: Any) -> None:
        # Within a chain the schema becomes a component of the spec instead of being repeated at each use.
        self._schema = chain_schema([TypeAdapter(model).core_schema])

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(self._schema)


class FieldError(BaseModel):
    """An invalid field of the request."""

    pointer: str = Field(description="JSON pointer into the body, or the name of the parameter.")
    message: str = Field(description="What is wrong there.")


class QuotaItem(BaseModel):
    """A quota of an API key."""

    name: str = Field(description="What is limited: queued trials, studies, observations or stored bytes.")
    used: int = Field(description="How much the key would use with this request.")
    limit: int = Field(description="How much it may use.")


class ReachableItem(BaseModel):
    """What is reachable in the unit of the target."""

    unit: str = Field(description="The unit: `flops`, `params`, `weights_bytes` or `activation_bytes`.")
    precision: str | None = Field(description="Precision of bytes; null for other units.")
    min: int = Field(description="Lowest reachable cost.")
    max: int = Field(description="Highest reachable cost; 0 if the constraints allow no network.")


class Problem(BaseModel):
    """An error as defined by RFC 9457."""

    type: str = Field(description="Path of the page that describes this type of problem.")
    title: str = Field(description="Short summary; the same for all problems of the type.")
    status: int = Field(description="HTTP status code.")
    detail: str = Field(description="What went wrong in this request.")
    instance: str = Field(description="Path of the request.")
    errors: list[FieldError] | None = Field(None, description="Every invalid field (`validation`), at most 100.")
    min_flops: int | None = Field(
        None,
        description="Lowest reachable FLOPs (`target-out-of-range` for a target in FLOPs): within the constraints or, "
        "if none is in the way, at the r and d for this target.",
    )
    max_flops: int | None = Field(None, description="Highest reachable FLOPs, likewise (`target-out-of-range`).")
    reachable: ReachableItem | None = Field(
        None, description="Lowest and highest reachable cost in the unit of the target (`target-out-of-range`)."
    )
    constraints: list[str] | None = Field(
        None,
        description="Constraints in the way (`target-out-of-range`): the target is reachable without any one of them "
        "or, if no single one suffices, without all of them.",
    )
    dependents: dict[str, list[str]] | None = Field(
        None,
        description="Ids of the resources that depend on the one to delete, by kind, the first 100 (`conflict`).",
    )
    dependent_counts: dict[str, int] | None = Field(
        None, description="Number of the resources that depend on the one to delete, by kind (`conflict`)."
    )
    quota: QuotaItem | None = Field(None, description="The quota that is used up (`quota-exceeded`).")
    nearest: dict[str, Any] | None = Field(
        None,
        description="Multipliers, config and cost of the nearest network (`target-out-of-range`). If the constraints "
        "allow none (the highest reachable cost is 0), it is the smallest network, which violates them.",
    )


RecipeOrPreset = Annotated[
    Annotated[Recipe, Tag("<recipe>")] | Annotated[PresetName, Tag("<preset>")],
    Discriminator(lambda value: "<preset>" if isinstance(value, str) else "<recipe>"),
    Field(description="A recipe, or the name of a preset. Detection data sets need a detection preset."),
]
