"""initial schema

Revision ID: 0001
Revises: none
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "architectures",
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("spec", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_architectures")),
    )
    op.create_table(
        "datasets",
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("spec", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_datasets")),
    )
    op.create_table(
        "studies",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("architecture", sa.String(length=100), nullable=False),
        sa.Column("spec", sa.JSON(), nullable=False),
        sa.Column("dataset", sa.String(length=100), nullable=False),
        sa.Column("recipe", sa.JSON(), nullable=False),
        sa.Column("space", sa.JSON(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_studies")),
    )
    with op.batch_alter_table("studies", schema=None) as batch_op:
        batch_op.create_index("ix_studies_created_at_id", ["created_at", "id"], unique=False)

    op.create_table(
        "trials",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("architecture", sa.String(length=100), nullable=False),
        sa.Column("multipliers", sa.JSON(), nullable=True),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.Column("flops", sa.BigInteger(), nullable=False),
        sa.Column("params", sa.BigInteger(), nullable=False),
        sa.Column("ratio", sa.Double(), nullable=True),
        sa.Column("dataset", sa.String(length=100), nullable=False),
        sa.Column("dataset_digest", sa.String(length=64), nullable=False),
        sa.Column("recipe", sa.JSON(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("predicted", sa.JSON(), nullable=True),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("token", sa.String(length=32), nullable=True),
        sa.Column("lease_owner", sa.String(length=200), nullable=True),
        sa.Column("lease_expires_at", sa.Float(precision=53), nullable=True),
        sa.Column("heartbeat_at", sa.Float(precision=53), nullable=True),
        sa.Column("sent_at", sa.Float(precision=53), nullable=True),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("progress", sa.JSON(), nullable=True),
        sa.Column("result", sa.JSON(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("request_id", sa.String(length=100), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trials")),
    )
    with op.batch_alter_table("trials", schema=None) as batch_op:
        batch_op.create_index("ix_trials_created_at_id", ["created_at", "id"], unique=False)
        batch_op.create_index("ix_trials_state_created_at", ["state", "created_at"], unique=False)
        batch_op.create_index(
            "uq_trials_fingerprint_live",
            ["fingerprint"],
            unique=True,
            sqlite_where=sa.text("state IN ('queued', 'running', 'completed')"),
            postgresql_where=sa.text("state IN ('queued', 'running', 'completed')"),
        )

    op.create_table(
        "workers",
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("threads", sa.Integer(), nullable=False),
        sa.Column("heartbeat_at", sa.Float(precision=53), nullable=False),
        sa.Column("trial_id", sa.String(length=32), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_workers")),
    )
    op.create_table(
        "observations",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("trial_id", sa.String(length=32), nullable=True),
        sa.Column("study_id", sa.String(length=32), nullable=True),
        sa.Column("architecture", sa.String(length=100), nullable=False),
        sa.Column("dataset", sa.String(length=100), nullable=False),
        sa.Column("r", sa.Double(), nullable=True),
        sa.Column("d", sa.Double(), nullable=True),
        sa.Column("w", sa.Double(), nullable=True),
        sa.Column("ratio", sa.Double(), nullable=True),
        sa.Column("resolution", sa.Integer(), nullable=False),
        sa.Column("flops", sa.BigInteger(), nullable=False),
        sa.Column("params", sa.BigInteger(), nullable=False),
        sa.Column("accuracy", sa.Double(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=True),
        sa.Column("provenance", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=op.f("fk_observations_study_id_studies")),
        sa.ForeignKeyConstraint(["trial_id"], ["trials.id"], name=op.f("fk_observations_trial_id_trials")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_observations")),
        sa.UniqueConstraint("trial_id", name=op.f("uq_observations_trial_id")),
    )
    with op.batch_alter_table("observations", schema=None) as batch_op:
        batch_op.create_index("ix_observations_study_id_id", ["study_id", "id"], unique=False)

    op.create_table(
        "predictors",
        sa.Column("id", sa.String(length=240), nullable=False),
        sa.Column("architecture", sa.String(length=100), nullable=False),
        sa.Column("dataset", sa.String(length=100), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("quality", sa.JSON(), nullable=False),
        sa.Column("provenance", sa.Text(), nullable=False),
        sa.Column("study_id", sa.String(length=32), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=op.f("fk_predictors_study_id_studies")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_predictors")),
        sa.UniqueConstraint(
            "architecture", "dataset", "version", name=op.f("uq_predictors_architecture_dataset_version")
        ),
    )
    with op.batch_alter_table("predictors", schema=None) as batch_op:
        batch_op.create_index(
            "uq_predictors_active",
            ["architecture", "dataset"],
            unique=True,
            sqlite_where=sa.text("active = 1"),
            postgresql_where=sa.text("active"),
        )

    op.create_table(
        "study_trials",
        sa.Column("study_id", sa.String(length=32), nullable=False),
        sa.Column("trial_id", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=op.f("fk_study_trials_study_id_studies")),
        sa.ForeignKeyConstraint(["trial_id"], ["trials.id"], name=op.f("fk_study_trials_trial_id_trials")),
        sa.PrimaryKeyConstraint("study_id", "trial_id", name=op.f("pk_study_trials")),
    )
    with op.batch_alter_table("study_trials", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_study_trials_trial_id"), ["trial_id"], unique=False)

    op.create_table(
        "trial_events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("trial_id", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["trial_id"], ["trials.id"], name=op.f("fk_trial_events_trial_id_trials")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trial_events")),
    )
    with op.batch_alter_table("trial_events", schema=None) as batch_op:
        batch_op.create_index("ix_trial_events_trial_id_id", ["trial_id", "id"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("trial_events", schema=None) as batch_op:
        batch_op.drop_index("ix_trial_events_trial_id_id")

    op.drop_table("trial_events")
    with op.batch_alter_table("study_trials", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_study_trials_trial_id"))

    op.drop_table("study_trials")
    with op.batch_alter_table("predictors", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_predictors_active", sqlite_where=sa.text("active = 1"), postgresql_where=sa.text("active")
        )

    op.drop_table("predictors")
    with op.batch_alter_table("observations", schema=None) as batch_op:
        batch_op.drop_index("ix_observations_study_id_id")

    op.drop_table("observations")
    op.drop_table("workers")
    with op.batch_alter_table("trials", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_trials_fingerprint_live",
            sqlite_where=sa.text("state IN ('queued', 'running', 'completed')"),
            postgresql_where=sa.text("state IN ('queued', 'running', 'completed')"),
        )
        batch_op.drop_index("ix_trials_state_created_at")
        batch_op.drop_index("ix_trials_created_at_id")

    op.drop_table("trials")
    with op.batch_alter_table("studies", schema=None) as batch_op:
        batch_op.drop_index("ix_studies_created_at_id")

    op.drop_table("studies")
    op.drop_table("datasets")
    op.drop_table("architectures")
