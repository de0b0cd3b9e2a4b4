"""The data directory: there, writable, with room, on a file system that SQLite can work on."""

from __future__ import annotations

import shutil
from pathlib import Path

from app.doctor.finding import Finding, fail, ok, warn
from app.settings import Settings
from app.startup import unwritable

_LITTLE, _TOO_LITTLE = 5 * 10**9, 5 * 10**8
_MOUNTS = Path("/proc/mounts")
# SQLite's WAL is shared memory: it needs all processes on one machine, and a file system that maps files truly.
_WITHOUT_WAL = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "afs", "ceph", "glusterfs", "vboxsf")


def writable(settings: Settings) -> Finding:
    why_not = unwritable(settings.data_dir)
    if why_not:
        cure = "Give this user the folder (chown, chmod), or set RDW_DATA_DIR to another."
        return fail("data directory", why_not, cure)
    return ok("data directory", str(settings.data_dir))


def space(settings: Settings) -> Finding:
    there = next(folder for folder in (settings.data_dir, *settings.data_dir.parents) if folder.exists())
    return room(shutil.disk_usage(there).free, there)


def room(free: int, folder: Path) -> Finding:
    """Checkpoints and weights need it: a full disk stops trainings."""
    said = f"{free / 1e9:.1f} GB in {folder}"
    cure = "Make room, or set RDW_DATA_DIR and RDW_KEEP_DAYS (docs/operations.md)."
    if free < _TOO_LITTLE:
        return fail("free space", said, cure)
    return warn("free space", said, cure) if free < _LITTLE else ok("free space", said)


def database_file(settings: Settings) -> Finding:
    """Of SQLite: that its file lies on a local file system."""
    if not settings.database.startswith("sqlite:///"):
        return ok("database file", "none: the database is a server")
    path = Path(settings.database.removeprefix("sqlite:///"))
    return on_file_system(path, file_system(path, _MOUNTS.read_text() if _MOUNTS.exists() else ""))


def on_file_system(path: Path, kind: str) -> Finding:
    if kind in _WITHOUT_WAL:
        cure = "Put RDW_DATA_DIR on a local disk, or set RDW_DATABASE_URL to a PostgreSQL."
        return fail("database file", f"{path} is on {kind}, where SQLite loses data", cure)
    return ok("database file", f"{path}{f' on {kind}' if kind else ''}")


def file_system(path: Path, mounts: str) -> str:
    """The kind of the mount that the path is on, by what /proc/mounts says; empty where it does not."""
    found, longest = "", -1
    for line in mounts.splitlines():
        _, at, kind, *_ = line.split(" ")
        point = Path(at.replace("\\040", " "))
        if path.is_relative_to(point) and len(point.parts) >= longest:
            found, longest = kind, len(point.parts)
    return found
