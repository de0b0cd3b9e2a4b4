"""`rdw keys`: creates, lists and revokes API keys."""

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import typer

from app.cli.local_command import local_command
from app.cli.output import note, print_json, print_table
from app.cli.parameters import REQUIRED, argument, flag, option
from app.core.callers import KEY_NAME
from app.core.scopes import Scope

if TYPE_CHECKING:
    from app.core.settings import Settings
    from app.db.tables import ApiKeyRow

app = typer.Typer(name="keys", no_args_is_help=True, help="Create, list and revoke API keys.")

_UNITS = {"h": "hours", "d": "days", "w": "weeks"}
_JSON: Any = flag("--json", "Print JSON.")
_COLUMNS = ("id", "name", "scope", "state", "expires_at", "last_used_at")


def _parse_name(text: str) -> str:
    if not re.fullmatch(KEY_NAME, text):
        raise typer.BadParameter("at most 100 letters, digits and . _ - @ are allowed.")
    return text


def _parse_span(text: str) -> timedelta:
    match = re.fullmatch(r"([1-9]\d{0,4})([hdw])", text)
    if match is None:
        raise typer.BadParameter(f"{text!r} is not a number of hours, days or weeks such as 12h, 90d or 4w.")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def _parse_time(text: str) -> datetime:
    if text == "now":
        return datetime.now(UTC)
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter(f"{text!r} is neither `now` nor a time such as 2026-11-30T12:00:00+00:00.") from None


@app.command("create")
@local_command
def create(
    settings: "Settings",
    name: str = option("Unique name that says what it is for.", "NAME", default=REQUIRED, parse=_parse_name),
    scope: Scope = option("read, train or admin; each includes the ones before it.", "SCOPE", default=REQUIRED),
    expires: timedelta | None = option(
        "Lifetime in hours (12h), days (90d) or weeks (4w) (default: unlimited).", "TIME", parse=_parse_span
    ),
    replaces: str | None = option("Give everything that this key owns to the new one.", "KEY"),
    as_json: bool = _JSON,
) -> int:
    """Create a key and print it. It cannot be printed again."""
    from app.db.tables import utc_now
    from app.db.unit_of_work import UnitOfWork
    from app.services.auth import keys

    with UnitOfWork(settings.database) as work:
        ends = utc_now() + expires if expires else None
        row, secret = keys.create(work, name, scope, ends, replaces=replaces)
    print_json({**_to_json(row), "key": secret}) if as_json else print(secret)
    note(f"{row.name} has the scope {row.scope}. Store the key now: it cannot be shown again.")
    return 0


@app.command("list")
@local_command
def list_keys(settings: "Settings", as_json: bool = _JSON) -> int:
    """List all keys, including revoked ones, without their secrets."""
    from app.db.unit_of_work import UnitOfWork

    with UnitOfWork(settings.database, writes=False) as work:
        rows = [_to_json(row) for row in work.keys.list_all()]
    print_json(rows) if as_json else print_table(_COLUMNS, ([row[c] or "-" for c in _COLUMNS] for row in rows))
    return 0


@app.command("revoke")
@local_command
def revoke(
    settings: "Settings",
    key: str = argument("Id or name of the key: see `rdw keys list`.", "KEY"),
    as_json: bool = _JSON,
) -> int:
    """Revoke a key. The service rejects it within five seconds."""
    from app.db.unit_of_work import UnitOfWork
    from app.services.auth import keys

    with UnitOfWork(settings.database) as work:
        row = keys.revoke(work, key)
    print_json(_to_json(row)) if as_json else print(f"{row.name} is revoked")
    return 0


@app.command("revoke-before")
@local_command
def revoke_before(
    settings: "Settings",
    time: datetime = argument("`now`, or a time such as 2026-11-30T12:00:00+00:00.", "TIME", parse=_parse_time),
    as_json: bool = _JSON,
) -> int:
    """Revoke all keys created before a time: after a restore, since keys revoked since the backup are valid again."""
    from app.db.unit_of_work import UnitOfWork
    from app.services.auth import keys

    with UnitOfWork(settings.database) as work:
        rows = keys.revoke_before(work, time)
    print_json([_to_json(row) for row in rows]) if as_json else print(
        f"revoked: {', '.join(row.name for row in rows) or 'none'}"
    )
    return 0


def _to_json(row: "ApiKeyRow") -> dict[str, str | None]:
    from app.services.auth import keys

    return {
        "id": row.id,
        "name": row.name,
        "scope": row.scope,
        "state": keys.status(row),
        "created_at": _format_time(row.created_at),
        "expires_at": _format_time(row.expires_at),
        "last_used_at": _format_time(row.last_used_at),
    }


def _format_time(time: datetime | None) -> str | None:
    return time.isoformat(timespec="seconds") if time else None
