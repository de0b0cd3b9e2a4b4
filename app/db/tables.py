"""The tables. A trial's row is the truth about it; a broker's message only reminds."""

from __future__ import annotations

from datetime import UTC, datetime
from time import time
from typing import Any, ClassVar
from uuid import uuid4

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

BigId = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts up INTEGER keys alone


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time in UTC on every database (SQLite keeps no zone)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value if value is None or value.tzinfo else value.replace(tzinfo=UTC)


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {dict[str, Any]: JSON, list[Any]: JSON, datetime: UtcDateTime()}


def new_id() -> str:
    """A random id; lists sort by time of creation, then id."""
    return uuid4().hex


def utc_now() -> datetime:
    return datetime.now(UTC)


class ArchitectureRow(Base):
    """A registered baseline; the built-in ones are code."""

    __tablename__ = "architectures"

    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    spec: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class DatasetRow(Base):
    """A registered folder of images, or what was settled of fonts; the built-in sets are code."""

    __tablename__ = "datasets"

    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    spec: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class StudyRow(Base):
    __tablename__ = "studies"
    __table_args__ = (Index("ix_studies_created_at_id", "created_at", "id"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(String(200))
    architecture: Mapped[str] = mapped_column(String(100))
    spec: Mapped[dict[str, Any]]  # the baseline as it was, classifier fitted to the data set
    dataset: Mapped[str] = mapped_column(String(100))
    recipe: Mapped[dict[str, Any]]
    space: Mapped[dict[str, Any]]
    size: Mapped[int]
    seed: Mapped[int] = mapped_column(BigInteger)
    sampler: Mapped[str] = mapped_column(String(20), default="random", server_default="random")
    proposed: Mapped[int] = mapped_column(default=0, server_default="0")  # networks of `size` that were drawn so far
    # How it goes on by itself: compound networks beside, seeds a network, halving, refits and their gate.
    options: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    seen: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")  # the last change that was seen to
    refitted: Mapped[int] = mapped_column(default=0, server_default="0")  # observations at the last refit by itself
    refit_why: Mapped[str | None] = mapped_column(Text)  # a refit is wanted whatever came since: an observation went
    family: Mapped[list[Any] | None]  # networks that were asked for by budget and rule, and the trials of each
    state: Mapped[str] = mapped_column(String(20), default="created")  # created, started, paused, cancelled
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class StudyChangeRow(Base):
    """An observation of the study has come or gone: the last one's id is a version of all that it knows.

    Rows of their own, since a count in the study's row would let trials that end wait for each other.
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
        # One live or completed trial a fingerprint: a failed or cancelled one may be tried again.
        Index(
            "uq_trials_fingerprint_live",
            "fingerprint",
            unique=True,
            sqlite_where=text("state IN ('queued', 'running', 'completed')"),
            postgresql_where=text("state IN ('queued', 'running', 'completed')"),
        ),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
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
    predicted: Mapped[dict[str, Any] | None]  # what a predictor said before the training
    state: Mapped[str] = mapped_column(String(20), default="queued")
    priority: Mapped[int] = mapped_column(default=0, server_default="0")
    # Its place among those of its priority (seconds since 1970): one that lost its worker goes to the end.
    queued_at: Mapped[float] = mapped_column(Float(53), default=time, server_default="0")
    on_demand: Mapped[bool] = mapped_column(default=False, server_default=false())  # a client waits, studies or not
    attempt: Mapped[int] = mapped_column(default=0)  # since it was last requested
    token: Mapped[str | None] = mapped_column(String(32))
    lease_owner: Mapped[str | None] = mapped_column(String(200))
    lease_expires_at: Mapped[float | None] = mapped_column(Float(53))
    heartbeat_at: Mapped[float | None] = mapped_column(Float(53))
    sent_at: Mapped[float | None] = mapped_column(Float(53))  # when its message was last sent
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    # Successive halving: trained up to this epoch, then held until it is let go on; accuracies of the rungs so far.
    until_epoch: Mapped[int | None]
    held: Mapped[bool] = mapped_column(default=False, server_default=false())
    rungs: Mapped[list[Any] | None]
    progress: Mapped[dict[str, Any] | None]
    result: Mapped[dict[str, Any] | None]
    error: Mapped[str | None] = mapped_column(Text)
    log: Mapped[list[Any] | None]  # the last lines of its worker's log
    request_id: Mapped[str | None] = mapped_column(String(100))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


# The queue, in its order.
Index(
    "ix_trials_queue",
    TrialRow.priority.desc(),
    TrialRow.queued_at,
    TrialRow.id,
    sqlite_where=text("state = 'queued'"),
    postgresql_where=text("state = 'queued'"),
)


class StudyTrialRow(Base):
    """Which trials a study counts as its own, and as what: a trial may serve several studies."""

    __tablename__ = "study_trials"

    study_id: Mapped[str] = mapped_column(ForeignKey("studies.id"), primary_key=True)
    trial_id: Mapped[str] = mapped_column(ForeignKey("trials.id"), primary_key=True, index=True)
    role: Mapped[str] = mapped_column(String(20), default="recommended", server_default="random")


class SuggestionRow(Base):
    """A network that a client of a study was told to train elsewhere; no network is suggested twice.

    States: pending, told, infeasible. The lease is over at `lease_expires_at` (seconds since 1970 by the database's
    clock): what is told later is kept, and marked as late.
    """

    __tablename__ = "suggestions"
    __table_args__ = (
        UniqueConstraint("study_id", "network"),
        Index("ix_suggestions_study_id_client", "study_id", "client", "state"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    study_id: Mapped[str] = mapped_column(ForeignKey("studies.id"))
    client: Mapped[str] = mapped_column(String(200))
    network: Mapped[str] = mapped_column(String(64))  # its key: px, multiply-adds and parameters
    r: Mapped[float]
    d: Mapped[float]
    w: Mapped[float]
    ratio: Mapped[float]
    config: Mapped[dict[str, Any]]
    flops: Mapped[int] = mapped_column(BigInteger)
    params: Mapped[int] = mapped_column(BigInteger)
    predicted: Mapped[dict[str, Any] | None]
    state: Mapped[str] = mapped_column(String(20), default="pending")
    reason: Mapped[str | None] = mapped_column(Text)  # of an infeasible one
    told: Mapped[dict[str, Any] | None]
    late: Mapped[bool] = mapped_column(default=False)
    lease_expires_at: Mapped[float] = mapped_column(Float(53))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    told_at: Mapped[datetime | None]


class EventRow(Base):
    """What happened to a trial, in order: the event stream is read from here."""

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
    kind: Mapped[str] = mapped_column(String(20))  # state, progress, superseded
    data: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class ObservationRow(Base):
    """What a finished trial, or an import, says: multipliers, cost and accuracy (0 to 1)."""

    __tablename__ = "observations"
    __table_args__ = (
        UniqueConstraint("trial_id"),  # a trial counts once, whatever happens
        Index("ix_observations_study_id_id", "study_id", "id"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    trial_id: Mapped[str | None] = mapped_column(ForeignKey("trials.id"))
    study_id: Mapped[str | None] = mapped_column(ForeignKey("studies.id"))  # of an import
    architecture: Mapped[str] = mapped_column(String(100))
    dataset: Mapped[str] = mapped_column(String(100))
    r: Mapped[float | None]  # unknown where a bare config was trained
    d: Mapped[float | None]
    w: Mapped[float | None]
    ratio: Mapped[float | None]
    resolution: Mapped[int]
    flops: Mapped[int] = mapped_column(BigInteger)
    params: Mapped[int] = mapped_column(BigInteger)
    accuracy: Mapped[float]
    seconds: Mapped[float | None]
    latency_ms: Mapped[float | None]  # median, of the export; unknown where there was none
    role: Mapped[str | None] = mapped_column(String(20))  # of an import or what a client told; a trial's is its study's
    retracted_at: Mapped[datetime | None]
    retraction: Mapped[str | None] = mapped_column(Text)  # why it was taken back
    provenance: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class PredictorRow(Base):
    """A fitted pair of GPs, and the accuracy's surrogate, as plain data; never changed but for `active`."""

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
    architecture: Mapped[str] = mapped_column(String(100))
    dataset: Mapped[str] = mapped_column(String(100))
    version: Mapped[int]
    active: Mapped[bool] = mapped_column(default=False)
    data: Mapped[dict[str, Any]]
    quality: Mapped[dict[str, Any]]
    gate: Mapped[dict[str, Any] | None]  # whether it was found fit to answer, and why
    provenance: Mapped[str] = mapped_column(Text)
    study_id: Mapped[str | None] = mapped_column(ForeignKey("studies.id"))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class WorkerRow(Base):
    """A worker process and when it last said that it lives (seconds since 1970 by the database's clock)."""

    __tablename__ = "workers"

    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    threads: Mapped[int]
    heartbeat_at: Mapped[float] = mapped_column(Float(53))
    trial_id: Mapped[str | None] = mapped_column(String(32))
    device: Mapped[str] = mapped_column(String(100), default="cpu", server_default="cpu")
    started_at: Mapped[datetime | None]


COUNTERS = {
    "trial_attempts": "Trials that a worker began or took up again.",
    "lease_losses": "Trials whose worker died or fell silent.",
    "reconcile_sends": "Messages sent again because a trial had lost its worker or its message.",
    "epochs": "",
    "epoch_seconds": "",
}
"""What is counted in SQL, for workers and replicas alike, and what it means; without that it is part of another."""


class CounterRow(Base):
    __tablename__ = "counters"

    name: Mapped[str] = mapped_column(String(50), primary_key=True)
    value: Mapped[float] = mapped_column(Float(53), default=0.0)


class ApiKeyRow(Base):
    """Who may call; of the key itself only its SHA-256. Revoked and expired ones stay: the service stays locked."""

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


class ReplayRow(Base):
    """A write that its caller has named by an idempotency key, and its answer, once it has one.

    Being answered until `answered_by` (seconds since 1970 by the database's clock): later its process is taken as dead.
    """

    __tablename__ = "replays"

    caller: Mapped[str] = mapped_column(String(100), primary_key=True)
    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    asked: Mapped[str] = mapped_column(String(64))  # SHA-256 of the request
    answered_by: Mapped[float] = mapped_column(Float(53))
    outcome: Mapped[Any | None] = mapped_column(JSON)  # what was done, written with it
    status: Mapped[int | None]
    headers: Mapped[dict[str, Any] | None]
    body: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(default=utc_now, index=True)
