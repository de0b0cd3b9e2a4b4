"""Recorded trainings of an experiment: plain files of JSON lines that merge by concatenation.

A header line states what all trainings of a file have in common; a line for each training follows. A file may hold
several headers, one after the other, if they agree on everything that results depend on. The same training may be
recorded twice, as trainings are content-addressed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Self, TypeVar

from app.data.recipes import Recipe
from app.reproduce.statistics import Score
from app.scaling.resolution import to_resolution

SUFFIX = ".jsonl"

Key = tuple[str | int | float | tuple[int, int] | None, ...]


class InvalidRecords(ValueError):
    """A file is not one of records, or its trainings must not be mixed with others; the message says why."""


@dataclass(frozen=True)
class Header:
    """What the trainings of a file have in common.

    `recipe` holds every value of the recipe; `digest` is the data set's. `device` is the kind of device, such as cpu,
    since a device rounds in its own way. `versions` and `threads` are those of the worker.
    """

    baseline: Mapping[str, Any]
    dataset: str
    digest: str
    recipe: Mapping[str, Any]
    device: str
    versions: Mapping[str, str] = field(default_factory=dict)
    threads: int | None = None
    date: str = ""

    def differences(self, other: Header) -> list[str]:
        """Return the names of the fields that must be the same, and are not."""
        names = [
            name for name in ("baseline", "dataset", "digest", "device") if getattr(self, name) != getattr(other, name)
        ]
        return names if _determining(self.recipe) == _determining(other.recipe) else [*names, "recipe"]


@dataclass(frozen=True)
class Record:
    """A training: of a random network of a study (`kind` study), or of the network of a rule (`kind` family).

    `study` is the study's number, None for a rule that needs none. Accuracies are from 0 to 1; `accuracy` is on the
    validation part, `history` that after each epoch. `budget` is the ratio to the baseline's multiply-adds, None for
    a random network. `predicted` has `mean` and `sd` of the validation accuracy, from before the training. `processor`
    is the model that trained the network: another one may round in another way. It is empty if it was not recorded.
    """

    kind: str
    study: int | None
    rule: str | None
    budget: float | None
    config: Mapping[str, Any]
    multipliers: Mapping[str, Any]
    flops: int
    params: int
    px: int | list[int]
    seed: int
    accuracy: float
    test_accuracy: float
    history: Sequence[float]
    seconds: float
    trial: str
    predicted: Mapping[str, float] | None = None
    off_curve: bool = False
    processor: str = ""

    @property
    def key(self) -> Key:
        """What the training is for; a network that two rules recommend is recorded once for each."""
        if self.kind == "study":
            return study_key(self.study, self.seed, self.px, self.flops, self.params)
        return family_key(self.study, self.rule, self.budget, self.seed)


def study_key(number: int | None, seed: int, px: int | Sequence[int], flops: int, params: int) -> Key:
    """Return the key of a random network's training; a study has no two networks of the same size and cost."""
    return "study", number, seed, to_resolution(px), flops, params


def family_key(number: int | None, rule: str | None, budget: float | None, seed: int) -> Key:
    """Return the key of the training of a rule's network."""
    return "family", number, rule, budget, seed


_Line = TypeVar("_Line", Header, Record)


@dataclass(frozen=True)
class Records:
    """Trainings without duplicates, and the headers that they were recorded under."""

    headers: tuple[Header, ...]
    items: tuple[Record, ...]

    @property
    def header(self) -> Header:
        return self.headers[0]

    @property
    def family(self) -> list[Record]:
        return [record for record in self.items if record.kind == "family"]

    @property
    def studies(self) -> list[Record]:
        return [record for record in self.items if record.kind == "study"]

    @property
    def scores(self) -> list[Score]:
        """The family's test accuracies, without networks off the curve of their rule."""
        return [
            Score(record.rule, record.study, record.budget, record.seed, record.test_accuracy)
            for record in self.family
            if record.rule is not None and record.budget is not None and not record.off_curve
        ]


