"""what was understood of an image folder, and folders whose images are being checked

Revision ID: 0018
Revises: 0016
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("datasets", sa.Column("report", sa.JSON()))
    op.create_table(
        "dataset_checks",
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("owner", sa.String(100)),
        sa.Column("request", sa.JSON(), nullable=False),
        sa.Column("progress", sa.JSON(), nullable=False),
        sa.Column("error", sa.Text()),
        sa.Column("token", sa.String(32)),
        sa.Column("lease_expires", sa.Float(53), nullable=False, server_default="0"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_dataset_checks"),
    )


def downgrade() -> None:
    op.drop_table("dataset_checks")
    op.drop_column("datasets", "report")
