"""Recognises how a folder of images is laid out: which images it has, with which labels, in which parts.

The layouts, of which the reader chooses the only possible one unless it is told which:

- `classes`: `<class>/*`.
- `splits`: `train/<class>/*` with `val/`, `test/` or both, whatever they are called (`Training`, `seg_train`); or like
  ImageNet, `train` and `val`, which is then the test part; or `fold1/`, `fold2/` and so on, of which the last is the
  test part; or `<class>/train/*` and `<class>/test/*`.
- `manifest`: a table of paths and labels, see `image_manifests.py`.
- `shards`: WebDataset's tar files, see `image_shards.py`.

An archive's own folder around all that is descended into. A part without a folder is a share of the training images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

from app.data.builtin_datasets import Layout, Part
from app.data.folder_scan import FolderError, FolderScan, join, printable
from app.data.image_manifests import describe_unused_tables, manifest_readings
from app.data.image_shards import shard_readings
from app.data.labelled_images import PARTS, ImageCollector, LabelledImages, Reading
from app.data.part_names import fold_of, part_of

_MAX_DEPTH = 4  # folders around the data that are descended into
_MAX_NAMED = 5  # names in a message
_ARCHIVES = (".zip", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst", ".7z", ".rar")

_SIMPLE_NAMES = frozenset(("train", "val", "valid", "validation", "test"))  # of parts, known from the start


def read_layout(
    folder: Path, base: Path, layout: Layout | None = None, check_stop: Callable[[], None] = lambda: None
) -> LabelledImages:
    """Read a folder below the data root `base` in the given layout, or in the only possible one.

    Raises: FolderError unless there is exactly one.
    """
    scan = FolderScan(folder, base, check_stop)
    name = folder.relative_to(base).as_posix()
    top = _descend(scan, "")
    readings = [*shard_readings(scan, top), *manifest_readings(scan, top, name)]
    try:
        readings += _folder_readings(scan, top, name, layout)
    except FolderError:
        if not readings:
            raise
    possible = [reading for reading in readings if layout is None or reading.layout == layout]
    if len(possible) > 1:
        raise FolderError(
            f"{name!r} can be read in {len(possible)} ways: {_in_words(possible)}. Say which with `layout`."
        )
    if not possible:
        others = f" It can be read {_in_words(readings)}." if readings else ""
        raise FolderError(f"{name!r} {_missing(scan, top, layout)}.{others}{_hints(scan, top)}")
    return possible[0].read()


def _missing(scan: FolderScan, top: str, layout: Layout | None) -> str:
    match layout:
        case "splits":
            return "has no training folder with class folders in it"
        case "manifest":
            return "has no CSV, TSV, JSON-lines or Parquet file with a column `path` and a column `label`"
        case "shards":
            return "has no tar files"
    return f"has {len(scan.entries(top).folders)} class folders; at least 2 are needed, one per class"


def _hints(scan: FolderScan, top: str) -> str:
    """Say what is in the folder that might have been meant to be read."""
    archives = [name for name in scan.entries(top).files if name.lower().endswith(_ARCHIVES)]
    unpack = f" Unpack {_list_names(archives)}, or use tar files without compression." if archives else ""
    return unpack + describe_unused_tables(scan, top)


def _in_words(readings: list[Reading]) -> str:
    return "; or ".join(f"as {reading.layout!r}, {reading.summary}" for reading in readings)


def _descend(scan: FolderScan, path: str) -> str:
    """Return the folder that has the data: an archive's own folder is the only one and has more than images."""
    for _ in range(_MAX_DEPTH):
        entries = scan.entries(path)
        if len(entries.folders) != 1 or entries.images or any(_is_data_file(name) for name in entries.files):
            return path
        [inner] = entries.folders
        content = scan.entries(join(path, inner))
        if part_of(inner) or not (content.folders or any(_is_data_file(name) for name in content.files)):
            return path
        scan.skip_others(path, [inner])
        path = join(path, inner)
    return path


def _is_data_file(name: str) -> bool:
    return name.lower().endswith((".csv", ".tsv", ".jsonl", ".parquet", ".tar"))


