"""standard names for columns, stored values and keys of JSON

Revision ID: 0010
Revises: 0009
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

Json = dict[str, Any]
Names = dict[str, str]

_COLUMNS = (
    ("studies", "seen", "processed_version"),
    ("studies", "refitted", "observations_at_refit"),
    ("studies", "refit_why", "refit_reason"),
    ("trials", "held", "awaiting_promotion"),
    ("suggestions", "told", "reported"),
    ("suggestions", "told_at", "reported_at"),
    ("observations", "retraction", "retraction_reason"),
    ("replays", "asked", "request_digest"),
    ("replays", "answered_by", "reserved_until"),
)
_VALUES = (
    ("suggestions", "state", "told", "reported"),
    ("observations", "role", "told", "reported"),
    ("counters", "name", "lease_losses", "expired_leases"),
    ("counters", "name", "reconcile_sends", "redeliveries"),
)
_GATE = {"least_points": "min_points", "least_coverage": "min_coverage", "most_error": "max_error"}
_HALVING = {"least_epochs": "min_epochs"}
_PROGRESS = {"of": "total"}
_EVENT = {"why": "reason", "held": "reached_rung"}
_DECISION = {"why": "reason"}


def upgrade() -> None:
    for table, old, new in _COLUMNS:
        op.execute(f"ALTER TABLE {table} RENAME COLUMN {old} TO {new}")
    for table, column, old, new in _VALUES:
        op.execute(f"UPDATE {table} SET {column} = '{new}' WHERE {column} = '{old}'")
    _rename_keys(lambda names: names)
    _rename_table("replays", "idempotency_keys")


def downgrade() -> None:
    _rename_table("idempotency_keys", "replays")
    _rename_keys(lambda names: {new: old for old, new in names.items()})
    for table, column, old, new in _VALUES:
        op.execute(f"UPDATE {table} SET {column} = '{old}' WHERE {column} = '{new}'")
    for table, old, new in reversed(_COLUMNS):
        op.execute(f"ALTER TABLE {table} RENAME COLUMN {new} TO {old}")


def _rename_table(old: str, new: str) -> None:
    op.drop_index(f"ix_{old}_created_at", old)
    op.rename_table(old, new)
    op.create_index(f"ix_{new}_created_at", new, ["created_at"])
    if op.get_bind().dialect.name == "postgresql":  # SQLite cannot rename a constraint
        op.execute(f"ALTER TABLE {new} RENAME CONSTRAINT pk_{old} TO pk_{new}")


def _rename_keys(direction: Callable[[Names], Names]) -> None:
    gate, halving = direction(_GATE), direction(_HALVING)
    progress, event, decision = direction(_PROGRESS), direction(_EVENT), direction(_DECISION)

    def rename_in_options(options: Json) -> Json:
        if options.get("halving"):
            options = {**options, "halving": _rename(options["halving"], halving)}
        if (options.get("refit") or {}).get("gate"):
            refit = options["refit"]
            options = {**options, "refit": {**refit, "gate": _rename(refit["gate"], gate)}}
        return options

    def rename_in_progress(value: Json) -> Json:
        return _rename(value, progress) if value.get("phase") == "reading" else value

    _convert("studies", "options", rename_in_options)
    _convert("predictors", "gate", lambda value: _rename(value, decision))
    _convert("trials", "progress", rename_in_progress)
    _convert("trial_events", "data", lambda value: _rename(value, event), "kind = 'state'")
    _convert("trial_events", "data", rename_in_progress, "kind = 'progress'")


def _rename(value: Json, names: Names) -> Json:
    return {names.get(key, key): item for key, item in value.items()}


def _convert(table: str, column: str, convert: Callable[[Json], Json], where: str = "1 = 1") -> None:
    """Replace the JSON objects in a column by what `convert` returns."""
    rows = sa.table(table, sa.column("id"), sa.column(column, sa.JSON(none_as_null=True)))
    connection, value = op.get_bind(), rows.c[column]
    query = sa.select(rows.c.id, value).where(value.is_not(None), sa.text(where))
    changed = [
        {"row_id": id, "value": new}
        for id, old in connection.execute(query)
        if isinstance(old, dict) and (new := convert(old)) != old
    ]
    if changed:
        change = sa.update(rows).where(rows.c.id == sa.bindparam("row_id")).values({column: sa.bindparam("value")})
        connection.execute(change, changed)
