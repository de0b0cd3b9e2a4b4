from __future__ import annotations

import subprocess
import sys

import pytest

# The limit applies to a whole process, so the script runs in its own. It starts with two threads, as on several cores.
SCRIPT = """
from threading import Thread
import numpy as np
from threadpoolctl import ThreadpoolController
from app.scaling.predictors.surrogate import Surrogate
from app.scaling.predictors.point import Point

def threads():
    return {library["num_threads"] for library in ThreadpoolController().select(prefix="libscipy_openblas").info()}

before = threads()
points = [Point(0.1 * i, 0.5 + 0.1 * i, 1.0, 1.0, 0.5 + 0.02 * i) for i in range(1, 10)]
fit = Thread(target=lambda: Surrogate.fit(points).predict_one(np.zeros((1, 4))))
fit.start()
fit.join()
print(before, threads())
"""


def test_fit_limits_blas_to_one_thread() -> None:
    found = subprocess.run(
        [sys.executable, "-c", SCRIPT], env={"OPENBLAS_NUM_THREADS": "2"}, capture_output=True, text=True, check=True
    ).stdout.strip()

    if found.startswith("set()"):
        pytest.skip("numpy and scipy have another library here")
    assert found.endswith("{1}")
