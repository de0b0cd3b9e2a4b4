"""The embedded broker: Celery messages as files below the data root, so that no server is needed."""

from __future__ import annotations

import os
import uuid
from contextlib import suppress
from pathlib import Path
from time import monotonic, time
from typing import Any

from kombu.transport import TRANSPORT_ALIASES
from kombu.transport.filesystem import Channel, Transport
from kombu.utils.json import dumps

from app.core.settings import Settings

URL = "rdwfiles://localhost"

_PROCESSED_RETENTION_SECONDS = 3600


class AtomicFilesChannel(Channel):
    """kombu's filesystem transport without its two ways of losing messages.

    Message files are written atomically (readers may see a part of one that kombu's own `_put` is writing). A message
    goes to the queue named by its routing key (kombu reads that from a file, and drops the message if it is missing).
    """

    supports_fanout = False

    def _put(self, queue: str, payload: dict[str, Any], **kwargs: Any) -> None:  # type: ignore[override]
        folder = Path(self.data_folder_out)
        name = f"{round(monotonic() * 1000)}_{uuid.uuid4()}"
        message = folder / f"{name}.{queue}.msg"
        partial = folder / f"{name}.part"
        partial.write_text(dumps(payload))
        os.replace(partial, message)

    def _lookup(self, exchange: str, routing_key: str, default: str | None = None) -> list[str]:
        return [routing_key]


class AtomicFilesTransport(Transport):
    """The transport of the embedded broker, registered under the scheme of `URL`."""

    Channel = AtomicFilesChannel


TRANSPORT_ALIASES["rdwfiles"] = f"{__name__}:AtomicFilesTransport"


def transport_options(settings: Settings) -> dict[str, object]:
    """Create the folders and return Celery's `broker_transport_options`."""
    folders = {name: settings.data_dir / "broker" / name for name in ("messages", "processed")}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    return {
        "data_folder_in": str(folders["messages"]),
        "data_folder_out": str(folders["messages"]),
        "processed_folder": str(folders["processed"]),
        "store_processed": True,
        "polling_interval": 0.1,
    }


def prune_processed(settings: Settings) -> None:
    """Delete the files of messages received more than an hour ago."""
    oldest = time() - _PROCESSED_RETENTION_SECONDS
    for file in (settings.data_dir / "broker" / "processed").glob("*.msg"):
        with suppress(FileNotFoundError):  # another replica deletes them as well
            if file.stat().st_mtime < oldest:
                file.unlink()
