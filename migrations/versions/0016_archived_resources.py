"""trials, baselines, data sets and predictors are renamed, described and archived as studies are

Revision ID: 0016
Revises: 0015
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from app.db.column_types import UtcDateTime

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_TABLES = ("architectures", "datasets", "trials", "predictors")
_WITHOUT_NAME = ("trials", "predictors")


def upgrade() -> None:
    for table in _TABLES:
        op.add_column(table, sa.Column("description", sa.Text()))
        op.add_column(table, sa.Column("archived_at", UtcDateTime()))
    for table in _WITHOUT_NAME:
        op.add_column(table, sa.Column("name", sa.String(200)))
    op.create_table(
        "former_names",
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("name", sa.String(240), nullable=False),
        sa.Column("successor", sa.String(240)),
        sa.PrimaryKeyConstraint("kind", "name", name="pk_former_names"),
    )
    op.create_index("ix_former_names_successor", "former_names", ["successor"])


def downgrade() -> None:
    op.drop_table("former_names")
    for table in _WITHOUT_NAME:
        op.drop_column(table, "name")
    for table in _TABLES:
        op.drop_column(table, "archived_at")
        op.drop_column(table, "description")
