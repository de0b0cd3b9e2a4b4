"""the results that clients report after an epoch, before the final one

Revision ID: 0012
Revises: 0011
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("suggestions", sa.Column("interim", sa.JSON()))


def downgrade() -> None:
    op.drop_column("suggestions", "interim")
