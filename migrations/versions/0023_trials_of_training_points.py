"""the trials that a predictor's training points come from

Revision ID: 0023
Revises: 0022
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("predictors", sa.Column("point_trials", sa.JSON()))


def downgrade() -> None:
    op.drop_column("predictors", "point_trials")
