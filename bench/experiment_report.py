"""Writes the report of a recorded experiment: one page of HTML, and its answer as Markdown.

The records are files of JSON lines, as `rdw reproduce --studies` writes them; several files of one experiment merge.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from app.reproduce.experiment_report import write_report
from app.reproduce.records import InvalidRecords, find_files, read_records


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "records", type=Path, nargs="*", help="files, or folders of files (default: recorded/experiment)"
    )
    parser.add_argument("--out", type=Path, default=Path("var/experiment"))
    arguments = parser.parse_args()
    sources = arguments.records or [Path(__file__).parent / "recorded" / "experiment"]
    files = [file for source in sources for file in (find_files(source) if source.is_dir() else [source])]
    if not files:
        print("There are no records yet.")
        return 0
    try:
        for path in write_report(read_records(files), arguments.out):
            print(path)
    except InvalidRecords as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
