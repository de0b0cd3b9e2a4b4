"""`rdw datasets`: what can be trained on."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from app.cli import asking
from app.cli.output import document, table

if TYPE_CHECKING:
    from rdw_client import Client, Dataset


def add_command(commands: Any) -> None:
    text = "what can be trained on; a folder of images can be added"
    within = asking.group(commands, "datasets", text)
    asking.add(within, "list", _list, "the data sets, and what lacks where one cannot be read")
    add = asking.add(within, "add", _add, "make a folder of images below the service's data root known")
    add.add_argument("name", help="what it is to be called")
    add.add_argument("folder", help="below $RDW_DATA_DIR/datasets of the service, in ImageFolder layout")
    add.add_argument("--native-px", type=int, metavar="PX", help="images are brought to this side (default: 64)")


def _list(rdw: Client, arguments: argparse.Namespace) -> int:
    known = rdw.datasets()
    document([one.raw for one in known]) if arguments.json else _show(known)
    return 0


def _add(rdw: Client, arguments: argparse.Namespace) -> int:
    added = rdw.register_dataset(arguments.name, arguments.folder, native_px=arguments.native_px)
    document(added.raw) if arguments.json else _show((added,))
    return 0


def _show(known: tuple[Dataset, ...]) -> None:
    table(
        ("name", "task", "classes", "px", "to train on", "to test", "lacks"),
        (
            (
                one.name,
                one.task,
                str(one.num_classes),
                str(one.native_px),
                _images(one.train_images),
                _images(one.test_images),
                one.missing or "",
            )
            for one in known
        ),
    )


def _images(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"
