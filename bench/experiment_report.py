"""Writes the report of recorded experiments: a page of HTML for each, and the answer of all as Markdown.

The records are files of JSON lines, as `rdw reproduce --studies` writes them; several files of one experiment merge.
Without arguments the recorded experiments of this repository are reported in its documentation.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from pathlib import Path

from app.reproduce.experiment_report import Experiment, render_evidence, render_page
from app.reproduce.records import InvalidRecords, Records, find_files, read_records

ROOT = Path(__file__).parents[1]
RECORDED = ROOT / "bench" / "recorded" / "experiment"


def read_experiments(files: list[Path]) -> dict[str, Records]:
    """Return the records of each experiment by its name, that of its files up to the digest; the largest one first."""
    grouped: dict[str, list[Path]] = defaultdict(list)
    for file in files:
        grouped[file.name.rpartition(".")[0].rpartition(".")[0]].append(file)
    experiments = {name: read_records(group) for name, group in sorted(grouped.items())}
    return dict(sorted(experiments.items(), key=lambda item: -len(item[1].items)))


def write(experiments: dict[str, Records], out: Path) -> list[Path]:
    """Write `evidence.md` and the pages of the experiments, in a folder `evidence`; return all paths."""
    found = [Experiment.of(records) for records in experiments.values()]
    pages = [out / "evidence" / f"{name}.html" for name in experiments]
    answer = out / "evidence.md"
    (out / "evidence").mkdir(parents=True, exist_ok=True)
    for page, experiment in zip(pages, found, strict=True):
        page.write_text(render_page(experiment), encoding="utf-8")
    links = [page.relative_to(out).as_posix() for page in pages]
    answer.write_text(render_evidence(found, links), encoding="utf-8")
    return [answer, *pages]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("records", type=Path, nargs="*", help="files, or folders of files", default=[RECORDED])
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="folder (default: docs)")
    arguments = parser.parse_args()
    sources: list[Path] = arguments.records
    files = [file for source in sources for file in (find_files(source) if source.is_dir() else [source])]
    if not files:
        print("There are no records yet.")
        return 0
    try:
        for path in write(read_experiments(files), arguments.out):
            print(path)
    except InvalidRecords as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
