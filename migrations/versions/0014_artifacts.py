"""a trial's artifacts: the attempt that wrote them, and their digests

Revision ID: 0014
Revises: 0013
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("trials", sa.Column("artifacts", sa.JSON(none_as_null=True)))


def downgrade() -> None:
    op.drop_column("trials", "artifacts")
