"""Reads and decodes every image of a folder once, in parallel, and keeps the hashes beside the data.

The registration of a folder and a worker's first training on it share these hashes, so images are checked once.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.data.folder_scan import FolderError, Paths, printable
from app.data.image_decoding import (
    FORMATS,
    MAX_FILE_BYTES,
    UNREADABLE,
    WHITE,
    decode_cropped,
    is_grey,
    is_plain,
    require_readable_file,
)
from app.scaling.resolution import Resolution, describe_resolution

log = logging.getLogger("rdw.images")

OnRead = Callable[[int, int], None]
"""Called every few seconds with the number of images read so far and the number of all; it may raise to stop."""

PixelHashes = NDArray[np.bytes_]
"""A 16-byte hash of the pixels of each image, by which duplicates are found."""

MAX_LISTED = 100  # unreadable files in an error
_PROGRESS_SECONDS = 2.0
_CHUNK_FILES = 64  # files read between checks of the progress
_CACHE = ".checked"  # the folder of the hashes, in the data root


class UnreadableImages(FolderError):
    """Files are not images that can be decoded: how many of how many, and the first of them by name.

    `are_missing`: none of them exists.
    """

    def __init__(self, folder: str, files: list[str], count: int, total: int, *, are_missing: bool = False) -> None:
        if count == 1:
            what = "does not exist, or is a broken link" if are_missing else "cannot be read as an image"
            message = f"{files[0]!r} of {folder!r} {what}: repair or remove it."
        else:
            named = ", ".join(map(repr, files[:5]))
            more = f" and {count - 5:,} more" if count > 5 else ""
            what = "do not exist, or are broken links" if are_missing else "cannot be read as images"
            message = f"{count:,} of {total:,} files of {folder!r} {what}: {named}{more}. "
            message += "Repair or remove them." + " Paths in a table are relative to its folder." * are_missing
        super().__init__(message)
        self.files, self.count = files, count


class FolderChanged(FolderError):
    """Files or folders changed while the images were read."""

    def __init__(self, folder: str) -> None:
        super().__init__(f"Files of {folder!r} changed while they were read: try again once nobody writes to it.")


@dataclass(frozen=True)
class ImageHashes:
    """For each image: the SHA-256 of its content [n, 32], the hash of its pixels, whether it is plain, and if grey.

    A plain image has no transparency and at most 8 bits per channel. Pixels are hashed in RGB, or in RGBA if
    transparency is kept, whatever number of channels networks are trained on.
    """

    contents: NDArray[np.uint8]
    pixels: PixelHashes
    is_plain: NDArray[np.bool_]
    is_grey: NDArray[np.bool_]


def read_location(folder: Path, location: str) -> bytes:
    """Return the content of an image file, or of a member of a tar file (`PATH\\0OFFSET\\0SIZE`).

    Raises: OSError, also for special and huge files.
    """
    path, *span = location.split("\0")
    file = f"{folder}/{path}"
    if not span:
        require_readable_file(file)
        with open(file, "rb", buffering=0) as opened:
            return opened.read()
    offset, size = map(int, span)
    if size > MAX_FILE_BYTES:
        raise OSError("too large for an image")
    with open(file, "rb") as opened:
        opened.seek(offset)
        return opened.read(size)


def size_of_location(folder: Path, location: str) -> int:
    """Return the number of bytes of an image file or of a member of a tar file. Raises: OSError."""
    path, *span = location.split("\0")
    return int(span[1]) if span else os.stat(f"{folder}/{path}").st_size


def name_location(location: str) -> str:
    """Return the location of an image as text for a message."""
    path, *span = location.split("\0")
    return printable(path) + (f" at byte {span[0]}" if span else "")


def check_images(
    folder: Path,
    base: Path,
    paths: Paths,
    resolution: Resolution,
    background: str | None,
    readers: int,
    on_read: OnRead,
) -> ImageHashes:
    """Decode the images of a folder below the data root `base` at a resolution with this number of threads.

    Without a background their transparency is kept.
    The hashes of a former check are returned if no name, size or time has changed since.
    Raises: UnreadableImages; FolderChanged; what `on_read` raises.
    """
    stamp = _stamp(folder, paths, resolution, background, on_read)
    cache = base / _CACHE / f"{stamp[:32]}.npz"
    hashes = _read_cache(cache, stamp)
    if hashes is None:
        hashes = _hash_images(folder, base, paths, resolution, background, readers, on_read)
        if _stamp(folder, paths, resolution, background, on_read) != stamp:
            raise FolderChanged(folder.relative_to(base).as_posix())
        _write_cache(cache, stamp, hashes)
    return hashes


def _stamp(folder: Path, paths: Paths, resolution: Resolution, background: str | None, on_read: OnRead) -> str:
    """Return the SHA-256 of names, sizes and times of the files that exist."""
    digest = hashlib.sha256(f"{folder}\n{resolution}\n{background}\n".encode(errors="surrogateescape"))
    last_path, status = "", ""
    for number, location in enumerate(paths):
        path, _, span = location.partition("\0")
        if path != last_path:
            last_path, status = path, _describe_file(f"{folder}/{path}")
        digest.update(f"{path}\0{span}\0{status}\n".encode(errors="surrogateescape"))
        if number % 10_000 == 9_999:
            on_read(0, len(paths))
    return digest.hexdigest()


def _describe_file(file: str) -> str:
    try:
        status = os.stat(file)
    except OSError:
        return "missing"
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"


def _read_cache(file: Path, stamp: str) -> ImageHashes | None:
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
            if str(arrays["stamp"]) != stamp:
                return None
            if "is_grey" not in arrays:  # written by an earlier version
                return None
            return ImageHashes(arrays["contents"], arrays["pixels"], arrays["is_plain"], arrays["is_grey"])
    except FileNotFoundError:
        return None
    except Exception as error:  # zipfile, zlib and NumPy raise many kinds of errors
        log.warning("the cache %s is damaged (%s): all images are read again", file.name, type(error).__name__)
        return None


def _write_cache(file: Path, stamp: str, hashes: ImageHashes) -> None:
    """Write the hashes atomically; a data root that cannot be written to only costs time."""
    temporary = None
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=file.parent, prefix=f"{file.stem}.", delete=False) as opened:
            temporary = Path(opened.name)
            np.savez(
                opened,
                stamp=stamp,
                contents=hashes.contents,
                pixels=hashes.pixels,
                is_plain=hashes.is_plain,
                is_grey=hashes.is_grey,
            )
        temporary.replace(file)
    except OSError as error:
        log.warning("the hashes of the images cannot be kept, so they are read again: %s", error.strerror)
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _hash_images(
    folder: Path,
    base: Path,
    paths: Paths,
    resolution: Resolution,
    background: str | None,
    readers: int,
    on_read: OnRead,
) -> ImageHashes:
    total = len(paths)
    is_plain_image, is_grey_image = np.zeros(total, np.bool_), np.zeros(total, np.bool_)
    hashes = ImageHashes(np.zeros((total, 32), np.uint8), np.zeros(total, "S16"), is_plain_image, is_grey_image)

    def hash_image(index: int) -> bool:
        """Record an image's hashes; return whether it can be read."""
        try:
            content = read_location(folder, paths[index])
            with Image.open(BytesIO(content), formats=FORMATS) as opened:
                hashes.is_plain[index], hashes.is_grey[index] = is_plain(opened), is_grey(opened)
                pixels = decode_cropped(opened, resolution, background or WHITE, 3 if background else 4)
        except UNREADABLE:
            return False
        hashes.contents[index] = np.frombuffer(hashlib.sha256(content).digest(), np.uint8)
        hashes.pixels[index] = hash_pixels(pixels)
        return True

    def find_unreadable(chunk: range) -> list[int]:
        return [index for index in chunk if not hash_image(index)]

    unreadable: list[str] = []
    count = missing = 0
    last_report = time.monotonic()
    with ThreadPoolExecutor(readers) as pool:
        for start in range(0, total, _CHUNK_FILES * readers):
            stop = min(start + _CHUNK_FILES * readers, total)
            chunks = [range(first, min(first + _CHUNK_FILES, stop)) for first in range(start, stop, _CHUNK_FILES)]
            for indices in pool.map(find_unreadable, chunks):
                count += len(indices)
                missing += sum(not _exists(folder, paths[index]) for index in indices)
                unreadable += [name_location(paths[index]) for index in indices[: MAX_LISTED - len(unreadable)]]
            if time.monotonic() - last_report > _PROGRESS_SECONDS:
                last_report = time.monotonic()
                on_read(stop, total)
    if count:
        name, are_missing = folder.relative_to(base).as_posix(), missing == count
        raise UnreadableImages(name, unreadable, count, total, are_missing=are_missing)
    return hashes


def _exists(folder: Path, location: str) -> bool:
    path, _, _ = location.partition("\0")
    return os.path.exists(f"{folder}/{path}")


def hash_pixels(pixels: NDArray[np.uint8]) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(pixels).tobytes(), digest_size=16).digest()


def combined_digest(resolution: Resolution, notes: list[str], paths: Paths, contents: NDArray[np.uint8]) -> str:
    """Return the SHA-256 of the image size, of notes on how the images are read, and of each path and content.

    Raises: FolderError if an image is listed twice.
    """
    digest = hashlib.sha256("".join(f"{line}\n" for line in (f"{describe_resolution(resolution)} px", *notes)).encode())
    order = paths.sorted_indices()
    last = None
    for path, content in zip(paths.select(order), contents[order], strict=True):
        if path == last:
            raise FolderError(f"{name_location(path)!r} is listed twice.")
        last = path
        line = f"{path}\0{content.tobytes().hex()}\n"
        digest.update(os.fsencode(line))  # a name need not be UTF-8
    return digest.hexdigest()
