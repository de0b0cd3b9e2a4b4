"""Parse, run, and turn what went wrong into words and an exit code."""

from __future__ import annotations

import sys

from app.cli.exits import FAILED, INTERRUPTED
from app.cli.parser import parser


def main(arguments: list[str] | None = None) -> int:
    """Run a subcommand; its exit code."""
    chosen = parser().parse_args(arguments)
    try:
        return int(chosen.run(chosen))
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # `rdw trials list | head`: who reads has had enough
        sys.stderr.close()
        return FAILED
