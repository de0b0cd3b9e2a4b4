"""What completion offers for an argument: its choices, names that are usual for it, files of this machine."""

from __future__ import annotations

import argparse
from pathlib import Path

from app.cli.units import json_file, name_or_file

RECIPES = ("quick", "digits-smoke", "tinynet", "tinynet-ra", "detection-quick")
DATASETS = ("fashion-mnist", "digits", "articles-on-photos", "typefaces")


def offer(action: argparse.Action, names: tuple[str, ...]) -> None:
    """Names beside which others may be."""
    action.offered = names  # type: ignore[attr-defined]


def offered(action: argparse.Action) -> tuple[str, ...]:
    return tuple(str(choice) for choice in action.choices or getattr(action, "offered", ()))


def may_be_file(action: argparse.Action) -> bool:
    return action.type in (Path, json_file, name_or_file) or action.metavar == "FILE"
