"""A service of one's own: `rdw serve` with its data in a folder, ended with us."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.reproduce.client import Client, Unreachable
from app.supervisor import die_with_parent

_READY_SECONDS, _END_SECONDS = 120.0, 30.0


@contextmanager
def own_service(folder: Path) -> Iterator[str]:
    """The address of a service whose data lies in `folder`/data and whose log in `folder`/service.log.

    Raises: Unreachable where it does not come up.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port, log_file = _free_port(), folder / "service.log"
    environment = {**os.environ, "RDW_DATA_DIR": str(folder / "data"), "RDW_PORT": str(port), "RDW_HOST": "127.0.0.1"}
    with log_file.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "serve"],
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            preexec_fn=die_with_parent,  # killed with -9, we leave nobody training
        )
    try:
        yield f"http://127.0.0.1:{port}"
    except Unreachable as error:
        raise Unreachable(f"{error} (see {log_file})") from error
    finally:
        process.terminate()
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until_ready(client: Client, seconds: float = _READY_SECONDS) -> None:
    """Raises: Unreachable."""
    deadline = time.monotonic() + seconds
    while not client.ready():
        if time.monotonic() > deadline:
            raise Unreachable(f"The service was not ready within {seconds:.0f} s.")
        time.sleep(0.3)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
