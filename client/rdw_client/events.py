"""A trial's server-sent events: reading them, following them over drops, and what they say of its end."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from rdw_client.answers import ENDED, Trial
from rdw_client.errors import TrialCancelled, TrialFailed

SILENCE = 40.0  # seconds: the service says something every 15, so after so many the connection is dead
_SHORTEST, _LONGEST = 0.25, 5.0


@dataclass(frozen=True)
class Event:
    """`kind` is `state` or `progress`; `id` is none where it was asked for, since no stream was to be had."""

    kind: str
    data: dict[str, Any]
    id: int | None = None


class Reader:
    """Lines in, events out."""

    def __init__(self) -> None:
        self._id: int | None = None
        self._kind, self._data = "message", list[str]()

    def take(self, line: str) -> Event | None:
        """The event that this line completes, if any."""
        if not line:
            return self._complete()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "id" and value.isascii() and value.isdigit():
            self._id = int(value)
        elif name == "event":
            self._kind = value
        elif name == "data":
            self._data.append(value)
        return None

    def _complete(self) -> Event | None:
        kind, data = self._kind, "\n".join(self._data)
        self._kind, self._data = "message", []
        if not data:
            return None
        try:
            plain = json.loads(data)
        except ValueError:
            return None
        return Event(kind, plain, self._id) if isinstance(plain, dict) else None


class Following:
    """Where we are in a trial's events, over any number of connections.

    `every`: whether all events are wanted, or the trial's end alone.
    """

    def __init__(self, last: int, *, every: bool) -> None:
        self.last, self._every = last, every
        self._ended = False
        self._new = False  # whether this connection has said anything new
        self._vain = 0  # connections in a row that have not

    def take(self, event: Event) -> bool:
        """Whether it is new."""
        if event.id is not None:
            if event.id <= self.last:
                return False
            self.last = event.id
        if event.kind == "state":
            self._ended = event.data.get("state") in ENDED
        self._new = True
        return True

    def over(self, trial: Trial, *, whole: bool) -> bool:
        """After a connection, which the service ended (`whole`) or which broke: whether there is nothing more to come.

        `trial` was read since.
        """
        return trial.ended and (not self._every or self._ended or (whole and not self._new))

    def pause(self) -> float:
        """Seconds until the next connection: longer each time that one was in vain."""
        self._vain = 0 if self._new else self._vain + 1
        self._new = False
        return min(_LONGEST, _SHORTEST * 2.0**self._vain)


def asked(trial: Trial) -> Event:
    """What a trial that was read says of itself, as an event."""
    if trial.state == "running" and trial.progress:
        return Event("progress", trial.progress)
    return Event("state", {"state": trial.state})


def outcome(trial: Trial) -> Trial:
    """The completed trial.

    Raises: TrialFailed; TrialCancelled.
    """
    if trial.state == "failed":
        raise TrialFailed(trial)
    if trial.state == "cancelled":
        raise TrialCancelled(trial)
    return trial
