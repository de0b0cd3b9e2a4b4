"""Scopes of API keys: `read`, `train`, `admin`; each includes the ones before it."""

from __future__ import annotations

from typing import Literal, get_args

Scope = Literal["read", "train", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)


def included_scopes(scope: Scope) -> frozenset[Scope]:
    """Return the scope and all scopes below it."""
    return frozenset(SCOPES[: SCOPES.index(scope) + 1])


def highest_scope(scopes: frozenset[Scope]) -> Scope:
    """Return the scope that includes all the others."""
    return max(scopes, key=SCOPES.index)
