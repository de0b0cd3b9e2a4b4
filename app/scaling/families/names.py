"""The names under which people know a baseline: timm's, with or without the tag of its weights, and torchvision's."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

_PREFIXES = ("hf_hub:", "hf-hub:", "timm/")

_SAME_NETWORKS = {
    **{f"tf_efficientnet_b{i}": f"efficientnet_b{i}" for i in range(9)},
    **{f"tf_efficientnet_lite{i}": f"efficientnet_lite{i}" for i in range(5)},
    **{
        f"tf_mobilenetv3_{size}": f"mobilenetv3_{size}" for size in ("large_075", "large_100", "small_075", "small_100")
    },
    "mobilenet_v2": "mobilenetv2_100",
    "mobilenet_v3_large": "mobilenetv3_large_100",
    "mobilenet_v3_small": "mobilenetv3_small_100",
    "mnasnet0_5": "mnasnet_050",
    "mnasnet0_75": "mnasnet_075",
    "mnasnet1_0": "mnasnet_100",
    "regnet_x_800mf": "regnetx_008",
    "regnet_x_1_6gf": "regnetx_016",
    "regnet_x_3_2gf": "regnetx_032",
    "regnet_y_400mf": "regnety_004",
    "regnet_y_1_6gf": "regnety_016",
    "regnet_y_3_2gf": "regnety_032",
}
"""Names in timm and torchvision of networks with the same operators and shapes as a baseline."""

_MAX_NEAREST = 3
_MIN_SIMILARITY = 0.6


def resolve_name(name: str, baselines: Iterable[str]) -> str | None:
    """Return the baseline that `name` means, regardless of capitals, separators and the tag of weights; None if none.

    The prefix `tf_`, whose padding is asymmetric, is dropped where the network has the same shapes.
    """
    known = {_squeeze(alias): target for alias, target in _SAME_NETWORKS.items()}
    known |= {_squeeze(baseline): baseline for baseline in baselines}
    return known.get(_squeeze(name)) or known.get(_squeeze(_without_tag(name)))


def nearest_names(name: str, known: Iterable[str]) -> list[str]:
    """Return the known names that are most similar, at most three."""
    by_squeezed = {_squeeze(one): one for one in known}
    squeezed = _squeeze(_without_tag(name))
    matches = get_close_matches(squeezed, by_squeezed, _MAX_NEAREST, _MIN_SIMILARITY)
    return [by_squeezed[match] for match in matches]


def _without_tag(name: str) -> str:
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    return name.partition(".")[0]


def _squeeze(name: str) -> str:
    """Return the name's letters and digits."""
    return re.sub(r"[^a-z0-9]", "", name.lower())
