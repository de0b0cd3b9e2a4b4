"""automatic sampling, halving and refits of studies; suggestions; retracted observations; the promotion gate

Revision ID: 0007
Revises: 0006
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from app.db.column_types import UtcDateTime

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def _new_columns() -> dict[str, tuple[sa.Column[Any], ...]]:
    """Create the new columns of existing tables; a column object can be used only once."""
    return {
        "studies": (
            sa.Column("sampler", sa.String(20), server_default="random", nullable=False),
            sa.Column("proposed", sa.Integer(), server_default="0", nullable=False),
            sa.Column("options", sa.JSON(), server_default="{}", nullable=False),
            sa.Column("seen", sa.BigInteger(), server_default="0", nullable=False),
            sa.Column("refitted", sa.Integer(), server_default="0", nullable=False),
            sa.Column("refit_why", sa.Text(), nullable=True),
            sa.Column("family", sa.JSON(), nullable=True),
        ),
        "study_trials": (sa.Column("role", sa.String(20), server_default="random", nullable=False),),
        "trials": (
            sa.Column("until_epoch", sa.Integer(), nullable=True),
            sa.Column("held", sa.Boolean(), server_default=sa.false(), nullable=False),
            sa.Column("rungs", sa.JSON(), nullable=True),
        ),
        "observations": (
            sa.Column("role", sa.String(20), nullable=True),
            sa.Column("retracted_at", UtcDateTime(), nullable=True),
            sa.Column("retraction", sa.Text(), nullable=True),
        ),
        "predictors": (sa.Column("gate", sa.JSON(), nullable=True),),
    }


def upgrade() -> None:
    for table, columns in _new_columns().items():
        for column in columns:
            op.add_column(table, column)
    op.execute("UPDATE studies SET proposed = size WHERE state <> 'created'")
    op.execute("UPDATE observations SET role = 'import' WHERE trial_id IS NULL")
    op.create_table(
        "study_changes",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("study_id", sa.String(32), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=op.f("fk_study_changes_study_id_studies")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_study_changes")),
    )
    op.create_index("ix_study_changes_study_id_id", "study_changes", ["study_id", "id"])
    op.create_table(
        "suggestions",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("study_id", sa.String(32), nullable=False),
        sa.Column("client", sa.String(200), nullable=False),
        sa.Column("network", sa.String(64), nullable=False),
        sa.Column("r", sa.Double(), nullable=False),
        sa.Column("d", sa.Double(), nullable=False),
        sa.Column("w", sa.Double(), nullable=False),
        sa.Column("ratio", sa.Double(), nullable=False),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.Column("flops", sa.BigInteger(), nullable=False),
        sa.Column("params", sa.BigInteger(), nullable=False),
        sa.Column("predicted", sa.JSON(), nullable=True),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("told", sa.JSON(), nullable=True),
        sa.Column("late", sa.Boolean(), nullable=False),
        sa.Column("lease_expires_at", sa.Float(53), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("told_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=op.f("fk_suggestions_study_id_studies")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_suggestions")),
        sa.UniqueConstraint("study_id", "network", name=op.f("uq_suggestions_study_id_network")),
    )
    op.create_index("ix_suggestions_study_id_client", "suggestions", ["study_id", "client", "state"])


def downgrade() -> None:
    op.drop_table("suggestions")
    op.drop_table("study_changes")
    for table, columns in reversed(_new_columns().items()):
        for column in reversed(columns):
            op.drop_column(table, column.name)
