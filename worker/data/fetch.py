"""`python -m worker.fetch fashion-mnist`: get a data set; the last line printed names the one to train on."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path

from app import typefaces
from app.datasets import DIGITS, FASHION_MNIST, fashion_mnist_folder
from app.settings import get_settings
from worker.datasets import DataError, load
from worker.typefaces import drawn

log = logging.getLogger("rdw.fetch")

_DEBIAN = "dataset-fashion-mnist"
_APT_SECONDS, _SOCKET_SECONDS = 180, 10


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m worker.fetch", description=__doc__)
    parser.add_argument("dataset", choices=[FASHION_MNIST.name, DIGITS.name, typefaces.NAME])
    wanted = parser.parse_args().dataset
    if wanted == typefaces.NAME:
        return _typefaces(get_settings().data_dir)
    if wanted == DIGITS.name:
        print("digits come with scikit-learn: nothing to fetch")
        print(DIGITS.name)
        return 0
    data_dir = get_settings().data_dir
    reasons = []
    for way, fetch in _WAYS.items():
        why_not = fetch(data_dir)
        if why_not is None and _there(data_dir):
            print(f"Fashion-MNIST: {way}" + (f" ({'; '.join(reasons)})" if reasons else ""))
            print(FASHION_MNIST.name)
            return 0
        reasons.append(f"not {way}: {why_not or 'it did not come'}")
    print(f"scikit-learn's digits instead of Fashion-MNIST ({'; '.join(reasons)})")
    print(DIGITS.name)
    return 0


def _typefaces(data_dir: Path) -> int:
    """Draw them ahead, or say what to install."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        found = typefaces.installed()
        drawn(found, data_dir)
    except typefaces.FontsError as error:
        print(f"{error.why}: {typefaces.apt_line()}", file=sys.stderr)
        return 1
    families = len({font.family for font in found.fonts})
    train, test = typefaces.counts(data_dir, found.digest) or (0, 0)
    print(f"{len(found.fonts)} fonts of {families} families: {train} images to train on, {test} to test")
    print(typefaces.NAME)
    return 0


def _already(data_dir: Path) -> str | None:
    return None if _there(data_dir) else "it is not there yet"


def _by_apt(data_dir: Path) -> str | None:
    """Debian's package; the reason where that cannot be."""
    if shutil.which("apt-get") is None:
        return "there is no apt-get"
    if os.geteuid() != 0:
        return "you are not root"
    quiet = ["apt-get", "-y", "-qq", "-o", "Acquire::Retries=0", "-o", f"Acquire::http::Timeout={_SOCKET_SECONDS}"]
    install = [*quiet, "install", "--reinstall", _DEBIAN]  # anew where it is there and damaged
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (install, [*quiet, "update"], install):
        try:
            done = subprocess.run(
                command, capture_output=True, timeout=_APT_SECONDS, stdin=subprocess.DEVNULL, env=environment
            )
        except subprocess.TimeoutExpired:
            return "apt-get took too long"
        if command is install and done.returncode == 0:
            return None
    return "apt-get failed"


def _by_torchvision(data_dir: Path) -> str | None:
    """torchvision's own download, into place once it is whole; the reason where that cannot be."""
    from torchvision.datasets import FashionMNIST

    socket.setdefaulttimeout(_SOCKET_SECONDS)
    root = data_dir / "datasets"
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix=".half-") as half:
        try:
            with contextlib.redirect_stdout(sys.stderr):
                FashionMNIST(half, download=True)
        except (OSError, EOFError, RuntimeError, HTTPException) as error:
            return f"{type(error).__name__} while downloading"
        target = root / "FashionMNIST"
        shutil.rmtree(target, ignore_errors=True)
        os.replace(Path(half) / "FashionMNIST", target)
    return None


def _there(data_dir: Path) -> bool:
    """Whether the files are there and whole."""
    if fashion_mnist_folder(data_dir) is None:
        return False
    try:
        load(FASHION_MNIST, data_dir, limit=20)
    except DataError as error:
        log.warning("%s", error)
        return False
    return True


_WAYS: dict[str, Callable[[Path], str | None]] = {
    "already on this machine": _already,
    f"from Debian's package {_DEBIAN}": _by_apt,
    "by torchvision's download": _by_torchvision,
}

if __name__ == "__main__":
    sys.exit(main())
