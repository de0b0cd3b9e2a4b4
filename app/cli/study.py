"""`rdw study`: networks around a baseline, trained here or by ask and tell."""

from __future__ import annotations

import argparse
import sys
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.cli import asking, ids
from app.cli.output import document, document_to, facts, note, table, write
from app.cli.scale import add_network
from app.cli.train import add_data
from app.cli.units import json_file, number, percent, short, some
from app.cli.watching import counts, watch_study

if TYPE_CHECKING:
    from rdw_client import Client, Study, Suggestion

FIGURES = (
    "accuracy-against-multipliers", "accuracy-against-flops", "accuracy-against-latency", "multipliers-against-flops",
    "predictor-curve", "predicted-against-measured", "hypervolume", "family",
)  # fmt: skip


def add_command(commands: Any) -> None:
    text = "studies: create, run, ask and tell, front, figures"
    within = asking.group(commands, "study", text)
    _add_create(within)
    listing = asking.add(within, "list", _list, "the studies, newest first")
    listing.add_argument("--architecture", help="of this baseline alone")
    listing.add_argument("--limit", type=some, default=50, metavar="N", help="at most so many (default: %(default)s)")
    for name, said in (
        ("show", "a study's state"),
        ("start", "train its networks"),
        ("pause", "its queued trials wait"),
        ("resume", "they take their turns again"),
        ("cancel", "cancel its trials; finished ones stay"),
        ("watch", "follow it to its end; Ctrl-C stops watching only"),
    ):
        ids.argument(asking.add(within, name, _DO[name], said), "study")
    front = asking.add(
        within, "front", _front, "the networks that no other beats in accuracy and flops; fewer than five are filled up"
    )
    ids.argument(front, "study")
    front.add_argument("--k", type=int, metavar="N", help="at most so many (default: 20)")
    correlations = asking.add(within, "correlations", _correlations, "of r, d and w with flops along its front")
    ids.argument(correlations, "study")
    correlations.add_argument("--k", type=int, metavar="N", help="over at most so many networks (default: 20)")
    figure = asking.add(within, "figure", _figure, "draw one of the paper's figures from its observations")
    ids.argument(figure, "study")
    figure.add_argument("name", choices=FIGURES, metavar="name", help=", ".join(FIGURES))
    figure.add_argument("--to", type=Path, metavar="FILE", help=".svg, .png or .csv (default: NAME.svg here)")
    refit = asking.add(within, "refit", _refit, "fit r(c) and d(c) on its front: a new predictor version")
    ids.argument(refit, "study")
    refit.add_argument("--k", type=int, metavar="N", help="on at most so many networks (default: 20)")
    use = refit.add_mutually_exclusive_group()
    use.add_argument("--activate", action="store_true", default=None, help="use it at once")
    use.add_argument("--gate", action="store_const", const="gate", dest="activate", help="use it if it is fit for it")
    _add_ask_and_tell(within)
    bring = asking.add(within, "import", _import, "bring in results from elsewhere")
    ids.argument(bring, "study")
    bring.add_argument("table", metavar="FILE", help="CSV whose first line has r,d,w,accuracy; - reads stdin")
    bring.add_argument("--source", help="where they come from")
    retract = asking.add(within, "retract", _retract, "take an observation back: it stays readable, and counts no more")
    ids.argument(retract, "study")
    retract.add_argument("observation", type=int, help="its number: `tell` and `export` say it")
    retract.add_argument("--reason", required=True, metavar="WHY", help="what is wrong with it")
    export = asking.add(within, "export", _export, "all its observations, as CSV or JSON")
    ids.argument(export, "study")
    export.add_argument("--to", type=Path, metavar="FILE", help="(default: stdout)")


def _add_create(within: Any) -> None:
    create = asking.add(within, "create", _create, "a study of networks around a baseline")
    create.add_argument("name", help="what it is to be called")
    add_network(create)
    add_data(create)
    create.add_argument("--trials", type=int, metavar="N", help="how many networks (default: 12)")
    create.add_argument("--sampler", choices=("random", "active"), help="how they are drawn (default: random)")
    create.add_argument("--space", type=json_file, metavar="FILE", help='{"r": [.4, 1.2], "d": …, "w": …, "ratio": …}')
    create.add_argument("--seeds", type=int, metavar="N", help="each network is trained with so many")
    create.add_argument("--compound", type=int, metavar="N", help="compound-shrunk networks beside")
    create.add_argument("--halving", action="store_true", help="stop networks early that promise little")
    create.add_argument("--seed", type=int, metavar="N", help="of the drawing (default: 0)")
    create.add_argument("--start", action="store_true", help="and start it")


