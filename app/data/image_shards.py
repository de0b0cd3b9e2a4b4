"""WebDataset's tar files: members of the same name make up a sample, an image and a label in `.cls` or `.json`.

The shards are indexed once and images are then read at their place in the shard, in any order: so a training on shards
has the same batches as one on files. Shards may be named after parts (`train-0000.tar`), or lie in folders of parts.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from app.data.builtin_datasets import Part
from app.data.folder_scan import FolderError, FolderScan, is_image_name, join, printable
from app.data.labelled_images import PARTS, ImageCollector, LabelledImages, Reading
from app.data.part_names import part_of

_MAX_LABEL_BYTES = 1 << 20
_LABEL_KEYS = ("label", "cls", "class")


def shard_readings(scan: FolderScan, top: str) -> list[Reading]:
    """Return how the shards directly in `top`, or in folders of parts there, can be read: in one way or not at all."""
    shards = [(join(top, file), part_of(file)) for file in scan.entries(top).files if _is_shard(file)]
    for folder in scan.entries(top).folders:
        if part := part_of(folder):
            inside = join(top, folder)
            shards += [(join(inside, file), part) for file in scan.entries(inside).files if _is_shard(file)]
    by_part: dict[Part, list[str]] = {}
    for shard, part in shards:
        by_part.setdefault(part[0] if part else "train", []).append(shard)
    if not shards:
        return []
    if "test" not in by_part and "validation" in by_part:
        by_part["test"] = by_part.pop("validation")
    return [Reading("shards", f"with {len(shards)} tar files", lambda: _read(scan, by_part))]


def _is_shard(file: str) -> bool:
    return file.lower().endswith(".tar")


def _read(scan: FolderScan, by_part: dict[Part, list[str]]) -> LabelledImages:
    collector = ImageCollector()

    def images() -> Iterator[str]:
        for part in PARTS:
            for shard in by_part.get(part, []):
                for location, label in _read_samples(scan, shard):
                    yield collector.add(location, label, part)

    sources: dict[Part, str] = {
        part: f"{len(shards)} tar files from {printable(shards[0])!r} on" for part, shards in by_part.items()
    }
    return collector.collect("shards", images(), sources, scan, is_simple=False)


def _read_samples(scan: FolderScan, shard: str) -> Iterator[tuple[str, str]]:
    """Yield the location and the label of each image; the members of a sample follow each other."""
    key, image, label = "", "", ""
    try:
        scan.note_time(shard)
        with (scan.folder / shard).open("rb") as opened, tarfile.open(fileobj=opened, mode="r:") as tar:
            while (member := tar.next()) is not None:
                tar.members = []  # type: ignore[attr-defined]  # tarfile would keep all of them
                scan.check_stop()
                if not member.isfile() or Path(member.name).name.startswith("."):
                    continue
                folder, _, base = member.name.rpartition("/")
                stem, _, suffix = base.partition(".")
                if f"{folder}/{stem}" != key:
                    yield from _sample(scan, shard, key, image, label)
                    key, image, label = f"{folder}/{stem}", "", ""
                if is_image_name(base) and not image:
                    image = f"{shard}\0{member.offset_data}\0{member.size}"
                elif suffix.lower() in ("cls", "json"):
                    label = _read_label(tar.extractfile(member), suffix.lower()) or label
                else:
                    scan.skip(f"in a tar file, neither image nor label (.{printable(suffix[:10])})", member.name)
            yield from _sample(scan, shard, key, image, label)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise FolderError(f"The tar file {printable(shard)!r} cannot be read: {error}.") from error


def _sample(scan: FolderScan, shard: str, key: str, image: str, label: str) -> Iterator[tuple[str, str]]:
    if image and label:
        yield image, label
    elif image:
        scan.skip("without a label", f"{shard}:{key.removeprefix('/')}")


def _read_label(member: IO[bytes] | None, suffix: str) -> str:
    content = member.read(_MAX_LABEL_BYTES) if member is not None else b""
    text = content.decode("utf-8", "backslashreplace").strip()
    if suffix == "cls":
        return printable(text)
    try:
        values = json.loads(text)
    except ValueError:
        return ""
    found = next((values[name] for name in _LABEL_KEYS if name in values), None) if isinstance(values, dict) else None
    return printable(str(found)) if isinstance(found, str | int) else ""
