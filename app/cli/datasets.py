"""`rdw datasets`: what networks can be trained on."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from app.cli.life import add_life_commands
from app.cli.options import ARCHIVED, DATASET
from app.cli.output import note, print_facts, print_table, write_file
from app.cli.parameters import argument, flag, option
from app.cli.progress import watch_check
from app.cli.service_command import service_command
from app.cli.units import format_px, parse_px
from app.data.builtin_datasets import Layout

if TYPE_CHECKING:
    from rdw_client import Client, Dataset

app = typer.Typer(
    name="datasets", no_args_is_help=True, help="List data sets, register a folder of images, or change one."
)

_NO_WAIT = flag("--no-wait", "Return while a large folder is still being checked.")
_MAX_NAMED = 10  # classes in the output


def _print_datasets(datasets: "Sequence[Dataset]") -> None:
    print_table(
        ("name", "state", "task", "classes", "px", "train images", "test images", "missing"),
        (
            (
                one.name,
                one.state,
                one.task,
                str(one.num_classes),
                format_px(one.native_px),
                *("-" if images is None else f"{images:,}" for images in (one.train_images, one.test_images)),
                one.missing or "",
            )
            for one in datasets
        ),
    )


@app.command("list")
@service_command(_print_datasets)
def list_datasets(rdw: "Client", archived: bool = ARCHIVED) -> "Sequence[Dataset]":
    """List the data sets, and what is missing if one cannot be read."""
    return rdw.datasets(archived=archived)


@app.command("show")
@service_command(lambda found: _print_dataset(found))
def show(rdw: "Client", name: str = argument("Name of the data set.", "NAME")) -> "Dataset":
    """Show a data set with its classes, and what was understood of its folder."""
    return rdw.dataset(name)


@app.command("add")
@service_command(lambda added: _print_dataset(added))
def add(
    rdw: "Client",
    name: str = argument("Name of the data set.", "NAME"),
    folder: str = argument("Folder below $RDW_DATA_DIR/datasets of the service.", "FOLDER"),
    native_px: Any = option(
        "Side in px that the images are resized to, or height and width, 32x64 (default: 64).", "PX", parse=parse_px
    ),
    layout: Layout | None = option("How the folder is read, if that is ambiguous.", "LAYOUT"),
    background: str | None = option("Colour behind transparent images (default: #ffffff).", "#RRGGBB"),
    channels: int | None = option("1 (grey), 3 (RGB) or 4 (RGB and opacity); default: 1 if all are grey, else 3.", "N"),
    dry_run: bool = flag("--dry-run", "Say what is understood of the folder; register nothing."),
    no_wait: bool = _NO_WAIT,
) -> "Dataset":
    """Register a folder of images of the service as a data set. Every image is decoded once."""
    added = rdw.register_dataset(
        name,
        folder,
        native_px=native_px,
        layout=layout,
        background=background,
        channels=channels,
        validate_only=dry_run or None,
    )
    return added if no_wait or added.state != "checking" else watch_check(rdw, added)


def _print_dataset(dataset: "Dataset") -> None:
    names = [str(one["name"]) for one in dataset.classes]
    images = dataset.train_images, dataset.test_images
    print_facts(
        [
            ("data set", dataset.name),
            ("state", dataset.state),
            ("error", dataset.error),
            ("missing", dataset.missing),
            ("layout", dataset.layout),
            ("channels", dataset.channels if dataset.num_classes else None),
            ("images", None if None in images else f"{images[0]:,} to train on, {images[1]:,} to test"),
            ("classes", f"{dataset.num_classes}: {_shorten(names, dataset.num_classes)}" if names else None),
            *(("part", _describe_part(part)) for part in dataset.splits),
            *(("skipped", f"{one['files']:,} {one['reason']}: {one['examples'][0]}") for one in dataset.skipped),
            *(("warning", warning) for warning in dataset.warnings),
        ]
    )


def _describe_part(part: dict[str, Any]) -> str:
    source = "the folder itself" if part["source"] == "." else part["source"]
    return f"{part['part']}: {part['images']:,} images, {source}"


def _shorten(names: list[str], total: int) -> str:
    shown = names[:_MAX_NAMED]
    return ", ".join(shown) + (f" and {total - len(shown):,} more" if total > len(shown) else "")


@app.command("samples")
@service_command(note)
def samples(
    rdw: "Client",
    name: str = argument("Name of the data set.", "NAME"),
    out: Path | None = option("PNG file to write (default: NAME.png).", "FILE"),
    px: int | None = option("Side of the images in pixels (default: that of the stored ones).", "PX"),
) -> str:
    """Draw 16 training images with their labels, as they enter a network."""
    path = out or Path(f"{name}.png")
    write_file(path, rdw.dataset_samples(name, px=px))
    return str(path)


@app.command("refresh")
@service_command(lambda read: _print_datasets([read]))
def refresh(
    rdw: "Client",
    dataset: str = DATASET,
    no_wait: bool = _NO_WAIT,
) -> "Dataset":
    """Read a registered data set again after its images have changed; trials keep the digest of theirs."""
    read = rdw.refresh_dataset(dataset)
    return read if no_wait or read.state != "checking" else watch_check(rdw, read)


add_life_commands(app, "dataset", DATASET, lambda changed: _print_datasets([changed]))
