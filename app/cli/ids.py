"""Abbreviated ids of trials and studies: the first digits suffice."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rdw_client import Client, NotFound, Study, Trial

SHOWN_DIGITS = 8
MIN_DIGITS = 4


def abbreviate(id: str | None) -> str:
    """Return an id as tables show it."""
    return (id or "")[:SHOWN_DIGITS]


def expand_ids(rdw: Client, arguments: dict[str, Any]) -> None:
    """Replace abbreviated ids among the arguments of a command by whole ones.

    Raises: NotFound; ValueError if an abbreviation is too short or ambiguous.
    """
    lists: dict[str, Callable[[str], Iterator[Trial | Study]]] = {
        "trial": lambda prefix: rdw.trials(id_prefix=prefix),
        "study": lambda prefix: rdw.studies(id_prefix=prefix),
    }
    for kind, list_matching in lists.items():
        if arguments.get(kind) is not None:
            arguments[kind] = _expand(kind, arguments[kind], list_matching)


def _expand(kind: str, text: str, list_matching: Callable[[str], Iterator[Trial | Study]]) -> str:
    digits = text.lower()
    if re.fullmatch("[0-9a-f]{32}", digits):
        return digits
    if not re.fullmatch("[0-9a-f]{1,31}", digits):
        raise _not_found(kind, text)
    if len(digits) < MIN_DIGITS:
        raise ValueError(f"{text!r} is too short for an id: it needs at least {MIN_DIGITS} digits")
    matching = [one.id for one in islice(list_matching(digits), 2)]
    if len(matching) > 1:
        raise ValueError(f"{text!r} is ambiguous: {' and '.join(matching)} start with it")
    if not matching:
        raise _not_found(kind, text)
    return matching[0]


def _not_found(kind: str, text: str) -> NotFound:
    from rdw_client import NotFound

    command = {"trial": "trials"}.get(kind, kind)
    detail = f"There is no {kind} {text!r}: see `rdw {command} list`"
    title = "The resource was not found"
    return NotFound({"type": "/problems/not-found", "title": title, "status": 404, "detail": detail}, 404)
