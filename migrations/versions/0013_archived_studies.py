"""studies have a description and can be archived

Revision ID: 0013
Revises: 0012
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from app.db.column_types import UtcDateTime

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("studies", sa.Column("description", sa.Text()))
    op.add_column("studies", sa.Column("archived_at", UtcDateTime()))


def downgrade() -> None:
    op.drop_column("studies", "archived_at")
    op.drop_column("studies", "description")
