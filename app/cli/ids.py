"""Ids of trials and studies may be cut short: what one begins is looked up among the newest."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rdw_client import Client, NotFound, Study, Trial

SHOWN = 8
LEAST = 4
MOST = 5000  # 25 pages


_HELP = {
    "trial": "its id, or the first digits of it: see `rdw trials list`",
    "study": "its id, or the first digits of it: see `rdw study list`",
    "predictor": "a version: see `rdw predictor list`",
}


def argument(parser: argparse.ArgumentParser, kind: str) -> None:
    """The trial, study or predictor that a command is about."""
    parser.add_argument(kind, help=_HELP[kind])


def brief(id: str | None) -> str:
    """As tables show it."""
    return (id or "")[:SHOWN]


def complete(rdw: Client, arguments: argparse.Namespace) -> None:
    """Whole ids in the place of short ones, whichever command named them.

    Raises: NotFound; ValueError where several begin so.
    """
    lists: dict[str, Callable[[], Iterator[Trial] | Iterator[Study]]] = {"trial": rdw.trials, "study": rdw.studies}
    for kind, each in lists.items():
        given = getattr(arguments, kind, None)
        if given is not None:
            setattr(arguments, kind, _whole(kind, given, each))


def _whole(kind: str, given: str, each: Callable[[], Iterator[Trial] | Iterator[Study]]) -> str:
    digits = given.lower()
    if re.fullmatch("[0-9a-f]{32}", digits):
        return digits
    if not re.fullmatch("[0-9a-f]{1,31}", digits):
        raise _missing(kind, given)
    if len(digits) < LEAST:
        raise ValueError(f"{given!r} is too short for an id: give {LEAST} digits or more")
    found = list(islice((one.id for one in islice(each(), MOST) if one.id.startswith(digits)), 2))
    if len(found) > 1:
        raise ValueError(f"{given!r} begins several ids, {' and '.join(found)}: give more digits")
    if not found:
        raise _missing(kind, given, f" among the newest {MOST}")
    return found[0]


def _missing(kind: str, given: str, where: str = "") -> NotFound:
    from rdw_client import NotFound

    command = {"trial": "trials"}.get(kind, kind)
    detail = f"There is no {kind} {given!r}{where}: see `rdw {command} list`"
    title = "There is no such resource"
    return NotFound({"type": "/problems/not-found", "title": title, "status": 404, "detail": detail}, 404)
