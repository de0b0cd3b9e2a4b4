"""Repeats recorded trainings of an experiment, chosen at random, and compares every accuracy bit for bit.

A service is started for it in a new folder. Results depend on the versions of torch and on the kind of processor: the
script says where they differ from those of the records.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from app.reproduce.local_service import run_service
from app.reproduce.recording import create_header, study_record
from app.reproduce.records import Header, Record, read_records
from rdw_client import Client


def repeat(client: Client, header: Header, records: Sequence[Record]) -> Iterator[tuple[Header, Record]]:
    """Train the networks of records again, and describe each training."""
    trials = [
        client.train(config=dict(r.config), dataset=header.dataset, recipe=dict(header.recipe), seed=r.seed)
        for r in records
    ]
    for trial in map(client.wait, trials):
        yield create_header(trial, header.baseline), study_record(trial, 0, {})


def differences(header: Header, again: Header) -> list[str]:
    """Return what may change a result: the versions, the data, the device and the threads that differ."""
    names = [name for name, version in header.versions.items() if again.versions.get(name) != version]
    return names + [name for name in ("digest", "device", "threads") if getattr(header, name) != getattr(again, name)]


def measured(record: Record) -> tuple[float, float, list[float]]:
    return record.accuracy, record.test_accuracy, list(record.history)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("records", type=Path)
    parser.add_argument("--trainings", type=int, default=10, help="how many to repeat (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the choice (default: %(default)s)")
    arguments = parser.parse_args()
    records = read_records([arguments.records])
    chosen = random.Random(arguments.seed).sample(records.items, arguments.trainings)
    equal, different = 0, set[str]()
    with TemporaryDirectory() as folder, run_service(Path(folder)) as service, Client(service.url) as client:
        for record, (header, again) in zip(chosen, repeat(client, records.header, chosen), strict=True):
            different |= set(differences(records.header, header))
            if record.processor not in ("", again.processor):
                different.add("processor")
            is_equal = measured(again) == measured(record)
            equal += is_equal
            print(
                f"{record.kind} {record.rule or record.study}, {record.flops:,} multiply-adds, seed {record.seed}: "
                f"{record.test_accuracy} recorded, {again.test_accuracy} now: {'equal' if is_equal else 'DIFFERENT'}",
                flush=True,
            )
    print(f"{equal} of {len(chosen)} are equal bit for bit.")
    print(f"Other than recorded: {', '.join(sorted(different)) or 'nothing'}.")
    return 0 if equal == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main())
