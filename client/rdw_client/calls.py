"""Every call of the API, described and not sent: what is asked, and how the answer reads. Both clients send these."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Protocol, TypeVar
from urllib.parse import quote

import httpx

from rdw_client import answers
from rdw_client.answers import Answer, Page, Plain
from rdw_client.errors import NotUnderstood
from rdw_client.finite import finite

T = TypeVar("T")
A = TypeVar("A", bound=Answer)

CSV = "text/csv"
_PAGE = 200


class HasId(Protocol):
    """A trial, a study, a predictor: wherever an id is taken."""

    @property
    def id(self) -> str: ...


Ref = str | HasId


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request and how its answer is read. `accepts`: statuses beside 2xx that are an answer."""

    method: str
    path: str
    read: Callable[[httpx.Response], T]
    params: Mapping[str, Any] = field(default_factory=dict)
    content: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    accepts: tuple[int, ...] = ()

    def request(self) -> dict[str, Any]:
        """What httpx takes: with the same idempotency key however often this very call is sent."""
        return {
            "method": self.method,
            "url": self.path,
            "params": dict(self.params),
            "content": self.content,
            "headers": dict(self.headers),
        }

    def after(self, cursor: str) -> Call[T]:
        """The same list's next page."""
        return replace(self, params={**self.params, "cursor": cursor})


def architectures() -> Call[tuple[answers.Architecture, ...]]:
    """The built-in baselines, then the registered ones."""
    return _all(Call("GET", "/v1/architectures", _nothing), answers.Architecture)


def architecture(name: str) -> Call[answers.Architecture]:
    """A baseline with its network and the rules by which it scales."""
    return _get(f"/v1/architectures/{_id(name)}", answers.Architecture)


def register_architecture(spec: Mapping[str, Any]) -> Call[answers.Architecture]:
    """Keep a baseline of your own under its name; the same again changes nothing."""
    return _post("/v1/architectures", spec, answers.Architecture)


def cost(
    architecture: str | Mapping[str, Any] | None = None,
    *,
    multipliers: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
) -> Call[answers.Costed]:
    """Exact cost of an architecture at multipliers (default 1, 1, 1), or of a config."""
    return _post("/v1/cost", _given(architecture=architecture, multipliers=multipliers, config=config), answers.Costed)


def scale(
    architecture: str | Mapping[str, Any],
    *,
    flops: int | None = None,
    ratio: float | None = None,
    rule: str | None = None,
    multipliers: Mapping[str, Any] | None = None,
    constraints: Mapping[str, Any] | None = None,
    budget: Mapping[str, Any] | None = None,
    predictor: str | None = None,
    version: int | None = None,
    train: Mapping[str, Any] | None = None,
) -> Call[answers.Recommendation]:
    """The network for a budget (`flops`, or their `ratio` to the baseline's); with `train` it is trained as well."""
    target = _given(flops=flops, ratio=ratio) or None
    body = _given(
        architecture=architecture,
        target=target,
        rule=rule,
        multipliers=multipliers,
        constraints=constraints,
        budget=budget,
        predictor=predictor,
        version=version,
        train=train,
    )
    return _post("/v1/scale", body, answers.Recommendation)


def family(
    architecture: str | Mapping[str, Any],
    *,
    flops: Sequence[int] = (),
    ratios: Sequence[float] = (),
    rule: str | None = None,
    constraints: Mapping[str, Any] | None = None,
    budget: Mapping[str, Any] | None = None,
    predictor: str | None = None,
    version: int | None = None,
) -> Call[answers.Family]:
    """A network for each of several budgets."""
    targets = [*({"flops": n} for n in flops), *({"ratio": c} for c in ratios)]
    body = _given(
        architecture=architecture,
        targets=targets,
        rule=rule,
        constraints=constraints,
        budget=budget,
        predictor=predictor,
        version=version,
    )
    return _post("/v1/scale/family", body, answers.Family)


