"""What the commands that ask a service share: where it is, --json, and errors in words with an exit code."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from app.cli.exits import FAILED, INVALID, REFUSED, UNREACHABLE
from app.cli.output import note, paint

if TYPE_CHECKING:
    from rdw_client import Client, RdwError

Run = Callable[["Client", argparse.Namespace], int]

_PATIENCE = 10.0  # seconds: a person waits


def add(commands: Any, name: str, run: Run, text: str, **more: Any) -> argparse.ArgumentParser:
    """A subcommand that asks the service."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=text[:1].upper() + text[1:] + ".", **more
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
            return run(client, arguments)
    except RdwError as error:
        return _said(error, arguments.json)
    except ValueError as error:
        note(str(error))
        return INVALID
    except BrokenPipeError:
        raise
    except OSError as error:  # a file of ours, to be written
        note(f"{error.filename}: {error.strerror}")
        return FAILED


def _said(error: RdwError, as_json: bool) -> int:
    import rdw_client as rdw

    if isinstance(error, rdw.Problem) and as_json:
        print(json.dumps(error.raw), file=sys.stderr)
    else:
        note(f"{paint('error:', 'failed', sys.stderr)} {error}")
    if isinstance(error, rdw.Unreachable):
        note("Start a service with `rdw serve`, or set RDW_URL to where one answers.")
        return UNREACHABLE
    if isinstance(error, rdw.Unauthorized):
        note("Set RDW_API_KEY to a key of this service.") if not as_json else None
        return REFUSED
    if isinstance(error, rdw.Unavailable | rdw.RateLimited | rdw.NotUnderstood):
        return UNREACHABLE
    if isinstance(error, rdw.Invalid):
        return INVALID
    return FAILED