class RecordFile:
    """A file that trainings are appended to, each at once, so that an interruption loses none."""

    def __init__(self, path: Path, header: Header) -> None:
        """Open the file, or create it with the header.

        Raises: InvalidRecords if it contains trainings that must not be mixed with those of the header.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._header = path, header
        _drop_incomplete_line(path)
        existing = read_records([path]) if path.exists() and path.stat().st_size else None
        if existing is not None:
            _require_same(path, existing.header, header)
        self._records = {record.key: record for record in existing.items} if existing else {}
        if existing is None:
            self._append({"header": asdict(header)})

    def __contains__(self, key: Key) -> bool:
        return key in self._records

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records.values())

    def check(self, header: Header) -> None:
        """Raises: InvalidRecords if trainings of this header must not be mixed with those of the file."""
        _require_same(self._path, self._header, header)

    def append(self, record: Record) -> None:
        """Append a training unless the file contains it already."""
        if record.key not in self:
            self._append(asdict(record))
            self._records[record.key] = record

    def _append(self, line: Mapping[str, Any]) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, separators=(",", ":")) + "\n")
            file.flush()
            os.fsync(file.fileno())

    @classmethod
    def write(cls, path: Path, records: Records) -> Self:
        """Write records into a new file."""
        file = cls(path, records.header)
        for record in records.items:
            file.append(record)
        return file


def find_files(folder: Path) -> list[Path]:
    """Return the files of records in a folder."""
    return sorted(folder.glob(f"*{SUFFIX}"))


def read_records(paths: Iterable[Path]) -> Records:
    """Read and merge files; a training recorded twice counts once.

    An incomplete last line, of a machine that stopped while writing, is left out.

    Raises: InvalidRecords for no files, other files, or trainings that must not be mixed; OSError.
    """
    headers: list[Header] = []
    items: dict[Key, Record] = {}
    for path in paths:
        lines = path.read_text(encoding="utf-8").split("\n")
        for number, line in enumerate(lines[:-1], 1):
            if not line.strip():
                continue
            content = _parse(line, path, number)
            if isinstance(content, Header):
                if headers:
                    _require_same(path, headers[0], content)
                if content not in headers:
                    headers.append(content)
            elif number == 1 or not headers:
                raise InvalidRecords(f"{path} does not begin with a header.")
            else:
                _add(items, content, path, number)
    if not headers:
        raise InvalidRecords("There are no records.")
    return Records(tuple(headers), tuple(items.values()))


def _determining(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return what determines a result, so that recipes recorded before an option was added compare equal."""
    return Recipe.from_json(dict(recipe)).determining_options()


def _parse(line: str, path: Path, number: int) -> Header | Record:
    try:
        values = dict(json.loads(line))
        return _create(Header, values["header"]) if "header" in values else _create(Record, values)
    except (ValueError, TypeError, KeyError) as error:
        raise InvalidRecords(f"{path}, line {number}, is not a record: {error}") from error


def _create(kind: type[_Line], values: Mapping[str, Any]) -> _Line:
    """Create a header or record; values of later versions are ignored."""
    names = {item.name for item in fields(kind)}
    return kind(**{name: value for name, value in values.items() if name in names})


def _add(items: dict[Key, Record], record: Record, path: Path, number: int) -> None:
    known = items.setdefault(record.key, record)
    if known.config != record.config or known.test_accuracy != record.test_accuracy:
        raise InvalidRecords(f"{path}, line {number}: the same training is recorded with another result.")


def _require_same(path: Path, header: Header, other: Header) -> None:
    names = header.differences(other)
    if names:
        raise InvalidRecords(f"{path} contains trainings with another {' and '.join(names)}; they cannot be mixed.")


def _drop_incomplete_line(path: Path) -> None:
    """Remove what an interrupted write left behind the last complete line."""
    if path.exists():
        content = path.read_bytes()
        complete = content.rfind(b"\n") + 1
        if complete < len(content):
            with path.open("r+b") as file:
                file.truncate(complete)
