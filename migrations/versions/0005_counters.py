"""counters

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    counters = op.create_table(
        "counters",
        sa.Column("name", sa.String(length=50), nullable=False),
        sa.Column("value", sa.Float(53), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_counters")),
    )
    names = ("trial_attempts", "lease_losses", "reconcile_sends", "epochs", "epoch_seconds")
    op.bulk_insert(counters, [{"name": name, "value": 0.0} for name in names])


def downgrade() -> None:
    op.execute("DELETE FROM counters WHERE value = 0")  # as `upgrade` inserts them
    op.drop_table("counters")
