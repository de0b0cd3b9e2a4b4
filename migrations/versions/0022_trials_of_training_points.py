"""the trials that a predictor's training points come from

Revision ID: 0022
Revises: 0021
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("predictors", sa.Column("point_trials", sa.JSON()))


def downgrade() -> None:
    op.drop_column("predictors", "point_trials")