def _folder_readings(scan: FolderScan, top: str, name: str, layout: Layout | None) -> list[Reading]:
    """Return how the folders below `top` can be read: as classes, as parts, both if that is open, or neither.

    Raises: FolderError if two folders are named after the same part.
    """
    folders = scan.entries(top).folders
    by_part = _folders_by_part(scan, top, folders)
    folds = sorted((number, folder) for folder in folders if (number := fold_of(folder)) is not None)
    as_classes = Reading(
        "classes",
        f"with {len(folders)} classes ({_list_names(folders)})",
        lambda: _read_classes(scan, top, folders),
    )
    if len(folds) >= 2 and all(_has_class_folders(scan, join(top, folder)) for _, folder in folds):
        fold_names = [folder for _, folder in folds]
        as_folds = Reading(
            "splits",
            f"with {len(folds)} folds, of which {folds[-1][1]!r} is the test part",
            lambda: _read_parts(scan, top, {"train": fold_names[:-1], "test": fold_names[-1:]}, name),
        )
        others = [folder for folder in folders if fold_of(folder) is None and scan.has_images(join(top, folder))]
        return [as_folds, as_classes] if others or layout == "classes" else [as_folds]
    named = {folder for found in by_part.values() for folder in found}
    others = [folder for folder in folders if folder not in named and scan.has_images(join(top, folder))]
    train = by_part.get("train", [])
    if any(_has_class_folders(scan, join(top, folder)) for folder in train):
        as_splits = Reading(
            "splits",
            f"with the parts {_list_names(sorted(named))}"
            + (f", passing over {_list_names(others)}" if others else ""),
            lambda: _read_parts(scan, top, _require_single(by_part, name), name),
        )
        has_evaluation_part = len(by_part) > 1
        nested_others = [folder for folder in others if _has_class_folders(scan, join(top, folder), at_least=2)]
        is_ambiguous = nested_others or (others and not has_evaluation_part)
        return [as_splits, as_classes] if is_ambiguous or layout == "classes" else [as_splits]
    parts = sorted(named) if len(by_part) > 1 and not others else []
    if len(folds) > 1 and not any(fold_of(f) is None and scan.has_images(join(top, f)) for f in folders):
        parts = [folder for _, folder in folds]
    if parts and layout is None:
        raise FolderError(
            f"{_list_names(parts)} of {name!r} have no class folders in them. If they are the classes, set "
            "`layout` to 'classes'. If they are parts of the data, put the images into one folder per class, "
            f"`{by_part.get('train', parts)[0]}/<class>/*`, or add a table of paths and labels.{_hints(scan, top)}"
        )
    splits_by_class = _splits_in_classes(scan, top, folders)
    if splits_by_class:
        as_inner_splits = Reading(
            "splits",
            f"with {len(folders)} classes, each with folders of its parts",
            lambda: _read_inner_parts(scan, top, folders, splits_by_class),
        )
        return [as_inner_splits, as_classes] if layout == "classes" else [as_inner_splits]
    return [as_classes] if len(folders) > 1 else []


def _folders_by_part(scan: FolderScan, top: str, folders: Iterable[str]) -> dict[Part, list[str]]:
    """Group the folders that are named after a part; those with a rest count if all of these share it."""
    found = [(folder, *part) for folder in folders if (part := part_of(folder))]
    rests = {rest for _, _, rest in found if rest}
    by_part: dict[Part, list[str]] = {}
    for folder, named, rest in found:
        if not rest or (len(rests) == 1 and len(found) > 1):
            by_part.setdefault(named, []).append(folder)
    return by_part


def _require_single(by_part: dict[Part, list[str]], name: str) -> dict[Part, list[str]]:
    for part, folders in by_part.items():
        if len(folders) > 1:
            raise FolderError(
                f"{_list_names(folders)} of {name!r} are all named after the {part} part: keep one of them."
            )
    return by_part


def _has_class_folders(scan: FolderScan, path: str, at_least: int = 1) -> bool:
    path = _descend_part(scan, path)
    with_images = (folder for folder in scan.entries(path).folders if scan.has_images(join(path, folder)))
    return len(list(islice(with_images, at_least))) == at_least


def _descend_part(scan: FolderScan, path: str) -> str:
    """Return the folder that has the class folders of a part: `seg_train/seg_train` or `train/images`, for example."""
    for _ in range(_MAX_DEPTH):
        entries = scan.entries(path)
        if len(entries.folders) != 1 or entries.images or not scan.entries(join(path, entries.folders[0])).folders:
            return path
        path = join(path, entries.folders[0])
    return path