def compare(
    architecture: str | Mapping[str, Any],
    *,
    flops: int | None = None,
    ratio: float | None = None,
    rules: Sequence[str] | None = None,
    multipliers: Mapping[str, Any] | None = None,
    constraints: Mapping[str, Any] | None = None,
    budget: Mapping[str, Any] | None = None,
    predictor: str | None = None,
    version: int | None = None,
) -> Call[answers.Comparison]:
    """One budget by several rules (default: all), side by side."""
    body = _given(
        architecture=architecture,
        target=_given(flops=flops, ratio=ratio),
        rules=None if rules is None else list(rules),
        multipliers=multipliers,
        constraints=constraints,
        budget=budget,
        predictor=predictor,
        version=version,
    )
    return _post("/v1/compare", body, answers.Comparison)


def datasets() -> Call[tuple[answers.Dataset, ...]]:
    """What can be trained on; of each whether it is there."""
    return _all(Call("GET", "/v1/datasets", _nothing), answers.Dataset)


def register_dataset(name: str, folder: str, *, native_px: int | None = None) -> Call[answers.Dataset]:
    """Make a folder of images below the service's data root known under a name."""
    return _post("/v1/datasets", _given(name=name, folder=folder, native_px=native_px), answers.Dataset)


def train(
    architecture: str | Mapping[str, Any] | None = None,
    *,
    dataset: str,
    multipliers: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
    recipe: str | Mapping[str, Any] | None = None,
    seed: int | None = None,
    study: Ref | None = None,
    priority: int | None = None,
) -> Call[answers.Trial]:
    """Train a network: its trial, which may run already or have completed; see `wait`."""
    body = _trial_body(architecture, dataset, multipliers, config, recipe, seed, study, priority)
    return _post("/v1/trials", body, answers.Trial)


def estimate(
    architecture: str | Mapping[str, Any] | None = None,
    *,
    dataset: str,
    multipliers: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
    recipe: str | Mapping[str, Any] | None = None,
    seed: int | None = None,
) -> Call[answers.Estimate]:
    """What that training would take; nothing is started."""
    body = _trial_body(architecture, dataset, multipliers, config, recipe, seed, None, None)
    return _reading(_write("/v1/trials", {**body, "validate_only": True}), _estimated)


def trial(trial: Ref) -> Call[answers.Trial]:
    """Its state, how far it is and, once it has completed, its result."""
    return _get(f"/v1/trials/{_id(trial)}", answers.Trial)


def trials(
    *, state: str | None = None, study: Ref | None = None, architecture: str | None = None
) -> Call[Page[answers.Trial]]:
    """Newest first."""
    filters = _given(state=state, study=None if study is None else _id(study), architecture=architecture)
    return _list("/v1/trials", answers.Trial, **filters)


def cancel_trial(trial: Ref) -> Call[answers.Trial]:
    """Stop it: at once where it waits, after its next batch where it runs."""
    return _post(f"/v1/trials/{_id(trial)}/cancel", None, answers.Trial)


def retry_trial(trial: Ref) -> Call[answers.Trial]:
    """A failed or cancelled trial waits again and goes on from its checkpoint."""
    return _post(f"/v1/trials/{_id(trial)}/retry", None, answers.Trial)


def create_study(
    name: str,
    architecture: str | Mapping[str, Any],
    dataset: str,
    *,
    recipe: str | Mapping[str, Any] | None = None,
    space: Mapping[str, Any] | None = None,
    trials: int | None = None,
    sampler: str | None = None,
    compound: int | None = None,
    seeds: int | None = None,
    halving: Mapping[str, Any] | None = None,
    refit: Mapping[str, Any] | None = None,
    seed: int | None = None,
) -> Call[answers.Study]:
    """A study of networks around a baseline; nothing is trained before `start_study`, or `ask`."""
    body = _given(
        name=name,
        architecture=architecture,
        dataset=dataset,
        recipe=recipe,
        space=space,
        trials=trials,
        sampler=sampler,
        compound=compound,
        seeds=seeds,
        halving=halving,
        refit=refit,
        seed=seed,
    )
    return _post("/v1/studies", body, answers.Study)


