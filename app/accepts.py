"""Which of two media types a client would rather have (`Accept`, RFC 9110)."""

from __future__ import annotations


def prefers(accept: str, one: str, other: str) -> bool:
    """Whether `one` is wanted more than `other`, which is what comes where both are alike."""
    weights = dict(_weighted(part) for part in accept.split(","))
    return _weight(weights, one) > _weight(weights, other)


def _weight(weights: dict[str, float], media: str) -> float:
    """The most specific range counts."""
    ranges = (media, f"{media.partition('/')[0]}/*", "*/*")
    return next((weights[one] for one in ranges if one in weights), 0.0)


def _weighted(part: str) -> tuple[str, float]:
    media, *parameters = (piece.strip().lower() for piece in part.split(";"))
    given = next((p.removeprefix("q=") for p in parameters if p.startswith("q=")), "1")
    try:
        return media, float(given)
    except ValueError:
        return media, 0.0
