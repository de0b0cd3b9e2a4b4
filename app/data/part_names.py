"""The names that people give to the folders and files of the parts of a data set."""

from __future__ import annotations

import re

from app.data.builtin_datasets import Part

_WORDS: dict[str, Part] = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "validate", "dev", "eval", "evaluation"), "validation"),
    **dict.fromkeys(("test", "testing", "tst", "holdout"), "test"),
}
_COMPANIONS = frozenset(("set", "data", "dataset", "image", "images", "img", "imgs", "split", "part", "folder", "k"))


def part_of(name: str) -> tuple[Part, str] | None:
    """Return the part that a folder or shard is named after, and the rest of its name; None if it is no such name.

    `seg_train`, `TrainSet` and `train2017` name the part `train`; `seg` is a rest, which folders of parts share.
    """
    words = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]
    words = [bare for word in words for bare in _split_compound(word)]
    named = [word for word in words if word in _WORDS]
    if len(named) != 1:
        return None
    rest = " ".join(word for word in words if word not in _WORDS and word not in _COMPANIONS)
    return _WORDS[named[0]], rest


def _split_compound(word: str) -> list[str]:
    """Split `trainset` into its two words."""
    for companion in ("dataset", "data", "set", "images"):
        if word.removesuffix(companion) in _WORDS:
            return [word.removesuffix(companion), companion]
    return [word]


def fold_of(name: str) -> int | None:
    """Return the number of a folder of cross-validation such as `fold_1`; None if it has another name."""
    found = re.fullmatch(r"folds?[ _.-]*([0-9]{1,4})", name.lower())
    return int(found[1]) if found else None