def study(study: Ref) -> Call[answers.Study]:
    """Its state, and how many of its trials are in which."""
    return _get(f"/v1/studies/{_id(study)}", answers.Study)


def studies(*, architecture: str | None = None) -> Call[Page[answers.Study]]:
    """Newest first."""
    return _list("/v1/studies", answers.Study, **_given(architecture=architecture))


def start_study(study: Ref) -> Call[answers.Study]:
    """Enqueue all its trials."""
    return _post(f"/v1/studies/{_id(study)}/start", None, answers.Study)


def pause_study(study: Ref) -> Call[answers.Study]:
    """Its queued trials wait; running ones go on."""
    return _post(f"/v1/studies/{_id(study)}/pause", None, answers.Study)


def resume_study(study: Ref) -> Call[answers.Study]:
    """Its queued trials take their turns again."""
    return _post(f"/v1/studies/{_id(study)}/resume", None, answers.Study)


def cancel_study(study: Ref) -> Call[answers.Study]:
    """Cancel its trials; finished ones stay."""
    return _post(f"/v1/studies/{_id(study)}/cancel", None, answers.Study)


def ask(
    study: Ref, *, client: str | None = None, n: int | None = None, lease_seconds: float | None = None
) -> Call[tuple[answers.Suggestion, ...]]:
    """What to train next, elsewhere. The same client gets again what it has not answered yet."""
    body = _given(client=client, n=n, lease_seconds=lease_seconds)
    return _all(_write(f"/v1/studies/{_id(study)}/ask", body), answers.Suggestion)


def tell(
    study: Ref,
    suggestion: Ref | None = None,
    *,
    accuracy: float | None = None,
    infeasible: str | None = None,
    multipliers: Mapping[str, float] | None = None,
    client: str | None = None,
    seconds: float | None = None,
    latency_ms: float | None = None,
    metrics: Mapping[str, float] | None = None,
) -> Call[answers.Heard]:
    """What came of a suggestion, or of multipliers of your own: an accuracy from 0 to 1, or why there is none."""
    body = _given(
        suggestion=None if suggestion is None else _id(suggestion),
        accuracy=accuracy,
        infeasible=infeasible,
        multipliers=multipliers,
        client=client,
        seconds=seconds,
        latency_ms=latency_ms,
        metrics=metrics,
    )
    return _post(f"/v1/studies/{_id(study)}/tell", body, answers.Heard)


def observations(study: Ref) -> Call[Page[answers.Observation]]:
    """In the order in which they came, those that were taken back as well."""
    return _list(f"/v1/studies/{_id(study)}/observations", answers.Observation)


def observations_csv(study: Ref) -> Call[str]:
    """All of them as a table."""
    path = f"/v1/studies/{_id(study)}/observations"
    return Call("GET", path, lambda answer: answer.text, headers={"Accept": CSV})


def import_observations(
    study: Ref, observations: Iterable[Mapping[str, Any]], *, source: str | None = None
) -> Call[answers.Imported]:
    """Bring in results from elsewhere, `r`, `d`, `w` and `accuracy` each: all of them, or none."""
    body = _given(source=source, observations=list(observations))
    return _post(f"/v1/studies/{_id(study)}/observations", body, answers.Imported)


def import_csv(study: Ref, table: str, *, source: str | None = None) -> Call[answers.Imported]:
    """The same from a table whose first line names the columns."""
    call = _post(f"/v1/studies/{_id(study)}/observations", None, answers.Imported)
    headers = {**call.headers, "Content-Type": CSV}
    return replace(call, content=table.encode(), headers=headers, params=_given(source=source))


def retract(study: Ref, observation: int, reason: str) -> Call[answers.Observation]:
    """Take an observation back: it stays readable, and counts no more."""
    path = f"/v1/studies/{_id(study)}/observations/{observation}/retract"
    return _post(path, {"reason": reason}, answers.Observation)


def front(study: Ref, *, k: int | None = None) -> Call[answers.Front]:
    """At most k networks that no other beats, by rising flops; fewer than five are filled up with `dominated` ones."""
    return _get(f"/v1/studies/{_id(study)}/front", answers.Front, **_given(k=k))


