"""What the commands that ask a service share: where it is, --json, and errors in words with an exit code."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from app.cli import ids
from app.cli.exits import FAILED, INVALID, REFUSED, UNREACHABLE
from app.cli.output import note, paint, sentence

if TYPE_CHECKING:
    from rdw_client import Client, RdwError

Run = Callable[["Client", argparse.Namespace], int]

_PATIENCE = 10.0  # seconds: a person waits


def group(commands: Any, name: str, text: str) -> Any:
    """A command with commands below it, which are added to what comes back."""
    parser = commands.add_parser(name, help=text, description=sentence(text))
    return parser.add_subparsers(required=True, metavar="command")


def add(commands: Any, name: str, run: Run, text: str, *, within: bool = False) -> argparse.ArgumentParser:
    """A subcommand that asks the service; `within` another that asks: what was given before its name holds."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=sentence(text), argument_default=argparse.SUPPRESS if within else None
    )
    service = parser.add_argument_group("service")
    service.add_argument("--url", help="where it answers (default: RDW_URL, or http://127.0.0.1:8000)")
    service.add_argument(
        "--key", help="API key (better: RDW_API_KEY; others on this machine see the command line and its keys)"
    )
    service.add_argument("--json", action="store_true", help="print what the API answers, as JSON")
    parser.set_defaults(run=lambda arguments: asked(run, arguments))
    return parser


def asked(run: Run, arguments: argparse.Namespace) -> int:
    """Run with a client; what goes wrong is said on stderr."""
    from rdw_client import Client, RdwError  # here, so that `rdw serve` and help do without it

    try:
        with Client(arguments.url, arguments.key, retries=3, patience=_PATIENCE) as client:
            ids.complete(client, arguments)
            return run(client, arguments)
    except RdwError as error:
        return _said(error, arguments)
    except ValueError as error:
        note(str(error))
        return INVALID
    except OSError as error:
        if error.filename is None:  # our output
            raise
        note(f"{error.filename}: {error.strerror}")
        return FAILED


def _said(error: RdwError, arguments: argparse.Namespace) -> int:
    import rdw_client as rdw

    if isinstance(error, rdw.Problem) and arguments.json:
        print(json.dumps(error.raw), file=sys.stderr)
        return _code(error)
    unknown = _unknown_baseline(error, arguments)
    note(f"{paint('error:', 'failed', sys.stderr)} {unknown or error}")
    hint = _hint(error)
    if hint:
        note(hint)
    return FAILED if unknown else _code(error)


def _unknown_baseline(error: RdwError, arguments: argparse.Namespace) -> str | None:
    """In words, where the API has a pattern that the name does not match."""
    import rdw_client as rdw

    name = getattr(arguments, "architecture", None)
    wrong = [str(one.get("pointer")).lstrip("/") for one in error.errors] if isinstance(error, rdw.Invalid) else []
    if isinstance(name, str) and wrong == ["architecture"]:
        return f"There is no baseline {name!r}: see `rdw architectures`"
    return None


def _hint(error: RdwError) -> str | None:
    """What to do about it."""
    import rdw_client as rdw

    if isinstance(error, rdw.Unreachable):
        return "Start a service with `rdw serve`, or set RDW_URL to where one answers."
    if isinstance(error, rdw.Unauthorized):
        if error.status == 403:
            return "Set RDW_API_KEY to a key of a larger scope (`rdw keys create --scope …` makes one)."
        return "Set RDW_API_KEY to a key of this service."
    if isinstance(error, rdw.NotFound) and (error.detail == "Not Found" or "type" not in error.raw):
        return "Set RDW_URL to the service's address, without a path below it."  # no such route: it is not the id
    return None


def _code(error: RdwError) -> int:
    import rdw_client as rdw

    if isinstance(error, rdw.Unreachable | rdw.Unavailable | rdw.RateLimited | rdw.NotUnderstood):
        return UNREACHABLE
    if isinstance(error, rdw.Unauthorized):
        return REFUSED
    return INVALID if isinstance(error, rdw.Invalid) else FAILED
