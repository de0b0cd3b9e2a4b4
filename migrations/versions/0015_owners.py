"""who owns what: the key that made a row, and the size of a trial's artifacts

Revision ID: 0015
Revises: 0014
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_OWNED = ("architectures", "datasets", "studies", "trials", "predictors")


def upgrade() -> None:
    for table in _OWNED:
        op.add_column(table, sa.Column("owner", sa.String(100)))
    op.add_column("trials", sa.Column("shared", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("trials", sa.Column("stored_bytes", sa.BigInteger(), nullable=False, server_default="0"))
    op.create_index("ix_studies_owner", "studies", ["owner"])
    op.create_index("ix_trials_owner_state", "trials", ["owner", "state", "stored_bytes"])


def downgrade() -> None:
    op.drop_index("ix_trials_owner_state", "trials")
    op.drop_index("ix_studies_owner", "studies")
    op.drop_column("trials", "stored_bytes")
    op.drop_column("trials", "shared")
    for table in _OWNED:
        op.drop_column(table, "owner")
