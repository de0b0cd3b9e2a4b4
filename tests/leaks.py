"""Detects leaks: threads, processes, sockets and files that a test does not close fail that test, not the next one."""

from __future__ import annotations

import gc
import os
import socket
import stat
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil
import pytest

shared_ports: set[int] = set()
"""Ports of servers that several tests share: connections to them do not count as leaks."""

_SERVICE_THREADS = {"maintenance", "dataset-checks", "keys"}  # daemons that use the database
_MAX_SECONDS = 30.0  # for everything to end that is already ending


@contextmanager
def check_for_leaks() -> Iterator[None]:
    """Fail if something is open after the block that was not open before it."""
    before = _open_resources()
    yield
    deadline = time.monotonic() + _MAX_SECONDS
    while leaked := _open_resources() - before:
        if time.monotonic() > deadline:
            pytest.fail(f"the test left behind: {', '.join(sorted(leaked))}{_commands()}")
        gc.collect()
        time.sleep(0.02)


def _open_resources() -> set[str]:
    """Return the threads, child processes, sockets, and open files in test folders."""
    return _threads() | _children() | _descriptors()


def _threads() -> set[str]:
    """Return the threads, except those of an event loop's pool, which end with the loop, and other daemons.

    Those of anyio's pool, in which routes run, count once: a service that several tests share adds some as it needs.
    """
    return {
        f"thread {thread.name}" if thread.name.startswith("AnyIO") else f"thread {thread.name} ({thread.native_id})"
        for thread in threading.enumerate()
        if (not thread.daemon or thread.name in _SERVICE_THREADS) and not thread.name.startswith("asyncio_")
    }


def _children() -> set[str]:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return set()  # the usual case, and much faster than listing all processes
    return {f"process {child.pid}" for child in psutil.Process().children() if not _is_shared(child)}


def _is_shared(child: psutil.Process) -> bool:
    """Whether it may compute for a service that several tests share; such services start them when they need them."""
    with suppress(psutil.NoSuchProcess):
        return bool(shared_ports) and "app.core.pool_process" in child.cmdline()
    return False


def _commands() -> str:
    """Return the command lines of the child processes."""
    lines = []
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):
            lines.append(f"\n{child.pid}: {' '.join(child.cmdline())}")
    return "".join(lines)


def _descriptors() -> set[str]:
    resources = set()
    for descriptor in map(int, os.listdir("/dev/fd")):
        with suppress(OSError):
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                if (ports := _ports(descriptor)) and not shared_ports & ports:
                    resources.add(f"socket {descriptor} of ports {sorted(ports)}")
            elif f"{os.sep}test_" in (file := _file(descriptor)):
                resources.add(f"{file} (descriptor {descriptor})")
    return resources


def _ports(descriptor: int) -> set[int]:
    """Return the ports of both ends of a TCP connection."""
    ports = set()
    with socket.socket(fileno=os.dup(descriptor)) as opened:
        for name in (opened.getsockname, opened.getpeername):
            with suppress(OSError):
                address = name()
                if isinstance(address, tuple):
                    ports.add(int(address[1]))
    return ports


def _file(descriptor: int) -> str:
    """Return the path of a file below the temporary folder; empty for other files, and on macOS."""
    try:
        path = os.readlink(f"/proc/self/fd/{descriptor}")
    except FileNotFoundError:
        return ""
    return path if path.startswith(tempfile.gettempdir()) else ""
