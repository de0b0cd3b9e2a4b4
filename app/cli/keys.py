"""`rdw keys`: make, list and revoke API keys."""

from __future__ import annotations

import argparse
import json
import re
import sys
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from app.cli.local import with_settings
from app.cli.output import sentence
from app.scopes import SCOPES

if TYPE_CHECKING:
    from app.db.tables import ApiKeyRow
    from app.settings import Settings

_UNITS = {"h": "hours", "d": "days", "w": "weeks"}
_NAME = r"[A-Za-z0-9][A-Za-z0-9_.@\-]{0,99}"


def add_command(commands: Any) -> None:
    """Add `rdw keys` to the command line."""
    text = "make, list and revoke API keys"
    parser = commands.add_parser("keys", help=text, description=sentence(text))
    actions = parser.add_subparsers(required=True, metavar="action")

    create = actions.add_parser("create", help="make a key and print it, this once")
    create.add_argument("--name", required=True, type=_name, help="what it is for; each name once")
    create.add_argument("--scope", required=True, choices=SCOPES, help="each may do what those before it may")
    create.add_argument(
        "--expires", type=_span, metavar="90d", help="after so many hours, days or weeks; left out: never"
    )
    create.set_defaults(run=lambda chosen: with_settings(lambda settings: _create(chosen, settings)))

    listing = actions.add_parser("list", help="all keys that were ever made, without their secrets")
    listing.set_defaults(run=lambda chosen: with_settings(lambda settings: _list(chosen, settings)))

    revoke = actions.add_parser("revoke", help="let a key in no more, within five seconds")
    revoke.add_argument("key", metavar="ID|NAME", help="see `rdw keys list`")
    revoke.set_defaults(run=lambda chosen: with_settings(lambda settings: _revoke(chosen, settings)))
    for action in (create, listing, revoke):
        action.add_argument("--json", action="store_true", help="print JSON")


def _create(chosen: argparse.Namespace, settings: Settings) -> int:
    from app.db.tables import utc_now
    from app.db.unit_of_work import UnitOfWork
    from app.errors import Conflict
    from app.services import keys

    expires_at = utc_now() + chosen.expires if chosen.expires else None
    try:
        with UnitOfWork(settings.database) as work:
            row, secret = keys.create(work, chosen.name, chosen.scope, expires_at)
    except Conflict as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps({**_plain(row), "key": secret}) if chosen.json else secret)
    print(f"{row.name} may {row.scope}. The key is shown this once: keep it.", file=sys.stderr)
    return 0


def _list(chosen: argparse.Namespace, settings: Settings) -> int:
    from app.db.unit_of_work import UnitOfWork

    with UnitOfWork(settings.database, writes=False) as work:
        rows = [_plain(row) for row in work.keys.all()]
    if chosen.json:
        print(json.dumps(rows))
        return 0
    columns = ("id", "name", "scope", "state", "expires_at", "last_used_at")
    for line in ({c: c for c in columns}, *rows):
        print("  ".join(f"{line[c] or '-':<{width}}" for c, width in zip(columns, (32, 24, 6, 8, 25, 25), strict=True)))
    return 0


def _revoke(chosen: argparse.Namespace, settings: Settings) -> int:
    from app.db.unit_of_work import UnitOfWork
    from app.errors import NotFound
    from app.services import keys

    try:
        with UnitOfWork(settings.database) as work:
            row = keys.revoke(work, chosen.key)
    except NotFound as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(_plain(row)) if chosen.json else f"{row.name} is revoked")
    return 0


def _plain(row: ApiKeyRow) -> dict[str, str | None]:
    from app.services import keys

    return {
        "id": row.id,
        "name": row.name,
        "scope": row.scope,
        "state": keys.standing(row),
        "created_at": _shown(row.created_at),
        "expires_at": _shown(row.expires_at),
        "last_used_at": _shown(row.last_used_at),
    }


def _shown(at: datetime | None) -> str | None:
    return at.isoformat(timespec="seconds") if at else None


def _name(given: str) -> str:
    if not re.fullmatch(_NAME, given):
        raise argparse.ArgumentTypeError("letters, digits and . _ - @ only, at most 100")
    return given


def _span(given: str) -> timedelta:
    found = re.fullmatch(r"([1-9]\d{0,4})([hdw])", given)
    if found is None:
        raise argparse.ArgumentTypeError("a number and h, d or w, such as 90d")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})
