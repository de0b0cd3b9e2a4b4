"""trials have their accuracy in a column, and indexes for lists by accuracy and by cost

Revision ID: 0021
Revises: 0020
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("trials", sa.Column("accuracy", sa.Float(53)))
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    accuracy = "json_extract(result, '$.accuracy')" if is_sqlite else "CAST(result ->> 'accuracy' AS double precision)"
    op.execute(sa.text(f"UPDATE trials SET accuracy = {accuracy} WHERE state = 'completed'"))
    for column in ("accuracy", "flops"):
        op.create_index(f"ix_trials_{column}", "trials", [column, "created_at", "id"])


def downgrade() -> None:
    for column in ("flops", "accuracy"):
        op.drop_index(f"ix_trials_{column}", "trials")
    op.drop_column("trials", "accuracy")
