"""priority and queue order of trials, and the last lines of their logs

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_QUEUED = sa.text("state = 'queued'")


def upgrade() -> None:
    op.add_column("trials", sa.Column("priority", sa.Integer(), server_default="0", nullable=False))
    op.add_column("trials", sa.Column("queued_at", sa.Float(53), server_default="0", nullable=False))
    op.add_column("trials", sa.Column("on_demand", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("trials", sa.Column("log", sa.JSON(), nullable=True))
    sqlite = op.get_bind().dialect.name == "sqlite"
    created = "(julianday(created_at) - 2440587.5) * 86400.0" if sqlite else "extract(epoch FROM created_at)"
    op.execute(f"UPDATE trials SET queued_at = {created}")
    op.execute("UPDATE trials SET priority = -5 WHERE state = 'queued' AND id IN (SELECT trial_id FROM study_trials)")
    op.create_index(
        "ix_trials_queue",
        "trials",
        [sa.text("priority DESC"), "queued_at", "id"],
        unique=False,
        sqlite_where=_QUEUED,
        postgresql_where=_QUEUED,
    )


def downgrade() -> None:
    op.drop_index("ix_trials_queue", "trials")
    op.execute("UPDATE studies SET state = 'started' WHERE state = 'paused'")
    for column in ("log", "on_demand", "queued_at", "priority"):
        op.drop_column("trials", column)
