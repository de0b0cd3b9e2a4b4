"""What a key may do: `read`, `train`, `admin`, each with all of those before it."""

from __future__ import annotations

from typing import Any, Literal, get_args

Scope = Literal["read", "train", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)

# POSTs that compute and change nothing. `/v1/scale` needs more where it is asked to train.
_READING = frozenset({"/v1/cost", "/v1/scale", "/v1/scale/family", "/v1/compare"})
# What changes the answers that others get, or what is there for all.
_ADMIN = frozenset(
    {
        "/v1/architectures",
        "/v1/datasets",
        "/v1/predictors/{id}/activate",
        "/v1/studies/{id}/observations/{observation}/retract",
    }
)
# What makes workers or this process compute for long: these count against a limit of their own.
_TRAINING = frozenset(
    {
        "/v1/trials",
        "/v1/trials/{id}/retry",
        "/v1/studies/{id}/start",
        "/v1/studies/{id}/resume",
        "/v1/studies/{id}/family",
        "/v1/studies/{id}/predictors",
    }
)


def reads(route: str) -> bool:
    """Whether a POST there computes and changes nothing, unless it is asked to train."""
    return route in _READING


def needed(method: str, route: str) -> Scope:
    """The scope for an operation, by its method and its route's template."""
    if method in ("GET", "HEAD") or route in _READING:
        return "read"
    return "admin" if route in _ADMIN else "train"


def trains(method: str, route: str) -> bool:
    return method == "POST" and route in _TRAINING


def covered(scope: Scope) -> frozenset[Scope]:
    """The scope itself, and all below it."""
    return frozenset(SCOPES[: SCOPES.index(scope) + 1])


def highest(scopes: frozenset[Scope]) -> Scope:
    return max(scopes, key=SCOPES.index)


def document(spec: dict[str, Any]) -> None:
    """Say in the OpenAPI spec which scope each operation needs: as the role of its key, and as `x-scope`."""
    for route, operations in spec["paths"].items():
        for method, operation in operations.items():
            if "security" in operation:
                scope = needed(method.upper(), route)
                operation["x-scope"] = scope
                operation["security"] = [{scheme: [scope] for scheme in one} for one in operation["security"]]
