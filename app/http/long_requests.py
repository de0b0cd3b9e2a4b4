"""Routes that compute for long in a thread: few run at once, so that other requests find threads and the processor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from app.core.lanes import Lane

SECONDS = 2.0  # that such a request takes in this process at the most

_AT_ONCE = 2
_MAX_WAITING = 64
_ATTRIBUTE = "__takes_long__"
Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


def takes_long(endpoint: Endpoint) -> Endpoint:
    """Let few requests to this endpoint, and to others like it, run at once. Place it below the router's decorator."""
    setattr(endpoint, _ATTRIBUTE, True)
    return endpoint


def does_take_long(endpoint: Callable[..., Any]) -> bool:
    return getattr(endpoint, _ATTRIBUTE, False)


def create_lane() -> Lane:
    """Return the lane of an application's requests that take long."""
    return Lane(_AT_ONCE, _MAX_WAITING)
