"""Checks of the data directory: writable, with free space, on a file system that SQLite supports."""

from __future__ import annotations

import shutil
from pathlib import Path

from app.core.settings import Settings
from app.doctor.finding import Finding, fail, ok, warn
from app.doctor.startup import unwritable_reason

_LOW_BYTES, _MIN_BYTES = 5 * 10**9, 5 * 10**8
_MOUNTS = Path("/proc/mounts")
# SQLite's WAL uses shared memory: all processes must be on one machine, and the file system must support it.
_WITHOUT_WAL = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "afs", "ceph", "glusterfs", "vboxsf")


def check_writable(settings: Settings) -> Finding:
    problem = unwritable_reason(settings.data_dir)
    if problem:
        cure = "Give this user the folder (chown, chmod), or set RDW_DATA_DIR to another."
        return fail("data directory", problem, cure)
    return ok("data directory", str(settings.data_dir))


def check_space(settings: Settings) -> Finding:
    existing = next(folder for folder in (settings.data_dir, *settings.data_dir.parents) if folder.exists())
    return check_free(shutil.disk_usage(existing).free, existing)


def check_free(free: int, folder: Path) -> Finding:
    """Check the free space for checkpoints and weights: a full disk stops trainings."""
    summary = f"{free / 1e9:.1f} GB in {folder}"
    cure = "Make room, or set RDW_DATA_DIR and RDW_KEEP_DAYS (docs/operations.md)."
    if free < _MIN_BYTES:
        return fail("free space", summary, cure)
    return warn("free space", summary, cure) if free < _LOW_BYTES else ok("free space", summary)


def check_database_file(settings: Settings) -> Finding:
    """Check that SQLite's file is on a local file system."""
    if not settings.database.startswith("sqlite:///"):
        return ok("database file", "the database is a server")
    path = Path(settings.database.removeprefix("sqlite:///"))
    return check_file_system(path, file_system(path, _MOUNTS.read_text() if _MOUNTS.exists() else ""))


def check_file_system(path: Path, kind: str) -> Finding:
    if kind in _WITHOUT_WAL:
        cure = "Put RDW_DATA_DIR on a local disk, or set RDW_DATABASE_URL to a PostgreSQL."
        return fail("database file", f"{path} is on {kind}, where SQLite loses data", cure)
    return ok("database file", f"{path}{f' on {kind}' if kind else ''}")


def file_system(path: Path, mounts: str) -> str:
    """Return the type of the file system that the path is on, by /proc/mounts; empty if unknown."""
    deepest_kind, depth = "", -1
    for line in mounts.splitlines():
        _, mount_point, kind, *_ = line.split(" ")
        point = Path(mount_point.replace("\\040", " "))
        if path.is_relative_to(point) and len(point.parts) >= depth:
            deepest_kind, depth = kind, len(point.parts)
    return deepest_kind
