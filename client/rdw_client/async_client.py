"""The asynchronous client. `client.py` is generated from this file by `generate_sync.py`."""

from __future__ import annotations

from asyncio import sleep
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from time import monotonic
from types import TracebackType
from typing import Self

import httpx

from rdw_client.async_transport import AsyncTransport
from rdw_client.connection import parse_response, problem_from
from rdw_client.encoding import JsonObject, Number
from rdw_client.events import MAX_SILENCE, Event, EventFollower, EventParser, event_from_trial
from rdw_client.files import destination
from rdw_client.models import (
    ApiKey,
    Architecture,
    Calibration,
    Comparison,
    Correlations,
    Costed,
    Curve,
    Dataset,
    Dependents,
    Estimate,
    Family,
    Front,
    Health,
    Imported,
    Observation,
    Predictor,
    Queue,
    Readiness,
    Recommendation,
    Study,
    Suggestion,
    TellResponse,
    TrainedFamily,
    Trial,
    Worker,
)
from rdw_client.outcomes import DatasetFailed, is_study_completed, require_completed
from rdw_client.polling import Deadline, poll_intervals
from rdw_client.request import (
    CSV,
    Kind,
    Ref,
    delete,
    dependents_of,
    get,
    get_bytes,
    get_list,
    get_page,
    get_stream,
    get_text,
    id_or_none,
    patch,
    post,
    post_csv,
    post_for_list,
    post_for_member,
    resource_path,
    target,
    targets,
    with_etag,
)
from rdw_client.retry import RetryPolicy