def _add_ask_and_tell(within: Any) -> None:
    ask = asking.add(within, "ask", _ask, "what to train next, elsewhere")
    ids.argument(ask, "study")
    ask.add_argument("--n", type=int, metavar="N", help="so many networks (default: 1)")
    ask.add_argument("--client", help="who asks: asked again it gets what it has not answered yet")
    tell = asking.add(within, "tell", _tell, "what came of it")
    ids.argument(tell, "study")
    tell.add_argument("suggestion", nargs="?", help="as `ask` named it; or --r, --d and --w of your own")
    outcome = tell.add_mutually_exclusive_group(required=True)
    outcome.add_argument("--accuracy", type=number, metavar="X", help="from 0 to 1")
    outcome.add_argument("--infeasible", metavar="WHY", help="it cannot be trained")
    for name, what in (("r", "resolution"), ("d", "depth"), ("w", "width")):
        tell.add_argument(f"--{name}", type=number, metavar="X", help=f"without a suggestion: its {what}")
    tell.add_argument("--seconds", type=number, metavar="X", help="how long it was trained")
    tell.add_argument("--latency-ms", type=number, metavar="X", help="how long one image takes it")
    tell.add_argument("--client", help="who tells")


def _create(rdw: Client, arguments: argparse.Namespace) -> int:
    a = arguments
    study = rdw.create_study(
        a.name,
        a.architecture,
        a.dataset,
        recipe=a.recipe,
        space=a.space,
        trials=a.trials,
        sampler=a.sampler,
        compound=a.compound,
        seeds=a.seeds,
        halving={} if a.halving else None,
        seed=a.seed,
    )
    return _said(rdw.start_study(study) if a.start else study, a)


def _list(rdw: Client, arguments: argparse.Namespace) -> int:
    a = arguments
    found = list(islice(rdw.studies(architecture=a.architecture), a.limit))
    if a.json:
        document([one.raw for one in found])
        return 0
    table(
        ("study", "name", "state", "baseline", "data", "drawn", "trained"),
        (
            (ids.brief(s.id), s.name, s.state, s.architecture, s.dataset, f"{s.proposed} of {s.size}", _trained(s))
            for s in found
        ),
        give=("name", "baseline", "data"),
    )
    return 0


def _trained(study: Study) -> str:
    """8, 1 failed."""
    failed = study.trials.get("failed")
    return f"{study.trials.get('completed', 0)}{f', {failed} failed' if failed else ''}"


def _watch(rdw: Client, arguments: argparse.Namespace) -> int:
    return watch_study(rdw, rdw.study(arguments.study), as_json=arguments.json)


_DO: dict[str, asking.Run] = {
    "show": lambda rdw, a: _said(rdw.study(a.study), a),
    "start": lambda rdw, a: _said(rdw.start_study(a.study), a),
    "pause": lambda rdw, a: _said(rdw.pause_study(a.study), a),
    "resume": lambda rdw, a: _said(rdw.resume_study(a.study), a),
    "cancel": lambda rdw, a: _said(rdw.cancel_study(a.study), a),
    "watch": _watch,
}


def _front(rdw: Client, arguments: argparse.Namespace) -> int:
    front = rdw.front(arguments.study, k=arguments.k)
    if arguments.json:
        document(front.raw)
        return 0
    table(
        ("r", "d", "w", "flops", "params", "accuracy", "role", ""),
        (
            (
                *(f"{m:.3f}" for m in (n.r, n.d, n.w)),
                *(short(n.flops), short(n.params), percent(n.accuracy, 2), n.role),
                "dominated" if n.dominated else "",
            )
            for n in front.items
        ),
    )
    return 0


