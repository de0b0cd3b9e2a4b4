"""Linear algebra on one thread.

The matrices here are small: more threads gain little where cores are free, and lose much where they are not, as beside
training (a Cholesky factor of 400 by 400: 1 ms on one thread, 50 to 800 on two that were busy). On one thread sums have
one order, so that a stored regression predicts the same bits however many cores there are.
"""

from __future__ import annotations

from functools import lru_cache

from threadpoolctl import ThreadpoolController


@lru_cache(maxsize=1)
def one_thread() -> None:
    """Have numpy's and scipy's own OpenBLAS run on one thread from here on, in all of the process.

    Not for a while only: the limit is the process's, and threads that set and reset it would undo each other's. Others'
    libraries, such as those that train, keep their threads.
    """
    ThreadpoolController().select(prefix="libscipy_openblas").limit(limits=1)