class AsyncClient:
    """A client of the rdw service at `url`, authenticated by `key`.

    The defaults are the environment variables RDW_URL (else port 8000 of this machine) and RDW_API_KEY. An attempt
    fails after `timeout` seconds without data. Transient failures are retried: at most `retries` times and for at most
    `patience` seconds in all, after a random delay of at most `backoff` seconds, then twice that, and so on.

    Wherever a trial, study or predictor is expected, its id will do. Options left at None have the server's defaults.
    Dataclasses are accepted as well as mappings, paths as well as strings, and scalars of numpy and torch as numbers.

    A client can be pickled and copied. The copy has the same address, key and options, and connections of its own.
    Every method can raise Problem, Unreachable and NotUnderstood.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        timeout: float = 60.0,
        retries: int = 6,
        patience: float = 60.0,
        backoff: float = 0.25,
    ) -> None:
        self._transport = AsyncTransport(url, key, timeout, RetryPolicy(retries, patience, backoff))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    # Scaling

    async def architectures(self, *, archived: bool | None = None) -> tuple[Architecture, ...]:
        """List the built-in baselines, then the registered ones; with `archived`, the archived ones."""
        return await self._transport.send(get_list("/v1/architectures", Architecture, archived=archived))

    async def architecture(self, name: str) -> Architecture:
        """Get a baseline with its network and its scaling rules."""
        return await self._transport.send(get(resource_path("architecture", name), Architecture))

    async def register_architecture(self, spec: JsonObject) -> Architecture:
        """Register a baseline of your own under its name; registering the same one again has no effect."""
        return await self._transport.send(post("/v1/architectures", Architecture, spec))

    async def update_architecture(
        self,
        architecture: str,
        *,
        name: str | None = None,
        description: str | None = None,
        archived: bool | None = None,
    ) -> Architecture:
        """Rename, describe or archive a registered baseline; what is None stays as it is.

        What refers to it gets the new name too, and its former name goes on to stand for it.
        """
        body = {"name": name, "description": description, "archived": archived}
        return await self._transport.send(patch(resource_path("architecture", architecture), Architecture, body))

    async def delete_architecture(self, name: str, *, force: bool | None = None) -> None:
        """Delete a registered baseline; with `force` also one that has studies or predictors, which remain."""
        await self._transport.send(delete(resource_path("architecture", name), force=force))

    async def cost(
        self,
        architecture: str | JsonObject | None = None,
        *,
        multipliers: JsonObject | None = None,
        config: JsonObject | None = None,
        dataset: str | None = None,
        num_classes: int | None = None,
        in_chans: int | None = None,
    ) -> Costed:
        """Compute the exact cost of an architecture at multipliers (default 1, 1, 1), or of a config.

        An architecture is counted for the classes of `dataset`, or for `num_classes` and `in_chans`.
        """
        body = {
            "architecture": architecture,
            "multipliers": multipliers,
            "config": config,
            "dataset": dataset,
            "num_classes": num_classes,
            "in_chans": in_chans,
        }
        return await self._transport.send(post("/v1/cost", Costed, body))

    async def scale(
        self,
        architecture: str | JsonObject,
        *,
        flops: int | None = None,
        ratio: float | None = None,
        params: int | None = None,
        weights_bytes: int | None = None,
        activation_bytes: int | None = None,
        precision: str | None = None,
        rule: str | None = None,
        multipliers: JsonObject | None = None,
        constraints: JsonObject | None = None,
        budget: JsonObject | None = None,
        study: Ref | None = None,
        predictor: str | None = None,
        version: int | None = None,
        dataset: str | None = None,
        num_classes: int | None = None,
        in_chans: int | None = None,
        train: JsonObject | None = None,
    ) -> Recommendation:
        """Find the network for a budget: `flops`, or their `ratio` to the baseline's. With `train`, train it too.

        Other budgets are `params`, and `weights_bytes` or peak `activation_bytes` on a device, in float32 or in int8
        (`precision`).
        The newest predictor of `study` answers, or `predictor`; by default the active one of the architecture.
        It is counted for the classes of `dataset`, or for `num_classes` and `in_chans`.
        """
        body = {
            "architecture": architecture,
            "target": target(
                precision,
                flops=flops,
                ratio=ratio,
                params=params,
                weights_bytes=weights_bytes,
                activation_bytes=activation_bytes,
            )
            or None,
            "rule": rule,
            "multipliers": multipliers,
            "constraints": constraints,
            "budget": budget,
            "study": id_or_none(study),
            "predictor": predictor,
            "version": version,
            "dataset": dataset,
            "num_classes": num_classes,
            "in_chans": in_chans,
            "train": train,
        }
        return await self._transport.send(post("/v1/scale", Recommendation, body))

    async def family(
        self,
        architecture: str | JsonObject,
        *,
        flops: Sequence[int] = (),
        ratios: Sequence[float] = (),
        params: Sequence[int] = (),
        weights_bytes: Sequence[int] = (),
        activation_bytes: Sequence[int] = (),
        precision: str | None = None,
        rule: str | None = None,
        constraints: JsonObject | None = None,
        budget: JsonObject | None = None,
        study: Ref | None = None,
        predictor: str | None = None,
        version: int | None = None,
        dataset: str | None = None,
        num_classes: int | None = None,
        in_chans: int | None = None,
    ) -> Family:
        """Find a network for each of several budgets."""
        body = {
            "architecture": architecture,
            "targets": targets(
                precision,
                flops=flops,
                ratio=ratios,
                params=params,
                weights_bytes=weights_bytes,
                activation_bytes=activation_bytes,
            ),
            "rule": rule,
            "constraints": constraints,
            "budget": budget,
            "study": id_or_none(study),
            "predictor": predictor,
            "version": version,
            "dataset": dataset,
            "num_classes": num_classes,
            "in_chans": in_chans,
        }
        return await self._transport.send(post("/v1/scale/family", Family, body))

    async def compare(
        self,
        architecture: str | JsonObject,
        *,
        flops: int | None = None,
        ratio: float | None = None,
        params: int | None = None,
        weights_bytes: int | None = None,
        activation_bytes: int | None = None,
        precision: str | None = None,
        rules: Sequence[str] | None = None,
        multipliers: JsonObject | None = None,
        constraints: JsonObject | None = None,
        budget: JsonObject | None = None,
        study: Ref | None = None,
        predictor: str | None = None,
        version: int | None = None,
        dataset: str | None = None,
        num_classes: int | None = None,
        in_chans: int | None = None,
    ) -> Comparison:
        """Find the network for one budget by each of several rules (default: all)."""
        body = {
            "architecture": architecture,
            "target": target(
                precision,
                flops=flops,
                ratio=ratio,
                params=params,
                weights_bytes=weights_bytes,
                activation_bytes=activation_bytes,
            ),
            "rules": rules,
            "multipliers": multipliers,
            "constraints": constraints,
            "budget": budget,
            "study": id_or_none(study),
            "predictor": predictor,
            "version": version,
            "dataset": dataset,
            "num_classes": num_classes,
            "in_chans": in_chans,
        }
        return await self._transport.send(post("/v1/compare", Comparison, body))

    # Training

    async def datasets(self, *, archived: bool | None = None) -> tuple[Dataset, ...]:
        """List the data sets and whether each is available; with `archived`, the archived ones."""
        return await self._transport.send(get_list("/v1/datasets", Dataset, archived=archived))

    async def dataset(self, name: str) -> Dataset:
        """Get a data set with its classes and what was understood of its folder."""
        return await self._transport.send(get(resource_path("dataset", name), Dataset))

    async def dataset_samples(self, name: str, *, px: int | None = None) -> bytes:
        """Get a PNG of 16 training images with their labels as they enter a network, by default at the stored size."""
        return await self._transport.send(get_bytes(resource_path("dataset", name, "samples.png"), px=px))

    async def register_dataset(
        self,
        name: str,
        folder: str | PurePath,
        *,
        native_px: int | Sequence[int] | None = None,
        layout: str | None = None,
        background: str | None = None,
        channels: int | None = None,
        validate_only: bool | None = None,
    ) -> Dataset:
        """Register a folder of images below the service's data root under a name.

        A large folder is returned in the state `checking`, see `wait_for_dataset`. Images are cropped and resized to
        `native_px`, the side of a square or height and width. `layout` says how it is read
        (`classes`, `splits`, `manifest` or `shards`), `background` is the colour behind transparent images,
        `channels` 1 (grey), 3 (RGB) or 4 (RGB and opacity); by default 1 if all images are grey, otherwise 3. With
        `validate_only` nothing is registered.
        """
        body = {
            "name": name,
            "folder": folder,
            "native_px": native_px,
            "layout": layout,
            "background": background,
            "channels": channels,
            "validate_only": validate_only,
        }
        return await self._transport.send(post("/v1/datasets", Dataset, body))

    async def wait_for_dataset(
        self, name: str, progress: Callable[[Dataset], object] | None = None, *, timeout: float | None = None
    ) -> Dataset:
        """Wait until the images of a data set have been checked. `progress` is called with it at every poll.

        Raises: DatasetFailed if they cannot be used; WaitedTooLong.
        """
        deadline = Deadline(timeout, monotonic())
        for interval in poll_intervals():
            current = await self.dataset(name)
            if progress is not None:
                progress(current)
            if current.state == "failed":
                raise DatasetFailed(current)
            if current.state != "checking":
                return current
            await sleep(deadline.limit(interval, monotonic()))
        raise AssertionError("poll_intervals never ends")

    async def update_dataset(
        self, dataset: str, *, name: str | None = None, description: str | None = None, archived: bool | None = None
    ) -> Dataset:
        """Rename, describe or archive a registered data set; what is None stays as it is.

        What refers to it gets the new name too, and its former name goes on to stand for it.
        """
        body = {"name": name, "description": description, "archived": archived}
        return await self._transport.send(patch(resource_path("dataset", dataset), Dataset, body))

    async def refresh_dataset(self, name: str) -> Dataset:
        """Read a registered data set again after its images have changed; trials keep their digest.

        A large folder is returned in the state `checking`, see `wait_for_dataset`.
        """
        return await self._transport.send(post(resource_path("dataset", name, "refresh"), Dataset))

    async def delete_dataset(self, name: str, *, force: bool | None = None) -> None:
        """Delete a registered data set, not its files; with `force` also one that has studies, which remain."""
        await self._transport.send(delete(resource_path("dataset", name), force=force))

    async def train(
        self,
        architecture: str | JsonObject | None = None,
        *,
        dataset: str,
        multipliers: JsonObject | None = None,
        config: JsonObject | None = None,
        recipe: str | JsonObject | None = None,
        seed: int | None = None,
        study: Ref | None = None,
        priority: int | None = None,
    ) -> Trial:
        """Train a network and return its trial. If it was requested before, that trial may be running or completed.

        `recipe` is the name of a preset, or a dict of options such as `epochs` and `crop_pct`, the centre crop of the
        evaluation.
        `wait` waits for the trial.
        """
        body = {
            "architecture": architecture,
            "dataset": dataset,
            "multipliers": multipliers,
            "config": config,
            "recipe": recipe,
            "seed": seed,
            "study": id_or_none(study),
            "priority": priority,
        }
        return await self._transport.send(post("/v1/trials", Trial, body))

    async def estimate(
        self,
        architecture: str | JsonObject | None = None,
        *,
        dataset: str,
        multipliers: JsonObject | None = None,
        config: JsonObject | None = None,
        recipe: str | JsonObject | None = None,
        seed: int | None = None,
    ) -> Estimate:
        """Estimate how long a training would take, without starting it."""
        body = {
            "architecture": architecture,
            "dataset": dataset,
            "multipliers": multipliers,
            "config": config,
            "recipe": recipe,
            "seed": seed,
            "validate_only": True,
        }
        return await self._transport.send(post_for_member("/v1/trials", "estimate", Estimate, body))

    async def trial(self, trial: Ref) -> Trial:
        """Get a trial: its state, its progress and, once it has completed, its result."""
        return await self._transport.send(get(resource_path("trial", trial), Trial))

    def trials(
        self,
        *,
        state: str | None = None,
        study: Ref | None = None,
        architecture: str | None = None,
        id_prefix: str | None = None,
        archived: bool | None = None,
        sort: str | None = None,
    ) -> AsyncIterator[Trial]:
        """Iterate over trials, newest first; with `archived`, over the archived ones.

        `sort` is another order, for instance "-accuracy": the best first.
        """
        filters = {
            "state": state,
            "study": id_or_none(study),
            "architecture": architecture,
            "id_prefix": id_prefix,
            "archived": archived,
            "sort": sort,
        }
        return self._transport.items(get_page("/v1/trials", Trial, **filters))

    async def update_trial(
        self, trial: Ref, *, name: str | None = None, description: str | None = None, archived: bool | None = None
    ) -> Trial:
        """Name, describe or archive a trial; what is None stays as it is."""
        body = {"name": name, "description": description, "archived": archived}
        return await self._transport.send(patch(resource_path("trial", trial), Trial, body))

    async def delete_trial(self, trial: Ref, *, force: bool | None = None) -> None:
        """Delete a trial that has ended, with its observation and files; with `force` also one of a study."""
        await self._transport.send(delete(resource_path("trial", trial), force=force))

    async def cancel_trial(self, trial: Ref) -> Trial:
        """Cancel a trial: immediately if it is queued, after its current batch if it is running."""
        return await self._transport.send(post(resource_path("trial", trial, "cancel"), Trial))

    async def retry_trial(self, trial: Ref) -> Trial:
        """Queue a failed or cancelled trial again; it resumes from its checkpoint."""
        return await self._transport.send(post(resource_path("trial", trial, "retry"), Trial))

    async def events(self, trial: Ref, *, last_event_id: int = 0) -> AsyncIterator[Event]:
        """Iterate over a trial's events after `last_event_id` until it ends, across dropped connections."""
        follower = EventFollower(last_event_id, replay_all=True)
        async for event in self._follow(trial, follower, Deadline(None, monotonic())):
            if event.id is not None:
                yield event

    async def wait(
        self, trial: Ref, progress: Callable[[Event], object] | None = None, *, timeout: float | None = None
    ) -> Trial:
        """Wait until a trial has completed, and return it. `progress` is called with each event.

        Raises: TrialFailed; TrialCancelled; WaitedTooLong.
        """
        follower = EventFollower(0, replay_all=False)
        async for event in self._follow(trial, follower, Deadline(timeout, monotonic())):
            if progress is not None:
                progress(event)
        return require_completed(await self.trial(trial))

    async def download(self, trial: Ref, file: str, to: str | Path) -> Path:
        """Download a trial's artifact (`weights.safetensors`, …) to a path or into a folder; return its path.

        The file is complete or does not exist.
        """
        path = destination(to, file)
        await self._transport.download(get_stream(resource_path("trial", trial, "artifacts", file)), path)
        return path

    # Studies

    async def create_study(
        self,
        name: str,
        architecture: str | JsonObject,
        dataset: str,
        *,
        recipe: str | JsonObject | None = None,
        space: JsonObject | None = None,
        trials: int | None = None,
        sampler: str | None = None,
        compound: int | None = None,
        seeds: int | None = None,
        halving: JsonObject | None = None,
        refit: JsonObject | None = None,
        seed: int | None = None,
        load_if_exists: bool | None = None,
    ) -> Study:
        """Create a study of networks around a baseline. Training starts with `start_study`, or yourself with `ask`.

        With `load_if_exists` the newest study of that name is returned if there is one that is not archived.
        """
        body = {
            "name": name,
            "architecture": architecture,
            "dataset": dataset,
            "recipe": recipe,
            "space": space,
            "trials": trials,
            "sampler": sampler,
            "compound": compound,
            "seeds": seeds,
            "halving": halving,
            "refit": refit,
            "seed": seed,
            "load_if_exists": load_if_exists,
        }
        return await self._transport.send(post("/v1/studies", Study, body))

    async def estimate_study(
        self,
        architecture: str | JsonObject,
        dataset: str,
        *,
        recipe: str | JsonObject | None = None,
        space: JsonObject | None = None,
        trials: int | None = None,
        compound: int | None = None,
        seeds: int | None = None,
        seed: int | None = None,
    ) -> Estimate:
        """Estimate how long a study's trainings would take one after the other, without creating it."""
        body = {
            "name": "estimate",
            "architecture": architecture,
            "dataset": dataset,
            "recipe": recipe,
            "space": space,
            "trials": trials,
            "compound": compound,
            "seeds": seeds,
            "seed": seed,
            "validate_only": True,
        }
        return await self._transport.send(post_for_member("/v1/studies", "estimate", Estimate, body))

    async def study(self, study: Ref) -> Study:
        """Get a study: its state and the number of its trials in each state."""
        return await self._transport.send(get(resource_path("study", study), Study))

    def studies(
        self, *, architecture: str | None = None, id_prefix: str | None = None, archived: bool | None = None
    ) -> AsyncIterator[Study]:
        """Iterate over studies, newest first; with `archived`, over the archived ones."""
        filters = {"architecture": architecture, "id_prefix": id_prefix, "archived": archived}
        return self._transport.items(get_page("/v1/studies", Study, **filters))

    async def update_study(
        self,
        study: Ref,
        *,
        name: str | None = None,
        description: str | None = None,
        archived: bool | None = None,
        promote: bool | None = None,
    ) -> Study:
        """Rename, describe or archive a study; what is None stays as it is.

        With `promote`, which needs scope `admin`, its automatic refits that pass the gate answer everybody.
        """
        body = {"name": name, "description": description, "archived": archived, "promote": promote}
        return await self._transport.send(patch(resource_path("study", study), Study, body))

    async def delete_study(self, study: Ref, *, force: bool | None = None) -> None:
        """Delete a study; trials that have ended and predictors remain.

        Without `force` a study that others depend on is not deleted: `Conflict`, whose `extras["dependents"]` has
        the ids of predictors, unfinished trials, open suggestions and observations.
        """
        await self._transport.send(delete(resource_path("study", study), force=force))

    async def start_study(self, study: Ref) -> Study:
        """Queue all trials of a study."""
        return await self._transport.send(post(resource_path("study", study, "start"), Study))

    async def pause_study(self, study: Ref) -> Study:
        """Pause a study: its queued trials wait, running ones continue."""
        return await self._transport.send(post(resource_path("study", study, "pause"), Study))

    async def resume_study(self, study: Ref) -> Study:
        """Resume a paused study."""
        return await self._transport.send(post(resource_path("study", study, "resume"), Study))

    async def cancel_study(self, study: Ref) -> Study:
        """Cancel a study's unfinished trials."""
        return await self._transport.send(post(resource_path("study", study, "cancel"), Study))

    async def wait_for_study(
        self, study: Ref, progress: Callable[[Study], object] | None = None, *, timeout: float | None = None
    ) -> Study:
        """Wait until a study has completed, and return it. `progress` is called with it at every poll.

        Raises: StudyCancelled; WaitedTooLong; RdwError, immediately, if the study was not started.
        """
        deadline = Deadline(timeout, monotonic())
        for interval in poll_intervals():
            current = await self.study(study)
            if progress is not None:
                progress(current)
            if is_study_completed(current):
                return current
            await sleep(deadline.limit(interval, monotonic()))
        raise AssertionError("poll_intervals never ends")

    async def ask(
        self, study: Ref, *, client: str | None = None, n: int | None = None, lease_seconds: float | None = None
    ) -> tuple[Suggestion, ...]:
        """Ask what to train next yourself. Suggestions that this `client` has not reported on yet are repeated."""
        body = {"client": client, "n": n, "lease_seconds": lease_seconds}
        return await self._transport.send(post_for_list(resource_path("study", study, "ask"), Suggestion, body))

    def suggestions(self, study: Ref, *, state: str | None = None) -> AsyncIterator[Suggestion]:
        """Iterate over a study's suggestions to all clients, newest first.

        With `state`, over those that are `pending`, `reported` or `infeasible`.
        """
        return self._transport.items(get_page(resource_path("study", study, "suggestions"), Suggestion, state=state))

    async def tell(
        self,
        study: Ref,
        suggestion: Ref | None = None,
        *,
        accuracy: Number | None = None,
        infeasible: str | None = None,
        multipliers: JsonObject | None = None,
        client: str | None = None,
        seconds: Number | None = None,
        latency_ms: Number | None = None,
        metrics: Mapping[str, Number] | None = None,
        epoch: int | None = None,
    ) -> TellResponse:
        """Report the result of a suggestion, or of `multipliers` of your own.

        The result is an `accuracy` from 0 to 1, or the reason that it failed (`infeasible`). With `epoch` it is an
        interim result after that epoch, and `go_on` of the answer says whether to continue the training.
        """
        body = {
            "suggestion": id_or_none(suggestion),
            "accuracy": accuracy,
            "infeasible": infeasible,
            "multipliers": multipliers,
            "client": client,
            "seconds": seconds,
            "latency_ms": latency_ms,
            "metrics": metrics,
            "epoch": epoch,
        }
        return await self._transport.send(post(resource_path("study", study, "tell"), TellResponse, body))

    def observations(self, study: Ref) -> AsyncIterator[Observation]:
        """Iterate over a study's observations, oldest first, including retracted ones."""
        return self._transport.items(get_page(resource_path("study", study, "observations"), Observation))

    async def observations_csv(self, study: Ref) -> str:
        """Get a study's observations as CSV."""
        return await self._transport.send(get_text(resource_path("study", study, "observations"), CSV))

    async def import_observations(
        self, study: Ref, observations: Iterable[JsonObject], *, source: str | None = None
    ) -> Imported:
        """Import results from elsewhere, each with `r`, `d`, `w` and `accuracy`; if one is invalid, none of them."""
        body = {"source": source, "observations": list(observations)}
        return await self._transport.send(post(resource_path("study", study, "observations"), Imported, body))

    async def import_csv(self, study: Ref, table: str | bytes | Path, *, source: str | None = None) -> Imported:
        """Import results from CSV whose first line names the columns, as text, as bytes or as a file.

        Results that the study has already are not added again.
        """
        return await self._transport.send(
            post_csv(resource_path("study", study, "observations"), Imported, table, source=source)
        )

    async def retract(self, study: Ref, observation: int, reason: str) -> Observation:
        """Retract an observation: it can still be read but is no longer used."""
        path = resource_path("study", study, "observations", str(observation), "retract")
        return await self._transport.send(post(path, Observation, {"reason": reason}))

    async def front(self, study: Ref, *, k: int | None = None) -> Front:
        """Get at most `k` networks of the Pareto front, by rising flops.

        A front of fewer than five networks is filled up with dominated ones (`dominated`).
        """
        return await self._transport.send(get(resource_path("study", study, "front"), Front, k=k))

    async def correlations(self, study: Ref, *, k: int | None = None) -> Correlations:
        """Get the correlations of r, d and w with flops over the front's networks."""
        return await self._transport.send(get(resource_path("study", study, "correlations"), Correlations, k=k))

    async def calibration(self, study: Ref) -> Calibration:
        """Get how often the predicted bands contained the measured accuracy of a network trained afterwards."""
        return await self._transport.send(get(resource_path("study", study, "calibration"), Calibration))

    async def figure(self, study: Ref, name: str, format: str = "svg") -> bytes:
        """Get one of the paper's figures of a study's observations, as svg or png, or its data as csv."""
        path = resource_path("study", study, "figures", f"{name}.{format}")
        return await self._transport.send(get_bytes(path))

    async def train_family(
        self,
        study: Ref,
        *,
        flops: Sequence[int] = (),
        ratios: Sequence[float] = (),
        rules: Sequence[str] | None = None,
        recipes: Sequence[str] | None = None,
        seeds: int | None = None,
        predictor: str | None = None,
    ) -> TrainedFamily:
        """Train each rule's network for each budget, with each recipe and seed."""
        body = {
            "targets": targets(flops=flops, ratio=ratios),
            "rules": rules,
            "recipes": recipes,
            "seeds": seeds,
            "predictor": predictor,
        }
        return await self._transport.send(post(resource_path("study", study, "family"), TrainedFamily, body))

    async def trained_family(self, study: Ref) -> TrainedFamily:
        """Get the results of a family's networks so far."""
        return await self._transport.send(get(resource_path("study", study, "family"), TrainedFamily))

    # Predictors

    async def refit(self, study: Ref, *, k: int | None = None, activate: bool | str | None = None) -> Predictor:
        """Fit r(c) and d(c) to a study's front as a new version of the predictor.

        It answers requests with this `study`. `activate`, which needs scope `admin`, lets it answer everybody: True,
        or "gate" if it passes the promotion gate.
        """
        body = {"k": k, "activate": activate}
        return await self._transport.send(post(resource_path("study", study, "predictors"), Predictor, body))

    def predictors(self, *, architecture: str | None = None, archived: bool | None = None) -> AsyncIterator[Predictor]:
        """Iterate over all versions of predictors, newest first; with `archived`, over the archived ones."""
        filters = {"architecture": architecture, "archived": archived}
        return self._transport.items(get_page("/v1/predictors", Predictor, **filters))

    async def predictor(self, predictor: Ref) -> Predictor:
        """Get a predictor: its training points, hyperparameters and quality of fit."""
        return await self._transport.send(with_etag(get(resource_path("predictor", predictor), Predictor)))

    async def curve(
        self, predictor: Ref, *, min_c: float | None = None, max_c: float | None = None, steps: int | None = None
    ) -> Curve:
        """Get r(c), d(c) and accuracy(c) with their standard deviations."""
        query = {"min_c": min_c, "max_c": max_c, "steps": steps}
        return await self._transport.send(get(resource_path("predictor", predictor, "curve"), Curve, **query))

    async def predictor_calibration(self, predictor: Ref) -> Calibration:
        """Get how often the bands of this version contained the measured accuracy."""
        return await self._transport.send(get(resource_path("predictor", predictor, "calibration"), Calibration))

    async def activate(self, predictor: Ref, *, if_match: str | None = None) -> Predictor:
        """Use this version from now on.

        `if_match` is the etag that it was read with: if it has changed since then, this raises Conflict.
        """
        request = with_etag(post(resource_path("predictor", predictor, "activate"), Predictor))
        if if_match is not None:
            request = request.with_header("If-Match", if_match)
        return await self._transport.send(request)

    async def deactivate(self, predictor: Ref) -> Predictor:
        """Stop using this version by default; the built-in predictor is used until another one is activated."""
        return await self._transport.send(
            with_etag(post(resource_path("predictor", predictor, "deactivate"), Predictor))
        )

    async def update_predictor(
        self, predictor: Ref, *, name: str | None = None, description: str | None = None, archived: bool | None = None
    ) -> Predictor:
        """Name, describe or archive a version; what is None stays as it is. The active version cannot be archived."""
        body = {"name": name, "description": description, "archived": archived}
        return await self._transport.send(with_etag(patch(resource_path("predictor", predictor), Predictor, body)))

    async def delete_predictor(self, predictor: Ref, *, force: bool | None = None) -> None:
        """Delete a version; with `force` also one that is active or has predicted the accuracy of trials."""
        await self._transport.send(delete(resource_path("predictor", predictor), force=force))

    async def dependents(self, kind: Kind, resource: Ref) -> Dependents:
        """Get what depends on a study, trial, architecture, dataset or predictor; it is deleted only with `force` then.

        Raises: Conflict if it cannot be deleted at all.
        """
        return await self._transport.send(dependents_of(kind, resource))

    # The service

    async def workers(self) -> tuple[Worker, ...]:
        """List the workers that are alive, or were within the last hour."""
        return await self._transport.send(get_list("/v1/workers", Worker))

    async def queue(self) -> Queue:
        """Get how many trials are queued, paused and running, and how long a new one would wait."""
        return await self._transport.send(get("/v1/queue", Queue))

    async def changes(self, *, seconds: int | None = None) -> AsyncIterator[Event]:
        """Iterate over what changes on the service, until the stream ends: after `seconds`, or an hour.

        The first event is `open`: what changes from then on is reported, so read what you follow after it. The `kind`
        of the others is `trials`, `studies`, `predictors` or `workers`, and their `data` has the `ids` that changed;
        None: very many.

        Raises: Problem; Unreachable if the connection drops.
        """
        request = get_stream("/v1/events", {"Accept": "text/event-stream"}, seconds=seconds)
        parser = EventParser()
        try:
            async with self._transport.stream(request, MAX_SILENCE) as response:
                if not response.is_success:
                    await response.aread()
                    raise problem_from(response)
                async for line in response.aiter_lines():
                    event = parser.feed(line)
                    if event is not None:
                        yield event
        except httpx.TransportError as error:
            parse_response(request, error)

    def api_keys(self) -> AsyncIterator[ApiKey]:
        """Iterate over the API keys, newest first, including revoked ones; needs scope `admin`, as all of keys does."""
        return self._transport.items(get_page("/v1/keys", ApiKey))

    async def api_key(self, key: Ref) -> ApiKey:
        """Get an API key by its id."""
        return await self._transport.send(get(resource_path("key", key), ApiKey))

    async def create_api_key(self, name: str, scope: str, *, lifetime_days: int | None = None) -> ApiKey:
        """Create an API key of scope `read`, `train` or `admin`; its `secret` is shown this once.

        The secret is None if the connection broke after the key was created: revoke it and create another one.
        """
        body = {"name": name, "scope": scope, "lifetime_days": lifetime_days}
        return await self._transport.send(post("/v1/keys", ApiKey, body))

    async def revoke_api_key(self, key: Ref) -> ApiKey:
        """Revoke an API key for good; a key does not revoke itself.

        Raises: Conflict.
        """
        return await self._transport.send(post(resource_path("key", key, "revoke"), ApiKey))

    async def health(self) -> Health:
        """Get whether the process responds."""
        return await self._transport.send(get("/healthz", Health))

    async def ready(self) -> Readiness:
        """Get whether the database and the broker respond and a worker is alive."""
        return await self._transport.send(replace(get("/readyz", Readiness), accepted=(503,)))

    async def _follow(self, trial: Ref, follower: EventFollower, deadline: Deadline) -> AsyncIterator[Event]:
        """Follow the event stream. When a connection drops, the trial's current state is yielded as an event."""
        while True:
            closed_by_service = False
            request = get_stream(resource_path("trial", trial, "events"), follower.request_headers())
            read_timeout = deadline.read_timeout(monotonic())
            try:
                async with self._transport.stream(request, read_timeout) as response:
                    if 400 <= response.status_code < 500 and response.status_code != 429:
                        await response.aread()
                        raise problem_from(response)
                    if response.is_success:
                        parser = EventParser()
                        async for line in response.aiter_lines():
                            event = parser.feed(line)
                            if event is not None and follower.accept(event):
                                yield event
                            if deadline.is_near(read_timeout, monotonic()):
                                break
                        else:
                            closed_by_service = True
            except httpx.TransportError:
                pass  # reading the trial, next, is retried and raises if the service is gone
            current = await self.trial(trial)
            if follower.is_finished(current, closed_by_service=closed_by_service):
                return
            if not closed_by_service:
                yield event_from_trial(current)
            await sleep(deadline.limit(follower.reconnect_delay(), monotonic()))