def correlations(study: Ref, *, k: int | None = None) -> Call[answers.Correlations]:
    """Of r, d and w with flops over the front's networks."""
    return _get(f"/v1/studies/{_id(study)}/correlations", answers.Correlations, **_given(k=k))


def calibration(study: Ref) -> Call[answers.Calibration]:
    """How often the truth fell inside the bands, over networks predicted before they were trained."""
    return _get(f"/v1/studies/{_id(study)}/calibration", answers.Calibration)


def figure(study: Ref, name: str, format: str = "svg") -> Call[bytes]:
    """One of the paper's figures from the study's observations, as svg or png, or its data as csv."""
    return Call("GET", f"/v1/studies/{_id(study)}/figures/{_id(name)}.{_id(format)}", lambda answer: answer.content)


def refit(study: Ref, *, k: int | None = None, activate: bool | str | None = None) -> Call[answers.Predictor]:
    """Fit r(c) and d(c) on the study's front: a new version. `activate`: True, False, or "gate" if it is fit for it."""
    return _post(f"/v1/studies/{_id(study)}/predictors", _given(k=k, activate=activate), answers.Predictor)


def train_family(
    study: Ref,
    *,
    flops: Sequence[int] = (),
    ratios: Sequence[float] = (),
    rules: Sequence[str] | None = None,
    recipes: Sequence[str] | None = None,
    seeds: int | None = None,
    predictor: str | None = None,
) -> Call[answers.TrainedFamily]:
    """Train each rule's network for each budget by each recipe with each seed."""
    body = _given(
        targets=[*({"flops": n} for n in flops), *({"ratio": c} for c in ratios)],
        rules=None if rules is None else list(rules),
        recipes=None if recipes is None else list(recipes),
        seeds=seeds,
        predictor=predictor,
    )
    return _post(f"/v1/studies/{_id(study)}/family", body, answers.TrainedFamily)


def trained_family(study: Ref) -> Call[answers.TrainedFamily]:
    """What the family's networks have come to so far."""
    return _get(f"/v1/studies/{_id(study)}/family", answers.TrainedFamily)


def predictors(*, architecture: str | None = None) -> Call[Page[answers.Predictor]]:
    """Newest first, every version."""
    return _list("/v1/predictors", answers.Predictor, **_given(architecture=architecture))


def predictor(predictor: Ref) -> Call[answers.Predictor]:
    """Its training points, hyperparameters and fit quality."""
    return Call("GET", f"/v1/predictors/{_id(predictor)}", _tagged_predictor)


def curve(
    predictor: Ref, *, least: float | None = None, most: float | None = None, steps: int | None = None
) -> Call[answers.Curve]:
    """r(c), d(c) and accuracy(c) with their standard deviations."""
    query = _given(least=least, most=most, steps=steps)
    return _get(f"/v1/predictors/{_id(predictor)}/curve", answers.Curve, **query)


def predictor_calibration(predictor: Ref) -> Call[answers.Calibration]:
    """How often the truth fell inside the bands of what this version foretold."""
    return _get(f"/v1/predictors/{_id(predictor)}/calibration", answers.Calibration)


def activate(predictor: Ref, *, if_match: str | None = None) -> Call[answers.Predictor]:
    """Use this version from now on. `if_match`: the etag it was read with; changed since then it is a Conflict."""
    call = _post(f"/v1/predictors/{_id(predictor)}/activate", None, answers.Predictor)
    headers = call.headers if if_match is None else {**call.headers, "If-Match": if_match}
    return replace(call, headers=headers, read=_tagged_predictor)


def workers() -> Call[tuple[answers.Worker, ...]]:
    """Who trains: those that live, and those that fell silent within the last hour."""
    return _all(Call("GET", "/v1/workers", _nothing), answers.Worker)


def queue() -> Call[answers.Queue]:
    """How many trials wait, are paused and run, and how long one that comes now would wait."""
    return _get("/v1/queue", answers.Queue)


