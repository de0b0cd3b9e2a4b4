"""`python -m worker.data.fetch fashion-mnist`: get a data set; the last line printed is the one to train on."""

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

from app.core.settings import get_settings
from app.data import fonts
from app.data.builtin_datasets import DIGITS, FASHION_MNIST, TYPEFACES, fashion_mnist_folder
from worker.data.glyphs import render_typefaces
from worker.data.image_store import DataError
from worker.data.loading import load

log = logging.getLogger("rdw.fetch")

_DEBIAN_PACKAGE = "dataset-fashion-mnist"
_APT_SECONDS, _SOCKET_SECONDS = 180, 10


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m worker.data.fetch", description=__doc__)
    parser.add_argument("dataset", choices=[FASHION_MNIST.name, DIGITS.name, TYPEFACES])
    name = parser.parse_args().dataset
    if name == TYPEFACES:
        return _render_typefaces(get_settings().data_dir)
    if name == DIGITS.name:
        print("digits come with scikit-learn: nothing to fetch")
        print(DIGITS.name)
        return 0
    return _fetch_fashion_mnist(get_settings().data_dir)


def _render_typefaces(data_dir: Path) -> int:
    """Render the fonts in advance, or print how to install them."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        typefaces = fonts.find_installed()
        render_typefaces(typefaces, data_dir)
    except fonts.FontsError as error:
        print(f"{error.why}: {fonts.install_command()}", file=sys.stderr)
        return 1
    families = len({font.family for font in typefaces.fonts})
    train, test = fonts.image_counts(data_dir, typefaces.digest) or (0, 0)
    print(f"{len(typefaces.fonts)} fonts of {families} families: {train} training images, {test} test images")
    print(TYPEFACES)
    return 0


def _fetch_fashion_mnist(data_dir: Path) -> int:
    """Try each source of Fashion-MNIST; name the digits as a substitute if all of them fail."""
    failures: list[str] = []
    for source, fetch in _SOURCES.items():
        reason = fetch(data_dir)
        if reason is None and _is_usable(data_dir):
            print(f"Fashion-MNIST: {source}" + (f" ({'; '.join(failures)})" if failures else ""))
            print(FASHION_MNIST.name)
            return 0
        failures.append(f"not {source}: {reason or 'the files are missing or damaged'}")
    print(f"scikit-learn's digits instead of Fashion-MNIST ({'; '.join(failures)})")
    print(DIGITS.name)
    return 0


def _find_existing(data_dir: Path) -> str | None:
    return None if _is_usable(data_dir) else "not found"


def _install_package(data_dir: Path) -> str | None:
    """Install Debian's package; return the reason if that fails."""
    if shutil.which("apt-get") is None:
        return "there is no apt-get"
    if os.geteuid() != 0:
        return "you are not root"
    apt = ["apt-get", "-y", "-qq", "-o", "Acquire::Retries=0", "-o", f"Acquire::http::Timeout={_SOCKET_SECONDS}"]
    install = [*apt, "install", "--reinstall", _DEBIAN_PACKAGE]  # which also repairs damaged files
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (install, [*apt, "update"], install):
        try:
            done = subprocess.run(
                command, capture_output=True, timeout=_APT_SECONDS, stdin=subprocess.DEVNULL, env=environment
            )
        except subprocess.TimeoutExpired:
            return "apt-get timed out"
        if command is install and done.returncode == 0:
            return None
    return "apt-get failed"


def _download_with_torchvision(data_dir: Path) -> str | None:
    """Download to a temporary folder and move the complete files into place; return the reason if that fails."""
    from torchvision.datasets import FashionMNIST

    socket.setdefaulttimeout(_SOCKET_SECONDS)
    root = data_dir / "datasets"
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix=".half-") as temporary:
        try:
            with contextlib.redirect_stdout(sys.stderr):
                FashionMNIST(temporary, download=True)
        except (OSError, EOFError, RuntimeError, HTTPException) as error:
            return f"{type(error).__name__} while downloading"
        target = root / "FashionMNIST"
        shutil.rmtree(target, ignore_errors=True)
        os.replace(Path(temporary) / "FashionMNIST", target)
    return None


def _is_usable(data_dir: Path) -> bool:
    """Whether the files exist and are intact."""
    if fashion_mnist_folder(data_dir) is None:
        return False
    try:
        load(FASHION_MNIST, data_dir, limit=20)
    except DataError as error:
        log.warning("%s", error)
        return False
    return True


_SOURCES: dict[str, Callable[[Path], str | None]] = {
    "already on this machine": _find_existing,
    f"from Debian's package {_DEBIAN_PACKAGE}": _install_package,
    "by torchvision's download": _download_with_torchvision,
}

if __name__ == "__main__":
    sys.exit(main())