def _correlations(rdw: Client, arguments: argparse.Namespace) -> int:
    found = rdw.correlations(arguments.study, k=arguments.k)
    if arguments.json:
        document(found.raw)
        return 0
    table(
        ("", "pearson", "90 % of it", "spearman", "90 % of it"),
        (
            (name, _signed(c.pearson), _between(c.pearson_interval), _signed(c.spearman), _between(c.spearman_interval))
            for name, c in (("r", found.r), ("d", found.d), ("w", found.w))
        ),
    )
    return 0


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.2f}"


def _between(interval: tuple[float, ...] | None) -> str:
    return "-" if interval is None else " to ".join(_signed(end) for end in interval)


def _figure(rdw: Client, arguments: argparse.Namespace) -> int:
    a = arguments
    to = a.to or Path(f"{a.name}.svg")
    write(to, rdw.figure(a.study, a.name, to.suffix.removeprefix(".") or "svg"))
    document(str(to)) if a.json else note(str(to))
    return 0


def _refit(rdw: Client, arguments: argparse.Namespace) -> int:
    a = arguments
    fitted = rdw.refit(a.study, k=a.k, activate=a.activate)
    if a.json:
        document(fitted.raw)
        return 0
    facts([("predictor", fitted.id), ("in use", "yes" if fitted.active else "no"), ("networks", fitted.observations)])
    if fitted.gate:
        note(f"The gate: {fitted.gate['why']}")
    return 0


def _ask(rdw: Client, arguments: argparse.Namespace) -> int:
    suggestions = rdw.ask(arguments.study, n=arguments.n, client=arguments.client)
    document([one.raw for one in suggestions]) if arguments.json else _show(suggestions)
    return 0


def _tell(rdw: Client, arguments: argparse.Namespace) -> int:
    a = arguments
    own = {name: getattr(a, name) for name in "rdw" if getattr(a, name) is not None}
    heard = rdw.tell(
        a.study,
        a.suggestion,
        accuracy=a.accuracy,
        infeasible=a.infeasible,
        multipliers=own or None,
        client=a.client,
        seconds=a.seconds,
        latency_ms=a.latency_ms,
    )
    if a.json:
        document(heard.raw)
        return 0
    print("noted" if heard.observation is None else f"observation {heard.observation}")
    return 0


def _import(rdw: Client, arguments: argparse.Namespace) -> int:
    a = arguments
    try:
        rows = sys.stdin.read() if a.table == "-" else Path(a.table).read_text()
    except OSError as error:
        raise ValueError(f"{a.table}: {error.strerror}") from error
    brought = rdw.import_csv(a.study, rows, source=a.source)
    document(brought.raw) if a.json else print(f"{brought.imported} observations")
    return 0


def _retract(rdw: Client, arguments: argparse.Namespace) -> int:
    a = arguments
    taken = rdw.retract(a.study, a.observation, a.reason)
    document(taken.raw) if a.json else print(f"observation {taken.id} counts no more")
    return 0


def _export(rdw: Client, arguments: argparse.Namespace) -> int:
    a = arguments
    if a.json:
        whole = [one.raw for one in rdw.observations(a.study)]
        document(whole) if a.to is None else document_to(a.to, whole)
    else:
        rows = rdw.observations_csv(a.study)
        print(rows, end="") if a.to is None else write(a.to, rows)
    if a.to is not None:
        note(str(a.to))
    return 0


def _said(study: Study, arguments: argparse.Namespace) -> int:
    if arguments.json:
        document(study.raw)
        return 0
    facts(
        [
            ("study", study.id),
            ("name", study.name),
            ("state", study.state),
            ("baseline", f"{study.architecture} on {study.dataset}"),
            ("networks", f"{study.proposed} of {study.size} drawn, {study.sampler}"),
            ("trials", counts(study)),
        ]
    )
    if study.state == "created":
        note(f"Start it: rdw study start {study.id}   or train elsewhere: rdw study ask {study.id}")
    return 0


def _show(suggestions: tuple[Suggestion, ...]) -> None:
    table(
        ("suggestion", "r", "d", "w", "px", "flops", "params"),
        (
            (
                s.id,
                f"{s.multipliers.r:.3f}",
                f"{s.multipliers.d:.3f}",
                f"{s.multipliers.w:.3f}",
                str(s.config["resolution"]),
                short(s.flops),
                short(s.params),
            )
            for s in suggestions
        ),
    )
