"""The entry point: runs a command and turns errors into one line and an exit code."""

from __future__ import annotations

import os
import sys

import typer
from typer.main import get_command

from app.cli import (
    architectures,
    cost,
    datasets,
    doctor,
    keys,
    predictor,
    reproduce,
    scale,
    server,
    study,
    train,
    trials,
    workers,
)
from app.cli.exits import DESCRIPTION, FAILED
from app.cli.output import note

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=DESCRIPTION,
)
for _module in (
    scale, cost, architectures, train, trials, study, predictor, datasets, workers, server, keys, doctor, reproduce,
):  # fmt: skip
    app.add_typer(_module.app)


def _print_version(is_requested: bool) -> None:
    if is_requested:
        from importlib.metadata import version

        print(f"rdw {version('rdw')}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
    ),
) -> None:
    """Scale a network to a FLOPs budget, and train it.

    Commands that call a service find it at RDW_URL (default: http://127.0.0.1:8000) and send the key in RDW_API_KEY.
    Commands that run a service read its settings from environment variables; docs/settings.md lists them.
    """


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit code."""
    try:
        code: int | None = get_command(app)(args=arguments, prog_name="rdw", standalone_mode=False)
        sys.stdout.flush()
        return code or 0
    except typer.TyperException as error:
        return _report_usage_error(error)
    except BrokenPipeError:  # `rdw trials list | head`
        _discard_output()
        return FAILED
    except OSError as error:
        if error.filename is None:
            _discard_output()
        note(f"{error.filename or 'The output could not be written'}: {error.strerror}", label="error")
        return FAILED


def _report_usage_error(error: typer.TyperException) -> int:
    message = error.format_message().replace("Value error, ", "")  # what pydantic puts before an invalid choice
    if message:
        note(message, label="error")
    context = getattr(error, "ctx", None)
    if context is not None:
        note(f"See `{context.command_path} --help`.")
    return error.exit_code


def _discard_output() -> None:
    """Discard what is still buffered for stdout, so that the interpreter does not fail on it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
