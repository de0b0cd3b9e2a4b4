"""How much faster the analytic cost is than building the network and counting with fvcore; side by side, one run.

Prints one line a network: milliseconds of each (median of several) and their ratio. Both give the same numbers, which
is checked here as well.
"""

from __future__ import annotations

import statistics
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

from app.scaling.families import baseline, network_cost
from worker.measuring import measure

NETWORKS = ("tinynet_e", "tinynet_a", "efficientnet_b0", "efficientnet_b3")


def milliseconds(call: Callable[[], Any], times: int) -> float:
    """The median of `times` calls."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        taken.append(1e3 * (time.perf_counter() - began))
    return statistics.median(taken)


def main() -> int:
    warnings.simplefilter("ignore")
    print(f"{'network':<18}{'analytic ms':>12}{'fvcore ms':>12}{'ratio':>10}")
    for name in NETWORKS:
        config = baseline(name).baseline
        cost, measured = network_cost(config), measure(config)
        if {k: n for k, n in cost.by_operator.items() if n} != measured.by_operator:
            print(f"{name}: the analytic cost and fvcore's differ", file=sys.stderr)
            return 1
        analytic = milliseconds(lambda config=config: network_cost(config), 200)
        counted = milliseconds(lambda config=config: measure(config), 3)
        print(f"{name:<18}{analytic:>12.3f}{counted:>12.0f}{counted / analytic:>9.0f}x")
    return 0


if __name__ == "__main__":
    sys.exit(main())
