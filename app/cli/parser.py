"""All subcommands. A module of this package whose name stands here adds its own with `add_command(commands)`."""

from __future__ import annotations

import argparse
import importlib
import importlib.util

from app.cli.exits import IN_WORDS

_MODULES = (
    "scale",
    "cost",
    "architectures",
    "train",
    "trials",
    "study",
    "predictor",
    "datasets",
    "workers",
    "server",
    "keys",
    "doctor",
    "reproduce",
    "completion",
)
_DESCRIPTION = """\
Scale a network to a FLOPs budget, and train it.

Commands that ask a service find it at RDW_URL (default: http://127.0.0.1:8000) and send RDW_API_KEY, where it is set.
Those that run one take their settings from the environment (RDW_*), see the README.
"""


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    whole = argparse.ArgumentParser(
        prog="rdw", description=_DESCRIPTION, epilog=IN_WORDS, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = whole.add_subparsers(required=True, metavar="command")
    for name in _MODULES:
        module = f"{__package__}.{name}"
        if importlib.util.find_spec(module) is not None:
            importlib.import_module(module).add_command(commands)
    return whole
