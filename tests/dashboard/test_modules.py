"""The dashboard's pure modules under node's test runner."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.support import skip_without

HERE = Path(__file__).parent


def test_unit_tests_of_the_modules_pass() -> None:
    node = shutil.which("node")
    if node is None:
        skip_without("node 18 or newer (apt install nodejs)")
    run = subprocess.run(
        [node, "--test", *map(str, sorted(HERE.glob("*.test.mjs")))],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
