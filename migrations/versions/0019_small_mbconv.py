"""small-mbconv, which `rdw reproduce` registered, is a built-in baseline

Revision ID: 0019
Revises: 0018
"""

from __future__ import annotations

from alembic import op

from migrations.built_in_names import free, restore

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    free(op.get_bind(), "small-mbconv")


def downgrade() -> None:
    restore(op.get_bind(), "small-mbconv")