def health() -> Call[answers.Health]:
    """Whether the process answers."""
    return _get("/healthz", answers.Health)


def ready() -> Call[answers.Readiness]:
    """Whether database and broker answer and a worker lives; an answer either way."""
    return replace(_get("/readyz", answers.Readiness), accepts=(503,))


def events(trial: Ref, last_event_id: int = 0) -> Call[None]:
    """A trial's server-sent events after one of them; to be streamed."""
    headers = {"Accept": "text/event-stream", **({"Last-Event-ID": str(last_event_id)} if last_event_id else {})}
    return Call("GET", f"/v1/trials/{_id(trial)}/events", _nothing, headers=headers)


def artifact(trial: Ref, file: str) -> Call[None]:
    """A file that a training left; to be streamed."""
    return Call("GET", f"/v1/trials/{_id(trial)}/artifacts/{_id(file)}", _nothing)


def _get(path: str, kind: type[A], **query: Any) -> Call[A]:
    finite(query)
    return Call("GET", path, lambda answer: kind.of(_json(answer)), params=query)


def _list(path: str, kind: type[A], **query: Any) -> Call[Page[A]]:
    return Call("GET", path, _page_of(kind), params={**query, "limit": _PAGE})


def _all(call: Call[None], kind: type[A]) -> Call[tuple[A, ...]]:
    """Of a list that has no pages."""
    page = _page_of(kind)
    return _reading(call, lambda answer: page(answer).items)


def _post(path: str, body: Mapping[str, Any] | None, kind: type[A]) -> Call[A]:
    return _reading(_write(path, body), lambda answer: kind.of(_json(answer)))


def _write(path: str, body: Mapping[str, Any] | None) -> Call[None]:
    """It has a key of its own: sent again, it is done once."""
    finite(body)
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    if body is not None:
        headers["Content-Type"] = "application/json"
    content = None if body is None else json.dumps(body, allow_nan=False).encode()
    return Call("POST", path, _nothing, content=content, headers=headers)


def _reading(call: Call[None], read: Callable[[httpx.Response], T]) -> Call[T]:
    return Call(call.method, call.path, read, call.params, call.content, call.headers, call.accepts)


def _nothing(_: httpx.Response) -> None:
    """For answers that are streamed, or read in another way."""


def _trial_body(
    architecture: str | Mapping[str, Any] | None,
    dataset: str,
    multipliers: Mapping[str, Any] | None,
    config: Mapping[str, Any] | None,
    recipe: str | Mapping[str, Any] | None,
    seed: int | None,
    study: Ref | None,
    priority: int | None,
) -> Plain:
    return _given(
        architecture=architecture,
        dataset=dataset,
        multipliers=multipliers,
        config=config,
        recipe=recipe,
        seed=seed,
        study=None if study is None else _id(study),
        priority=priority,
    )


def _json(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError as error:
        raise NotUnderstood(f"{answer.url} answers something else than JSON. Is RDW_URL that of rdw?") from error


def _page_of(kind: type[A]) -> Callable[[httpx.Response], Page[A]]:
    def read(answer: httpx.Response) -> Page[A]:
        body = _json(answer)
        if not isinstance(body, dict) or not isinstance(body.get("items"), list):
            raise NotUnderstood(f"{answer.url} answers no list. Is RDW_URL that of rdw?")
        return Page(tuple(kind.of(item) for item in body["items"]), body.get("next"))

    return read


def _estimated(answer: httpx.Response) -> answers.Estimate:
    body = _json(answer)
    return answers.Estimate.of(body.get("estimate") if isinstance(body, dict) else None)


def _tagged_predictor(answer: httpx.Response) -> answers.Predictor:
    return replace(answers.Predictor.of(_json(answer)), etag=answer.headers.get("ETag"))


def _given(**options: Any) -> Plain:
    """What is not none: the rest has the service's own defaults."""
    return {name: value for name, value in options.items() if value is not None}


def _id(ref: Ref) -> str:
    """As a part of a path, whatever is in it."""
    return quote(ref if isinstance(ref, str) else ref.id, safe="")
