"""Parse, run, and turn what went wrong into words and an exit code."""

from __future__ import annotations

import errno
import io
import os
import sys
from contextlib import suppress

from app.cli.exits import FAILED, INTERRUPTED
from app.cli.output import note
from app.cli.parser import parser

_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)


def main(arguments: list[str] | None = None) -> int:
    """Run a subcommand; its exit code."""
    _ready_streams()
    try:
        try:
            chosen = parser().parse_args(arguments)
            return int(chosen.run(chosen))
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # `rdw trials list | head`: who reads has had enough
        _give_up_output()
        return FAILED
    except OSError as error:
        if error.errno not in _UNWRITABLE or error.filename is not None:
            raise
        _give_up_output()
        with suppress(OSError):
            note(f"The output could not be written: {error.strerror}")
        return FAILED


def _ready_streams() -> None:
    """Letters that a terminal does not know are no errors; what was closed (`>&-`) is there, and takes nothing."""
    if sys.stdout is None:
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_RDONLY), "w")
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 (for as long as we run)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _give_up_output() -> None:
    """What is left in its buffer is not worth another error."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
