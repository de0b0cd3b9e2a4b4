from __future__ import annotations

import subprocess
import sys

import pytest

# A process of its own, as the limit is for all of it; two threads to begin with, as on a machine that has the cores.
SCRIPT = """
from threading import Thread
from threadpoolctl import ThreadpoolController
from app.scaling.surrogate import Surrogate
from app.scaling.point import Point

def threads():
    return {library["num_threads"] for library in ThreadpoolController().select(prefix="libscipy_openblas").info()}

before = threads()
points = [Point(0.1 * i, 0.5 + 0.1 * i, 1.0, 1.0, 0.5 + 0.02 * i) for i in range(1, 10)]
fit = Thread(target=lambda: Surrogate.fitted(points).at(0.5, 1.0, 1.0))
fit.start()
fit.join()
print(before, threads())
"""


def test_a_fit_leaves_its_linear_algebra_on_one_thread() -> None:
    found = subprocess.run(
        [sys.executable, "-c", SCRIPT], env={"OPENBLAS_NUM_THREADS": "2"}, capture_output=True, text=True, check=True
    ).stdout.strip()

    if found.startswith("set()"):
        pytest.skip("numpy and scipy have another library here")
    assert found.endswith("{1}")
