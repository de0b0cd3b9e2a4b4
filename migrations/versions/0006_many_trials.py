"""indexes for many trials: lists by architecture, and expired progress events

Revision ID: 0006
Revises: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_PROGRESS = sa.text("kind = 'progress'")


def upgrade() -> None:
    op.create_index("ix_trials_architecture_created_at", "trials", ["architecture", "created_at", "id"])
    op.create_index(
        "ix_trial_events_progress",
        "trial_events",
        ["created_at"],
        unique=False,
        sqlite_where=_PROGRESS,
        postgresql_where=_PROGRESS,
    )


def downgrade() -> None:
    op.drop_index("ix_trial_events_progress", "trial_events")
    op.drop_index("ix_trials_architecture_created_at", "trials")
