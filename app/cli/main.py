"""Parse, run, and turn what went wrong into words and an exit code."""

from __future__ import annotations

import os
import sys

from app.cli.exits import FAILED, INTERRUPTED
from app.cli.parser import parser


def main(arguments: list[str] | None = None) -> int:
    """Run a subcommand; its exit code."""
    chosen = parser().parse_args(arguments)
    try:
        code = int(chosen.run(chosen))
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # `rdw trials list | head`: who reads has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left is not worth an error
        return FAILED
