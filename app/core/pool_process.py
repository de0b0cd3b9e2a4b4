"""A process of the pool: calls the functions that it receives, until the pool closes the connection."""

from __future__ import annotations

import os
import signal
import sys
import traceback

from app.core.process_pool import connect
from app.scaling import bounded_cache

_NICENESS = 5  # the process that answers requests comes first


def main(descriptor: int, cache_bytes: int) -> None:
    """Serve the pool at the other end of the connection."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal; the pool ends this one
    os.nice(_NICENESS)
    _leave_a_core()
    bounded_cache.set_limit(cache_bytes)
    with connect(descriptor) as connection:
        while True:
            try:
                function, arguments = connection.recv()
            except EOFError:
                return
            error = None
            try:
                for result in function(*arguments):
                    connection.send((False, result))
            except Exception as raised:  # the pool raises it again
                raised.add_note(traceback.format_exc())
                error = raised
            connection.send((True, error))


def _leave_a_core() -> None:
    """Leave one core to requests: even at a low priority a computation delays them by a few milliseconds each."""
    if hasattr(os, "sched_setaffinity"):  # not on macOS
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[1:] or cores)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
