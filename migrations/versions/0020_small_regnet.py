"""small-regnet is a built-in baseline

Revision ID: 0020
Revises: 0019
"""

from __future__ import annotations

from alembic import op

from migrations.built_in_names import free, restore

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    free(op.get_bind(), "small-regnet")


def downgrade() -> None:
    restore(op.get_bind(), "small-regnet")
