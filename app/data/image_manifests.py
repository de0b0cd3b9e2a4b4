"""Tables of paths and labels: `path,label[,split]` as CSV, TSV, JSON lines or Parquet, and Hugging Face's `metadata`.

A table may be named after a part (`train.csv`), or lie in the folder of one (`train/metadata.csv`). Paths are relative
to the folder of the table.
"""

from __future__ import annotations

import codecs
import csv
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from app.data.builtin_datasets import Part
from app.data.folder_scan import FolderError, FolderScan, join, printable
from app.data.labelled_images import PARTS, ImageCollector, LabelledImages, Reading
from app.data.part_names import part_of

_PATH_COLUMNS = (
    "path", "file_name", "filename", "file", "filepath", "file_path", "image_path", "image", "img_path", "image_name",
)  # fmt: skip
_LABEL_COLUMNS = ("label", "class", "class_name", "category", "target", "label_name")
_SPLIT_COLUMNS = ("split", "set", "subset", "partition", "part")
_SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")
_METADATA = tuple(f"metadata{suffix}" for suffix in _SUFFIXES)
_MAX_NAMED_COLUMNS, _MAX_NAMED_TABLES = 10, 3  # in a message
_MAX_LINE = 1 << 20  # characters of a header or of a JSON line

Row = dict[str, Any]


@dataclass(frozen=True)
class _Manifest:
    """A table in the folder `folder` (in the data set's), its columns, and the part that it is named after."""

    folder: str
    file: str
    path: str
    label: str
    split: str | None
    part: Part | None
    delimiter: str = ","

    @property
    def location(self) -> str:
        return join(self.folder, self.file)


def manifest_readings(scan: FolderScan, top: str, name: str) -> list[Reading]:
    """Return how the tables directly in `top` can be read: those named after different parts together, else each."""
    manifests = _find_manifests(scan, top)
    if not manifests:
        return []
    parts = [manifest.part for manifest in manifests]
    together = None not in parts and len(set(parts)) == len(parts) and "train" in parts
    groups = [manifests] if together or len(manifests) == 1 else [[manifest] for manifest in manifests]
    return [_reading(scan, top, name, group) for group in groups]


def describe_unused_tables(scan: FolderScan, top: str) -> str:
    """Say which columns the tables directly in `top` lack; empty if there are no tables that can be read."""
    descriptions = []
    for file in filter(_is_table, scan.entries(top).files):
        try:
            columns = _columns(scan.folder / join(top, file), "\t" if file.lower().endswith(".tsv") else ",")
        except (OSError, ValueError, csv.Error):
            continue
        listed = ", ".join(repr(printable(column)) for column in columns[:_MAX_NAMED_COLUMNS])
        descriptions.append(f"Its table {printable(join(top, file))!r} has the columns {listed}")
    return f" {'. '.join(descriptions[:_MAX_NAMED_TABLES])}: it needs `path` and `label`." if descriptions else ""


def _reading(scan: FolderScan, top: str, name: str, manifests: list[_Manifest]) -> Reading:
    files = ", ".join(repr(printable(manifest.location)) for manifest in manifests)
    return Reading("manifest", f"by the table {files}", lambda: _read(scan, top, name, manifests))


def _find_manifests(scan: FolderScan, top: str) -> list[_Manifest]:
    found = [_open(scan, top, file, part_of(file)) for file in scan.entries(top).files if _is_table(file)]
    for folder in scan.entries(top).folders:
        if (part := part_of(folder)) and not part[1]:
            inside = join(top, folder)
            found += [_open(scan, inside, file, part) for file in scan.entries(inside).files if file in _METADATA]
    return [manifest for manifest in found if manifest is not None]


def _is_table(file: str) -> bool:
    return file.lower().endswith(_SUFFIXES)


def _open(scan: FolderScan, folder: str, file: str, part: tuple[Part, str] | None) -> _Manifest | None:
    """Return the table if it has a column of paths and one of labels; other tables are passed over."""
    location = scan.folder / join(folder, file)
    for delimiter in ("\t",) if file.lower().endswith(".tsv") else (",", ";", "\t"):
        try:
            scan.note_time(join(folder, file))
            columns = _columns(location, delimiter)
        except (OSError, ValueError, csv.Error):
            return None
        by_name = {column.strip().lower(): column for column in columns}
        path, label, split = (
            next((by_name[name] for name in names if name in by_name), None)
            for names in (_PATH_COLUMNS, _LABEL_COLUMNS, _SPLIT_COLUMNS)
        )
        if path is not None and label is not None:
            return _Manifest(folder, file, path, label, split, part[0] if part else None, delimiter)
    return None


