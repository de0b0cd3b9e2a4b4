"""An Optuna study in which rdw counts the cost of each network before its training, and learns from the result.

    make serve                            # in another terminal
    python examples/optuna_loop.py --trainings 16

Optuna chooses r, d and w for high accuracy and few FLOPs. rdw counts the FLOPs exactly in a millisecond, so networks
above the budget are not trained, and Optuna's sampler learns the budget as a constraint. In the end rdw recommends a
network for the budget. The program reads RDW_URL and RDW_API_KEY.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import optuna
import training
from ask_tell import create_study, describe, print_front, recommend

from rdw_client import Client

MAX_PROPOSALS = 50  # until one is within the budget


def main() -> int:
    args = _parse_arguments()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    rdw = Client()
    study = create_study(rdw, args.trainings)
    optimizer = optuna.create_study(
        directions=["maximize", "minimize"],
        sampler=optuna.samplers.TPESampler(n_startup_trials=8, seed=args.seed),
    )
    baseline_flops = rdw.cost(training.BASELINE["name"]).cost.flops
    print(f"study {study}: at most {args.budget:.0%} of the baseline's {baseline_flops / 1e6:.3f}M FLOPs")
    for n in range(args.trainings):
        trial, config, flops = propose(rdw, optimizer, args.budget * baseline_flops)
        try:
            accuracy = training.train_and_evaluate(config, args.epochs)
        except training.Diverged:
            optimizer.tell(trial, state=optuna.trial.TrialState.FAIL)
            continue
        optimizer.tell(trial, [accuracy, flops])
        rdw.tell(study, multipliers=trial.params, accuracy=accuracy, client="optuna")
        print(f"{n + 1:>3}  {describe(**trial.params, flops=flops)}  {accuracy:.1%}")
    print(f"{len(optimizer.trials) - args.trainings} networks were above the budget and not trained")
    print_front(rdw, study)
    recommend(rdw, study, args.budget)
    return 0


def propose(rdw: Client, optimizer: optuna.Study, max_flops: float) -> tuple[optuna.Trial, dict[str, Any], int]:
    """Return Optuna's next trial within the budget, with its config and FLOPs."""
    for _ in range(MAX_PROPOSALS):
        trial = optimizer.ask()
        multipliers = {name: trial.suggest_float(name, *training.SPACE[name]) for name in "rdw"}
        network = rdw.cost(training.BASELINE["name"], multipliers=multipliers)
        config, flops = network.config, network.cost.flops
        trial.set_constraint("flops", flops - max_flops)
        if flops <= max_flops:
            return trial, config, flops
        optimizer.tell(trial, state=optuna.trial.TrialState.PRUNED)
    raise SystemExit(f"None of {MAX_PROPOSALS} networks is within the budget: raise --budget.")


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trainings", type=int, default=16, metavar="N", help="default: %(default)s")
    parser.add_argument("--epochs", type=int, default=4, help="epochs of each training (default: %(default)s)")
    parser.add_argument(
        "--budget", type=float, default=0.6, help="share of the baseline's FLOPs (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of Optuna's sampler (default: %(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
