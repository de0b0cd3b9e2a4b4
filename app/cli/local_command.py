"""What the commands that run on the machine of the service share: its settings, and their errors in words."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any

import typer

from app.cli.exits import FAILED, INVALID
from app.cli.output import note


def local_command(function: Callable[..., int]) -> Any:
    """Turn a function of the service's settings into a command that exits with the returned code.

    Invalid settings, an unavailable database and what the service refuses are reported on stderr.
    """

    @wraps(function)
    def command(**values: Any) -> None:
        from pydantic import ValidationError

        from app.core.errors import ServiceError
        from app.core.logging import configure, redact
        from app.core.settings import describe_errors, get_settings
        from app.db.session import DatabaseUnavailable

        try:
            configure(get_settings().log_format)
            code = function(get_settings(), **values)
        except ValidationError as error:
            note("\n".join(describe_errors(error)))
            code = INVALID
        except ServiceError as error:
            note(str(error), label="error")
            code = FAILED
        except DatabaseUnavailable as error:
            note(redact(error.operator_message))
            code = FAILED
        raise typer.Exit(code)

    _, *parameters = inspect.signature(function).parameters.values()
    command.__annotations__ = {}
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return command