def _columns(file: Path, delimiter: str) -> list[str]:
    if not file.is_file():
        return []
    if file.suffix.lower() == ".parquet":
        import pyarrow.parquet

        return list(pyarrow.parquet.read_schema(file).names)
    # Other lines may be invalid; they are reported when all rows are read.
    with file.open(encoding=_encoding(file), errors="replace", newline="") as opened:
        line = opened.readline(_MAX_LINE)
    if file.suffix.lower() == ".jsonl":
        first = json.loads(line) if line.strip() else {}
        return list(first) if isinstance(first, dict) else []
    return next(csv.reader([line], delimiter=delimiter), [])


def _encoding(file: Path) -> str:
    """Return UTF-16 if a byte order mark says so, as in Excel's text files; otherwise UTF-8 with or without a mark."""
    with file.open("rb") as opened:
        return "utf-16" if opened.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"


def _rows(file: Path, manifest: _Manifest) -> Iterator[Row]:
    columns = [column for column in (manifest.path, manifest.label, manifest.split) if column is not None]
    match file.suffix.lower():
        case ".parquet":
            import pyarrow.parquet

            with pyarrow.parquet.ParquetFile(file) as table:
                for batch in table.iter_batches(batch_size=10_000, columns=columns):
                    yield from batch.to_pylist()
        case ".jsonl":
            with file.open(encoding=_encoding(file)) as opened:
                while line := opened.readline(_MAX_LINE):
                    if line.strip():
                        row = json.loads(line)
                        yield row if isinstance(row, dict) else {}
        case _:
            with file.open(encoding=_encoding(file), newline="") as opened:
                yield from csv.DictReader(opened, delimiter=manifest.delimiter)


def _read(scan: FolderScan, top: str, name: str, manifests: list[_Manifest]) -> LabelledImages:
    collector = ImageCollector()
    listed = 0

    def images() -> Iterator[str]:
        nonlocal listed
        for manifest in manifests:
            for number, row in enumerate(_checked_rows(scan, manifest, name), 1):
                path, label, part = _interpret(row, number, manifest, name)
                if label == "":
                    scan.skip("without a label", path or f"row {number}")
                    continue
                _require_inside(scan, path, number, manifest)
                listed += 1
                yield collector.add(path, label, part)

    sources: dict[Part, str] = {}
    for manifest in manifests:
        sources[manifest.part or "train"] = printable(manifest.location)
    labelled = collector.collect("manifest", images(), sources, scan, is_simple=False)
    unlisted = scan.count_images(top) - listed
    if unlisted > 0:
        scan.skip("an image that is not in the table", top or ".", unlisted)
    for part in PARTS:
        if labelled.has_part(part):
            sources.setdefault(part, printable(manifests[0].location))
    return labelled


def _checked_rows(scan: FolderScan, manifest: _Manifest, name: str) -> Iterable[Row]:
    try:
        yield from _rows(scan.folder / manifest.location, manifest)
    except (OSError, ValueError, csv.Error) as error:  # pyarrow's errors are ValueErrors or OSErrors
        raise FolderError(f"The table {printable(manifest.location)!r} of {name!r} cannot be read: {error}.") from error


def _interpret(row: Row, number: int, manifest: _Manifest, name: str) -> tuple[str, str, Part]:
    """Return the path in the data set's folder, the class name (empty without a class) and the part."""
    path, label = (row.get(column) for column in (manifest.path, manifest.label))
    if not isinstance(path, str) or not path.strip() or "\0" in path:
        raise _row_error(number, manifest, name, f"{manifest.path!r} is not a path")
    parts = PurePosixPath(path.strip().replace("\\", "/")).parts
    if parts[0].startswith("/"):
        raise _row_error(number, manifest, name, f"{printable(path)!r} is not relative to the folder of the table")
    within = os.path.normpath("/".join((*PurePosixPath(manifest.folder).parts, *parts)))
    if isinstance(label, float) and label.is_integer():
        label = int(label)
    text = "" if label is None or label != label else printable(str(label).strip())
    return within, text, _part(row, number, manifest, name, parts[0] if len(parts) > 1 else "")


def _part(row: Row, number: int, manifest: _Manifest, name: str, first_folder: str) -> Part:
    value = row.get(manifest.split) if manifest.split is not None else None
    if value is None or value == "":
        named = part_of(first_folder)
        return manifest.part or (named[0] if named and not named[1] else "train")
    found = part_of(str(value))
    if found is None:
        raise _row_error(number, manifest, name, f"{printable(str(value))!r} is not train, validation or test")
    return found[0]


def _row_error(number: int, manifest: _Manifest, name: str, reason: str) -> FolderError:
    return FolderError(f"Row {number} of the table {printable(manifest.location)!r} of {name!r}: {reason}.")


def _require_inside(scan: FolderScan, path: str, number: int, manifest: _Manifest) -> None:
    if not scan.is_inside(path):
        raise FolderError(f"Row {number} of {printable(manifest.location)!r} leads out of the data root.")
