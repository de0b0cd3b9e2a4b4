"""An Optuna study that asks rdw what a network costs before it trains it, and tells rdw what came of it.

    make serve                            # in another terminal
    python examples/optuna_loop.py --trainings 16

Optuna chooses r, d and w for accuracy and multiply-adds. What a network costs need not be tried out: rdw says it
exactly in a millisecond, so that none beyond the budget is trained, and nothing has to learn where the budget ends.
rdw hears of each training, and in the end recommends a network that fills the budget.
"""

from __future__ import annotations

import argparse
import os
import sys

import optuna
import training
from ask_tell import Client, new_study, recommend, show_front

MOST_ASKED = 50  # for one network within the budget: where there is none at all it ends


def main() -> int:
    args = _arguments()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    rdw = Client(args.url, args.key)
    study = new_study(rdw, args.trainings)
    chooser = optuna.create_study(
        directions=["maximize", "minimize"],
        sampler=optuna.samplers.NSGAIIISampler(population_size=8, seed=args.seed),
    )
    whole = cost(rdw, {"r": 1.0, "d": 1.0, "w": 1.0})[1]
    print(f"study {study}: networks of at most {args.budget:.0%} of the baseline's {whole / 1e6:.3f}M multiply-adds")
    for n in range(args.trainings):
        trial, multipliers, config, flops = within_budget(rdw, chooser, args.budget * whole)
        try:
            accuracy = training.accuracy_of(config, args.epochs)
        except training.Diverged:
            chooser.tell(trial, state=optuna.trial.TrialState.FAIL)
            continue
        chooser.tell(trial, [accuracy, flops])
        # Not said again where no answer comes: multipliers of one's own may well be measured twice.
        rdw.post(
            f"/v1/studies/{study}/tell",
            {"multipliers": multipliers, "accuracy": accuracy, "client": "optuna"},
            again=False,
        )
        r, d, w = multipliers.values()
        print(f"{n + 1:>3}  r {r:.2f}  d {d:.2f}  w {w:.2f}  {flops / 1e6:6.3f}M multiply-adds  {accuracy:.1%}")
    print(f"{len(chooser.trials) - args.trainings} networks were beyond the budget, and not trained")
    show_front(rdw, study)
    recommend(rdw, study, args.budget)
    return 0


def within_budget(
    rdw: Client, chooser: optuna.Study, most: float
) -> tuple[optuna.Trial, dict[str, float], dict[str, object], int]:
    """The next of Optuna's that costs no more: its trial, multipliers, config and multiply-adds."""
    for _ in range(MOST_ASKED):
        trial = chooser.ask()
        multipliers = {name: trial.suggest_float(name, *training.SPACE[name]) for name in ("r", "d", "w")}
        config, flops = cost(rdw, multipliers)
        if flops <= most:
            return trial, multipliers, config, flops
        chooser.tell(trial, state=optuna.trial.TrialState.PRUNED)
    raise SystemExit(f"None of {MOST_ASKED} networks is within the budget: raise --budget.")


def cost(rdw: Client, multipliers: dict[str, float]) -> tuple[dict[str, object], int]:
    """The network, and its exact multiply-adds."""
    answer = rdw.post("/v1/cost", {"architecture": training.BASELINE["name"], "multipliers": multipliers})
    return answer["config"], answer["cost"]["flops"]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="where rdw answers (default: %(default)s)")
    parser.add_argument("--key", default=os.environ.get("RDW_KEY"), help="API key (default: $RDW_KEY, or none)")
    parser.add_argument("--trainings", type=int, default=16, metavar="N", help="how many (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=4, help="of each training (default: %(default)s)")
    parser.add_argument("--budget", type=float, default=0.6, help="of the baseline's cost (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="Optuna's (default: %(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
