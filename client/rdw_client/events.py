"""Server-sent events of a trial: parsing them, and following them across dropped connections."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from rdw_client.models import Trial
from rdw_client.states import ENDED

MAX_SILENCE = 40.0  # seconds; the service sends something every 15, so a connection that is silent for longer is dead
_MIN_DELAY, _MAX_DELAY = 0.25, 5.0  # seconds between connections


@dataclass(frozen=True)
class Event:
    """A `state` or `progress` event (`kind`); `id` is None if it was derived from the trial instead of streamed."""

    kind: str
    data: dict[str, Any]
    id: int | None = None


class EventParser:
    """Parses the lines of an event stream."""

    def __init__(self) -> None:
        self._id: int | None = None
        self._kind, self._data = "message", list[str]()

    def feed(self, line: str) -> Event | None:
        """Parse a line; return the event that it completes, if any."""
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
            parsed = json.loads(data)
        except ValueError:
            return None
        return Event(kind, parsed, self._id) if isinstance(parsed, dict) else None


class EventFollower:
    """The position in a trial's events, across any number of connections.

    With `replay_all` every event is delivered; otherwise following stops as soon as the trial has ended.
    """

    def __init__(self, last_event_id: int, *, replay_all: bool) -> None:
        self.last_event_id, self._replay_all = last_event_id, replay_all
        self._has_received_end = False
        self._has_new_events = False
        self._empty_connections = 0  # consecutive ones without new events

    def request_headers(self) -> dict[str, str]:
        """Return the headers with which the stream continues after the last event received."""
        resume = {"Last-Event-ID": str(self.last_event_id)} if self.last_event_id else {}
        return {"Accept": "text/event-stream", **resume}

    def accept(self, event: Event) -> bool:
        """Record an event; return whether it is new."""
        if event.id is not None:
            if event.id <= self.last_event_id:
                return False
            self.last_event_id = event.id
        if event.kind == "state":
            self._has_received_end = event.data.get("state") in ENDED
        self._has_new_events = True
        return True

    def is_finished(self, trial: Trial, *, closed_by_service: bool) -> bool:
        """Whether no more events can follow, given the trial as read after a connection has ended."""
        if not trial.ended:
            return False
        return not self._replay_all or self._has_received_end or (closed_by_service and not self._has_new_events)

    def reconnect_delay(self) -> float:
        """Return the seconds before the next connection; they double with each connection without new events."""
        self._empty_connections = 0 if self._has_new_events else self._empty_connections + 1
        self._has_new_events = False
        return min(_MAX_DELAY, _MIN_DELAY * 2.0**self._empty_connections)


def event_from_trial(trial: Trial) -> Event:
    """Return the trial's current state or progress as an event, for when no stream is available."""
    if trial.is_running and trial.progress:
        return Event("progress", trial.progress)
    return Event("state", {"state": trial.state})
