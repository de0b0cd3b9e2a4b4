"""the multipliers that a trial's network has in each of its studies

Revision ID: 0011
Revises: 0010
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_COLUMNS = ("r", "d", "w", "ratio")


def upgrade() -> None:
    for name in _COLUMNS:
        op.add_column("study_trials", sa.Column(name, sa.Double()))


def downgrade() -> None:
    for name in _COLUMNS:
        op.drop_column("study_trials", name)
