from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from app.reproduce.records import InvalidRecords, RecordFile, read_records
from tests.reproduce.simulated_records import HEADER, create_record

ONE, TWO = create_record("compound", None, 0.5, 201, 0.75), create_record("compound", None, 0.5, 202, 0.76)


def test_records_are_read_as_written(tmp_path: Path) -> None:
    file = RecordFile(tmp_path / "a.jsonl", HEADER)
    file.append(ONE)
    file.append(TWO)
    records = read_records([tmp_path / "a.jsonl"])

    assert (records.headers, records.items) == ((HEADER,), (ONE, TWO))
    assert [score.accuracy for score in records.scores] == [0.75, 0.76]


def test_concatenated_files_of_two_machines_merge(tmp_path: Path) -> None:
    other = replace(HEADER, threads=2, date="2026-12-01")
    RecordFile(tmp_path / "a.jsonl", HEADER).append(ONE)
    second = RecordFile(tmp_path / "b.jsonl", other)
    second.append(ONE)
    second.append(TWO)
    both = tmp_path / "both.jsonl"
    both.write_bytes((tmp_path / "a.jsonl").read_bytes() + (tmp_path / "b.jsonl").read_bytes())

    assert read_records([both]) == read_records([tmp_path / "a.jsonl", tmp_path / "b.jsonl"])
    assert read_records([both]).items == (ONE, TWO)
    assert read_records([both]).headers == (HEADER, other)


@pytest.mark.parametrize(
    ("name", "value"), [("device", "cuda"), ("digest", "another"), ("recipe", {"epochs": 6}), ("dataset", "digits")]
)
def test_trainings_that_differ_in_more_than_the_network_are_not_mixed(tmp_path: Path, name: str, value: object) -> None:
    RecordFile(tmp_path / "a.jsonl", HEADER).append(ONE)
    changed = replace(HEADER, **{name: value})  # type: ignore[arg-type]
    RecordFile(tmp_path / "b.jsonl", changed).append(TWO)

    with pytest.raises(InvalidRecords, match=f"another {name}"):
        read_records([tmp_path / "a.jsonl", tmp_path / "b.jsonl"])
    with pytest.raises(InvalidRecords, match=f"another {name}"):
        RecordFile(tmp_path / "a.jsonl", changed)


def test_interrupted_line_is_dropped_and_recorded_again(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    RecordFile(path, HEADER).append(ONE)
    complete = path.read_text()
    path.write_text(complete + '{"kind":"family","rule":"com')
    assert read_records([path]).items == (ONE,)

    RecordFile(path, HEADER).append(TWO)
    assert read_records([path]).items == (ONE, TWO)


def test_known_training_is_not_appended_again(tmp_path: Path) -> None:
    RecordFile(tmp_path / "a.jsonl", HEADER).append(ONE)
    file = RecordFile(tmp_path / "a.jsonl", HEADER)
    file.append(ONE)

    assert ONE.key in file and TWO.key not in file
    assert (tmp_path / "a.jsonl").read_text().count("\n") == 2


def test_two_results_of_one_training_are_refused(tmp_path: Path) -> None:
    RecordFile(tmp_path / "a.jsonl", HEADER).append(ONE)
    RecordFile(tmp_path / "b.jsonl", HEADER).append(replace(ONE, test_accuracy=0.7))

    with pytest.raises(InvalidRecords, match="another result"):
        read_records([tmp_path / "a.jsonl", tmp_path / "b.jsonl"])


@pytest.mark.parametrize("content", ["", "[]\n", '{"kind":"family"}\n', "no JSON\n"])
def test_other_files_are_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.jsonl").write_text(content)

    with pytest.raises(InvalidRecords):
        read_records([tmp_path / "a.jsonl"])
