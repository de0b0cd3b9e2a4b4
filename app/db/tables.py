"""The tables. The database is the source of truth; Celery messages are only hints."""

from __future__ import annotations

from datetime import UTC, datetime
from time import time
from typing import Any, ClassVar
from uuid import uuid4

from sqlalchemy import (
    JSON,
    BigInteger,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from app.core.predictions import PredictedAccuracy
from app.core.studies import Family, InterimResult, ReportedResult, Sampler, StudyOptions, StudyState, SuggestionState
from app.core.trials import EventKind, Progress, RungAccuracy, TrialArtifacts, TrialResult, TrialState
from app.data.recipes import Recipe
from app.db.column_types import JsonValue, JsonValues, ResolutionNumber, UtcDateTime, enum_by_value
from app.scaling.network import Architecture, Config
from app.scaling.predictors.promotion_gate import Decision
from app.scaling.resolution import Resolution
from app.scaling.search.observations import Role
from app.scaling.search.random_sampler import SearchSpace

_ENUMS = (TrialState, EventKind, StudyState, SuggestionState, Sampler, Role)
_JSON_VALUES = (
    Architecture, Config, Decision, Family, PredictedAccuracy, Progress, Recipe, ReportedResult, SearchSpace,
    StudyOptions, TrialArtifacts, TrialResult,
)  # fmt: skip

BigId = BigInteger().with_variant(Integer, "sqlite")  # SQLite autoincrements INTEGER keys only


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        dict[str, Any]: JSON,
        list[Any]: JSON,
        datetime: UtcDateTime(),
        **{kind: enum_by_value(kind) for kind in _ENUMS},
        **{kind: JsonValue(kind) for kind in _JSON_VALUES},
    }


def new_id() -> str:
    """Return a random id; lists are sorted by creation time, then id."""
    return uuid4().hex


def utc_now() -> datetime:
    return datetime.now(UTC)


class ArchitectureRow(Base):
    """A registered baseline architecture; the built-in ones are defined in code.

    Here and in other tables, `owner` is the name of the key that made the row; None if it was made without a key, or
    before rows had owners.
    """

    __tablename__ = "architectures"

    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    owner: Mapped[str | None] = mapped_column(String(100))
    spec: Mapped[dict[str, Any]]
    description: Mapped[str | None] = mapped_column(Text)
    archived_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class DatasetRow(Base):
    """A registered image folder or a data set rendered from fonts; the built-in sets are defined in code."""

    __tablename__ = "datasets"

    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    owner: Mapped[str | None] = mapped_column(String(100))
    report: Mapped[dict[str, Any] | None]  # what was understood of a folder; None if an earlier version registered it
    spec: Mapped[dict[str, Any]]
    description: Mapped[str | None] = mapped_column(Text)
    archived_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class DatasetCheckRow(Base):
    """A folder whose images are checked before it becomes a data set of that name, or that cannot become one (`error`).

    The process that checks it has a lease, and what it writes is fenced by its token.
    """

    __tablename__ = "dataset_checks"

    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    owner: Mapped[str | None] = mapped_column(String(100))
    request: Mapped[dict[str, Any]]  # folder, native_px, layout and background
    progress: Mapped[dict[str, Any]]  # `images` of `total` are checked; total is 0 while they are listed
    error: Mapped[str | None] = mapped_column(Text)
    token: Mapped[str | None] = mapped_column(String(32))
    lease_expires: Mapped[float] = mapped_column(Float(53), default=0.0, server_default="0")  # by the database's clock
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class FormerNameRow(Base):
    """A name that a resource of a kind no longer has, and that stands for no other one.

    `successor` is the name that the resource has now; None: it was deleted.
    """

    __tablename__ = "former_names"

    kind: Mapped[str] = mapped_column(String(20), primary_key=True)
    name: Mapped[str] = mapped_column(String(240), primary_key=True)
    successor: Mapped[str | None] = mapped_column(String(240), index=True)


