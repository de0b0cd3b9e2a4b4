"""Signs of life of the workers of a machine: files in its temporary folder, for liveness probes.

They need neither the database nor the broker nor the data directory. A probe that did would make the platform restart
all workers during an outage, and lose their trainings.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
import threading
import time
from pathlib import Path

from app.core.settings import Settings

log = logging.getLogger("rdw.worker")

_INTERVAL_SECONDS = 5.0
_STALE_SECONDS = 30.0


class SignOfLife(threading.Thread):
    """Renews the file of a worker until `stop`."""

    def __init__(self, settings: Settings, worker: str) -> None:
        super().__init__(name="sign of life", daemon=True)
        self._file = _folder(settings) / worker
        self._stopped = threading.Event()

    def run(self) -> None:
        try:
            self._file.parent.mkdir(mode=0o700, exist_ok=True)
            self._delete_stale()
            while True:
                self._file.touch()
                if self._stopped.wait(_INTERVAL_SECONDS):
                    return self._file.unlink(missing_ok=True)
        except OSError as error:
            log.warning("`rdw alive` cannot see this worker: %s", error)

    def stop(self) -> None:
        """Stop the thread and delete the file."""
        self._stopped.set()
        self.join()

    def _delete_stale(self) -> None:
        """Delete the files of workers that were killed."""
        for file in self._file.parent.iterdir():
            if not _is_fresh(file):
                file.unlink(missing_ok=True)


def list_alive(settings: Settings) -> list[str]:
    """Return the names of the workers of this service that run on this machine."""
    folder = _folder(settings)
    return sorted(file.name for file in folder.iterdir() if _is_fresh(file)) if folder.is_dir() else []


def _folder(settings: Settings) -> Path:
    service = hashlib.sha256(f"{settings.database} {settings.data_dir}".encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"rdw-workers-{os.getuid()}-{service}"


def _is_fresh(file: Path) -> bool:
    try:
        return time.time() - file.stat().st_mtime < _STALE_SECONDS
    except FileNotFoundError:
        return False