def _read_classes(scan: FolderScan, top: str, folders: tuple[str, ...]) -> LabelledImages:
    scan.skip_others(top, folders)
    collector = ImageCollector()

    def images() -> Iterator[str]:
        for folder in folders:
            yield from _class_images(scan, collector, join(top, folder), folder, "train")

    return collector.collect("classes", images(), {"train": _name_source(top)}, scan, is_simple=top == "")


def _class_images(scan: FolderScan, collector: ImageCollector, path: str, folder: str, part: Part) -> Iterator[str]:
    class_name = printable(folder)
    collector.declare(class_name)
    for image in scan.images(path):
        yield collector.add(image, class_name, part)


def _read_parts(scan: FolderScan, top: str, by_part: dict[Part, list[str]], name: str) -> LabelledImages:
    """Read the folders of the parts. A `test` without classes, like ImageNet's, is ignored if there is a `val`."""
    by_part = dict(by_part)
    ignored: list[str] = []
    if "validation" in by_part:
        test = by_part.get("test")
        if test is None or not any(_has_class_folders(scan, join(top, folder)) for folder in test):
            ignored = test or []
            by_part["test"] = by_part.pop("validation")
    used = [folder for folders in by_part.values() for folder in folders]
    scan.skip_others(top, [*used, *ignored])
    for folder in ignored:
        scan.skip("an unlabelled test image", join(top, folder), max(1, scan.count_images(join(top, folder))))
    inner = {folder: _descend_part(scan, join(top, folder)) for folder in used}
    collector = ImageCollector()
    for folder in by_part["train"]:
        for class_folder in scan.entries(inner[folder]).folders:
            collector.declare(printable(class_folder))

    def images() -> Iterator[str]:
        for part in PARTS:
            for folder in by_part.get(part, []):
                class_folders = scan.entries(inner[folder]).folders
                scan.skip_others(inner[folder], class_folders)
                unknown = sorted({printable(c) for c in class_folders} - collector.class_names)
                if unknown:
                    raise FolderError(
                        f"{folder!r} of {name!r} has classes that are not among its training classes: "
                        f"{_list_names(unknown)}."
                    )
                if not any(scan.has_images(join(inner[folder], c)) for c in class_folders):
                    raise FolderError(
                        f"{folder!r} of {name!r} has no images: it needs one folder per class, `<class>/*`."
                    )
                for class_folder in class_folders:
                    yield from _class_images(scan, collector, join(inner[folder], class_folder), class_folder, part)

    sources: dict[Part, str] = {
        part: ", ".join(_name_source(inner[folder]) for folder in folders) for part, folders in by_part.items()
    }
    is_simple = top == "" and set(used) <= _SIMPLE_NAMES and all(inner[folder] == folder for folder in used)
    return collector.collect("splits", images(), sources, scan, is_simple=is_simple)


def _splits_in_classes(scan: FolderScan, top: str, folders: tuple[str, ...]) -> dict[str, Part]:
    """Return the names of the folders of parts if each class has them and nothing else, else nothing."""
    names: dict[str, Part] = {}
    for folder in folders:
        entries = scan.entries(join(top, folder))
        parts = {inner: found[0] for inner in entries.folders if (found := part_of(inner)) and not found[1]}
        if len(parts) != len(entries.folders) or "train" not in parts.values() or entries.images:
            return {}
        names |= parts
    return names if len(set(names.values())) > 1 and len(names) == len(set(names.values())) else {}


def _read_inner_parts(scan: FolderScan, top: str, folders: tuple[str, ...], names: dict[str, Part]) -> LabelledImages:
    if "test" not in names.values():
        names = {name: "test" if part == "validation" else part for name, part in names.items()}
    scan.skip_others(top, folders)
    collector = ImageCollector()

    def images() -> Iterator[str]:
        for name, part in sorted(names.items(), key=lambda item: PARTS.index(item[1])):
            for folder in folders:
                if name in scan.entries(join(top, folder)).folders:
                    yield from _class_images(scan, collector, join(join(top, folder), name), folder, part)

    sources: dict[Part, str] = {part: f"<class>/{name}" for name, part in names.items()}
    return collector.collect("splits", images(), sources, scan, is_simple=False)


def _name_source(path: str) -> str:
    return printable(path) or "."


def _list_names(names: Iterable[str]) -> str:
    listed = [repr(printable(name)) for name in names]
    more = f" and {len(listed) - _MAX_NAMED} more" if len(listed) > _MAX_NAMED else ""
    return ", ".join(listed[:_MAX_NAMED]) + more