class StudyRow(Base):
    __tablename__ = "studies"
    __table_args__ = (Index("ix_studies_created_at_id", "created_at", "id"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    owner: Mapped[str | None] = mapped_column(String(100), index=True)
    name: Mapped[str] = mapped_column(String(200))
    description: Mapped[str | None] = mapped_column(Text)
    archived_at: Mapped[datetime | None]
    architecture: Mapped[str] = mapped_column(String(100))
    spec: Mapped[Architecture]  # the baseline when the study was created, with the data set's classes
    dataset: Mapped[str] = mapped_column(String(100))
    recipe: Mapped[Recipe]
    space: Mapped[SearchSpace]
    size: Mapped[int]
    seed: Mapped[int] = mapped_column(BigInteger)
    sampler: Mapped[Sampler] = mapped_column(default=Sampler.RANDOM, server_default="random")
    proposed: Mapped[int] = mapped_column(
        default=0, server_default="0"
    )  # the number of the `size` networks sampled so far
    options: Mapped[StudyOptions] = mapped_column(default=StudyOptions, server_default="{}")
    # The id of the last processed change.
    processed_version: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    # The number of observations at the last automatic refit.
    observations_at_refit: Mapped[int] = mapped_column(default=0, server_default="0")
    # Set when an observation was retracted: the study is then refitted in any case.
    refit_reason: Mapped[str | None] = mapped_column(Text)
    family: Mapped[Family | None]
    state: Mapped[StudyState] = mapped_column(default=StudyState.CREATED)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class StudyChangeRow(Base):
    """A change of a study's observations; the id of the last change is the version of the study's observations.

    Changes are rows of their own, since with a counter in the study's row trials that finish would wait for each other.
    """

    __tablename__ = "study_changes"
    __table_args__ = (Index("ix_study_changes_study_id_id", "study_id", "id"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    study_id: Mapped[str] = mapped_column(ForeignKey("studies.id"))


class TrialRow(Base):
    """One network trained on one data set with one recipe and seed.

    The lease: a worker that claims the trial becomes its owner until `lease_expires_at` (seconds since 1970 by the
    database's clock), and its `token` has to match when it finishes.
    """

    __tablename__ = "trials"
    __table_args__ = (
        Index("ix_trials_created_at_id", "created_at", "id"),
        Index("ix_trials_state_created_at", "state", "created_at"),
        Index("ix_trials_architecture_created_at", "architecture", "created_at", "id"),
        Index("ix_trials_accuracy", "accuracy", "created_at", "id"),
        Index("ix_trials_flops", "flops", "created_at", "id"),
        Index("ix_trials_owner_state", "owner", "state", "stored_bytes"),
        # One live or completed trial per fingerprint; failed and cancelled ones may be retried.
        Index(
            "uq_trials_fingerprint_live",
            "fingerprint",
            unique=True,
            sqlite_where=text("state IN ('queued', 'running', 'completed')"),
            postgresql_where=text("state IN ('queued', 'running', 'completed')"),
        ),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    owner: Mapped[str | None] = mapped_column(String(100))
    # Whether a key other than the owner's has requested it as well.
    shared: Mapped[bool] = mapped_column(default=False, server_default=false())
    name: Mapped[str | None] = mapped_column(String(200))
    description: Mapped[str | None] = mapped_column(Text)
    archived_at: Mapped[datetime | None]
    fingerprint: Mapped[str] = mapped_column(String(64))
    architecture: Mapped[str] = mapped_column(String(100))
    multipliers: Mapped[dict[str, Any] | None]
    config: Mapped[dict[str, Any]]
    flops: Mapped[int] = mapped_column(BigInteger)
    params: Mapped[int] = mapped_column(BigInteger)
    ratio: Mapped[float | None]  # flops over the baseline's
    dataset: Mapped[str] = mapped_column(String(100))
    dataset_digest: Mapped[str] = mapped_column(String(64))
    recipe: Mapped[dict[str, Any]]
    seed: Mapped[int] = mapped_column(BigInteger)
    predicted: Mapped[PredictedAccuracy | None]  # before the training
    state: Mapped[TrialState] = mapped_column(default=TrialState.QUEUED)
    priority: Mapped[int] = mapped_column(default=0, server_default="0")
    # The order among trials of the same priority (seconds since 1970); a trial that lost its worker goes to the end.
    queued_at: Mapped[float] = mapped_column(Float(53), default=time, server_default="0")
    on_demand: Mapped[bool] = mapped_column(
        default=False, server_default=false()
    )  # a client requested it, independently of studies
    attempt: Mapped[int] = mapped_column(default=0)  # since it was last requested
    token: Mapped[str | None] = mapped_column(String(32))
    lease_owner: Mapped[str | None] = mapped_column(String(200))
    lease_expires_at: Mapped[float | None] = mapped_column(Float(53))
    heartbeat_at: Mapped[float | None] = mapped_column(Float(53))
    sent_at: Mapped[float | None] = mapped_column(Float(53))  # when its message was last sent
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    # Successive halving: train up to this epoch, then wait for a promotion; the accuracies of the rungs so far.
    until_epoch: Mapped[int | None]
    awaiting_promotion: Mapped[bool] = mapped_column(default=False, server_default=false())
    rungs: Mapped[tuple[RungAccuracy, ...] | None] = mapped_column(JsonValues(RungAccuracy))
    progress: Mapped[Progress | None]
    result: Mapped[TrialResult | None]
    accuracy: Mapped[float | None] = mapped_column(Float(53))  # that of the result, for an index
    artifacts: Mapped[TrialArtifacts | None]  # None if there are no files, or a version before 0.2.0 wrote them
    stored_bytes: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")  # of its artifacts
    error: Mapped[str | None] = mapped_column(Text)
    log: Mapped[list[Any] | None]  # the last lines of its worker's log
    request_id: Mapped[str | None] = mapped_column(String(100))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


# The index has the order of the queue.
Index(
    "ix_trials_queue",
    TrialRow.priority.desc(),
    TrialRow.queued_at,
    TrialRow.id,
    sqlite_where=text("state = 'queued'"),
    postgresql_where=text("state = 'queued'"),
)


class StudyTrialRow(Base):
    """A trial of a study and its role in it; a trial may belong to several studies."""

    __tablename__ = "study_trials"

    study_id: Mapped[str] = mapped_column(ForeignKey("studies.id"), primary_key=True)
    trial_id: Mapped[str] = mapped_column(ForeignKey("trials.id"), primary_key=True, index=True)
    role: Mapped[Role] = mapped_column(default=Role.RECOMMENDED, server_default="random")
    # Relative to the study's baseline. Without a ratio (older rows) they are the trial's; with a ratio alone the
    # network is not scaled from that baseline.
    r: Mapped[float | None]
    d: Mapped[float | None]
    w: Mapped[float | None]
    ratio: Mapped[float | None]


class SuggestionRow(Base):
    """A network that a client of a study is asked to train elsewhere; no network is suggested twice.

    The lease expires at `lease_expires_at` (seconds since 1970 by the database's clock); later reports are accepted and
    marked as late.
    """

    __tablename__ = "suggestions"
    __table_args__ = (
        UniqueConstraint("study_id", "network"),
        Index("ix_suggestions_study_id_client", "study_id", "client", "state"),
        Index("ix_suggestions_study_id_created_at", "study_id", "created_at", "id"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    study_id: Mapped[str] = mapped_column(ForeignKey("studies.id"))
    client: Mapped[str] = mapped_column(String(200))
    network: Mapped[str] = mapped_column(String(64))  # its key: resolution, multiply-adds and parameters
    r: Mapped[float]
    d: Mapped[float]
    w: Mapped[float]
    ratio: Mapped[float]
    config: Mapped[Config]
    flops: Mapped[int] = mapped_column(BigInteger)
    params: Mapped[int] = mapped_column(BigInteger)
    predicted: Mapped[PredictedAccuracy | None]
    state: Mapped[SuggestionState] = mapped_column(default=SuggestionState.PENDING)
    reason: Mapped[str | None] = mapped_column(Text)  # why it was infeasible
    reported: Mapped[ReportedResult | None]
    interim: Mapped[tuple[InterimResult, ...] | None] = mapped_column(JsonValues(InterimResult))
    late: Mapped[bool] = mapped_column(default=False)
    lease_expires_at: Mapped[float] = mapped_column(Float(53))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    reported_at: Mapped[datetime | None]


class EventRow(Base):
    """An event of a trial; event streams are read from this table."""

    __tablename__ = "trial_events"
    __table_args__ = (
        Index("ix_trial_events_trial_id_id", "trial_id", "id"),
        Index(
            "ix_trial_events_progress",
            "created_at",
            sqlite_where=text("kind = 'progress'"),
            postgresql_where=text("kind = 'progress'"),
        ),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    trial_id: Mapped[str] = mapped_column(ForeignKey("trials.id"))
    kind: Mapped[EventKind]
    data: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class ObservationRow(Base):
    """The multipliers, cost and accuracy (0 to 1) of a network, from a completed trial, a report or an import."""

    __tablename__ = "observations"
    __table_args__ = (
        UniqueConstraint("trial_id"),  # a trial has at most one observation
        Index("ix_observations_study_id_id", "study_id", "id"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    trial_id: Mapped[str | None] = mapped_column(ForeignKey("trials.id"))
    study_id: Mapped[str | None] = mapped_column(ForeignKey("studies.id"))  # of an import or a report
    architecture: Mapped[str] = mapped_column(String(100))
    dataset: Mapped[str] = mapped_column(String(100))
    r: Mapped[float | None]  # None if a config without multipliers was trained
    d: Mapped[float | None]
    w: Mapped[float | None]
    ratio: Mapped[float | None]
    resolution: Mapped[Resolution] = mapped_column(ResolutionNumber)
    flops: Mapped[int] = mapped_column(BigInteger)
    params: Mapped[int] = mapped_column(BigInteger)
    accuracy: Mapped[float]
    seconds: Mapped[float | None]
    latency_ms: Mapped[float | None]  # the median of the exported model; None without an export
    role: Mapped[Role | None]  # of an import or a report; a trial's role is in study_trials
    retracted_at: Mapped[datetime | None]
    retraction_reason: Mapped[str | None] = mapped_column(Text)  # why it was retracted
    provenance: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class PredictorRow(Base):
    """A fitted predictor as JSON: two Gaussian processes and the accuracy surrogate. The fit never changes."""

    __tablename__ = "predictors"
    __table_args__ = (
        UniqueConstraint("architecture", "dataset", "version"),
        Index(
            "uq_predictors_active",
            "architecture",
            "dataset",
            unique=True,
            sqlite_where=text("active = 1"),
            postgresql_where=text("active"),
        ),
    )

    id: Mapped[str] = mapped_column(String(240), primary_key=True)
    owner: Mapped[str | None] = mapped_column(String(100))
    name: Mapped[str | None] = mapped_column(String(200))
    description: Mapped[str | None] = mapped_column(Text)
    archived_at: Mapped[datetime | None]
    architecture: Mapped[str] = mapped_column(String(100))
    dataset: Mapped[str] = mapped_column(String(100))
    version: Mapped[int]
    active: Mapped[bool] = mapped_column(default=False)
    data: Mapped[dict[str, Any]]
    # The trial of each point, None for other points. It is no part of the fit, and unknown in rows of earlier releases.
    point_trials: Mapped[list[Any] | None]
    quality: Mapped[dict[str, Any]]
    gate: Mapped[Decision | None]  # whether the promotion gate accepted it, and why
    provenance: Mapped[str] = mapped_column(Text)
    study_id: Mapped[str | None] = mapped_column(ForeignKey("studies.id"))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class WorkerRow(Base):
    """A worker process and the time of its last heartbeat (seconds since 1970 by the database's clock)."""

    __tablename__ = "workers"

    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    threads: Mapped[int]
    heartbeat_at: Mapped[float] = mapped_column(Float(53))
    trial_id: Mapped[str | None] = mapped_column(String(32))
    device: Mapped[str] = mapped_column(String(100), default="cpu", server_default="cpu")
    started_at: Mapped[datetime | None]


COUNTERS = {
    "trial_attempts": "Attempts by workers to train a trial.",
    "expired_leases": "Leases of trials that expired because the worker stopped sending heartbeats.",
    "redeliveries": "Messages sent again for trials that no worker had claimed.",
    "evicted_responses": "Stored responses that were deleted before their time, since a key had too many.",
    "epochs": "",
    "epoch_seconds": "",
}
"""The counters and their descriptions; one without a description is part of another metric."""


class CounterRow(Base):
    __tablename__ = "counters"

    name: Mapped[str] = mapped_column(String(50), primary_key=True)
    value: Mapped[float] = mapped_column(Float(53), default=0.0)


class ApiKeyRow(Base):
    """An API key, of which only the SHA-256 is stored. Revoked and expired keys remain, so that keys stay required."""

    __tablename__ = "api_keys"
    __table_args__ = (UniqueConstraint("name"), UniqueConstraint("digest"))

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(String(100))
    digest: Mapped[str] = mapped_column(String(64))
    scope: Mapped[str] = mapped_column(String(20))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]


class IdempotencyRow(Base):
    """A write request with an idempotency key, and its response once there is one.

    A request without a response is being processed until `reserved_until` (seconds since 1970 by the database's
    clock); after that its process is considered dead.
    """

    __tablename__ = "idempotency_keys"

    caller: Mapped[str] = mapped_column(String(100), primary_key=True)
    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    request_digest: Mapped[str] = mapped_column(String(64))  # SHA-256 of the request
    reserved_until: Mapped[float] = mapped_column(Float(53))
    outcome: Mapped[Any | None] = mapped_column(JSON)  # the result of the write, stored in the same transaction
    status: Mapped[int | None]
    headers: Mapped[dict[str, Any] | None]
    body: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(default=utc_now, index=True)
