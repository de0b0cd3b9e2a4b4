"""Linear algebra on one thread.

The matrices here are small. More threads gain little on idle cores and lose much on busy ones, for example beside
training: a Cholesky factor of 400 by 400 takes 1 ms on one thread, and 50 to 800 ms on two busy ones. On one thread
sums have a fixed order, so a stored regression predicts the same bits on any number of cores.
"""

from __future__ import annotations

from functools import lru_cache

from threadpoolctl import ThreadpoolController


@lru_cache(maxsize=1)
def limit_blas_to_one_thread() -> None:
    """Limit numpy's and scipy's own OpenBLAS to one thread for the rest of the process.

    The limit is permanent because it applies to the whole process: threads that set and reset it would undo each
    other's. Other libraries, such as those for training, keep their threads.
    """
    ThreadpoolController().select(prefix="libscipy_openblas").limit(limits=1)
