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


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
