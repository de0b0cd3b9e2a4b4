"""What the commands that call a service share: its address, --json, and errors in words with an exit code."""

import inspect
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand

from app.cli.exits import FAILED, INVALID, REFUSED, UNREACHABLE
from app.cli.ids import expand_ids
from app.cli.output import note, print_json
from app.cli.parameters import flag, option

if TYPE_CHECKING:
    from rdw_client import RdwError

_PATIENCE = 10.0  # seconds for which an unreachable service is tried again
_PANEL = "Service"


@dataclass(frozen=True)
class ServiceOptions:
    """The options of every command that calls a service."""

    url: str | None = option("Address (default: RDW_URL, or http://127.0.0.1:8000).", "URL", panel=_PANEL)
    key: str | None = option(
        "API key. Prefer RDW_API_KEY: other users of this machine can see command lines.", "KEY", panel=_PANEL
    )
    json: bool = flag("--json", "Print the response of the API as JSON.", panel=_PANEL)


def service_command(print_result: Callable[[Any], None] | None = None) -> Callable[[Callable[..., Any]], Any]:
    """Turn a function of a client into a command with the options of a service.

    The function's parameters that are dataclasses stand for the options that are their fields. What the function
    returns is printed by `print_result`, or as JSON. Without `print_result`, the function prints its own output and
    may have the parameter `as_json`.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        names = inspect.signature(function).parameters
        parameters = [parameter for name, parameter in names.items() if name not in ("rdw", "context", "as_json")]

        @wraps(function)
        def command(context: typer.Context, **values: Any) -> None:
            from rdw_client import Client  # here, since httpx takes long to import

            service = _service_options(context)
            injected = {"context": context, "as_json": service.json}
            with _report_errors(values.get("architecture"), as_json=service.json):
                arguments = _collect(parameters, values)
                with Client(service.url, service.key, retries=3, patience=_PATIENCE) as rdw:
                    expand_ids(rdw, arguments)
                    result = function(rdw, **arguments, **{name: injected[name] for name in injected if name in names})
            if print_result is not None:
                print_json(_raw(result)) if service.json else print_result(result)

        command.__annotations__ = {}
        command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            _expand([_parameter("context", typer.Context), *parameters, _parameter("service", ServiceOptions)])
        )
        return command

    return decorate


class MultiValueCommand(TyperCommand):
    """A command whose repeatable options take several values at once: `--ratio .52 .258`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        repeatable = {name for param in self.params if getattr(param, "multiple", False) for name in param.opts}
        expanded: list[str] = []
        option, is_first = "", True
        for arg in args:
            if arg.startswith("--"):
                option, is_first = arg if arg in repeatable else "", True
            elif option and not is_first:
                expanded.append(option)
            else:
                is_first = False
            expanded.append(arg)
        return super().parse_args(ctx, expanded)


def _parameter(name: str, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation)


def _expand(parameters: Iterable[inspect.Parameter]) -> list[inspect.Parameter]:
    """Replace each parameter that is a dataclass by its fields."""
    expanded: list[inspect.Parameter] = []
    for parameter in parameters:
        is_group = is_dataclass(parameter.annotation)
        expanded += inspect.signature(parameter.annotation).parameters.values() if is_group else [parameter]
    return [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in expanded]


def _collect(parameters: Iterable[inspect.Parameter], values: dict[str, Any]) -> dict[str, Any]:
    """Build the arguments of a function from the values of its expanded parameters."""
    arguments = {}
    for parameter in parameters:
        group = parameter.annotation
        if is_dataclass(group):
            arguments[parameter.name] = group(**{field.name: values[field.name] for field in fields(group)})  # type: ignore[operator]
        else:
            arguments[parameter.name] = values[parameter.name]
    return arguments


def _service_options(context: typer.Context) -> ServiceOptions:
    """Return the options of a command; those of its group count too (`rdw architectures --json add FILE`)."""
    outer = context.parent.params if context.parent else {}
    values: dict[str, Any] = {f.name: context.params[f.name] or outer.get(f.name) for f in fields(ServiceOptions)}
    return ServiceOptions(**values)


def _raw(result: Any) -> Any:
    """Return the API's response from which a result was parsed."""
    if isinstance(result, list | tuple):
        return [_raw(one) for one in result]
    return getattr(result, "raw", result)


@contextmanager
def _report_errors(architecture: Any, *, as_json: bool) -> Iterator[None]:
    """Report errors of the service and of invalid options.

    Raises: Exit.
    """
    from rdw_client import RdwError

    try:
        yield
    except RdwError as error:
        raise typer.Exit(_report(error, architecture, as_json=as_json)) from None
    except ValueError as error:
        note(str(error), label="error")
        raise typer.Exit(INVALID) from None


def _report(error: "RdwError", architecture: Any, *, as_json: bool) -> int:
    """Print an error and what to do about it; return the exit code."""
    import rdw_client as rdw

    if as_json and isinstance(error, rdw.Problem):
        print(json.dumps(error.raw), file=sys.stderr)
        return _exit_code(error)
    invalid = [str(one.get("pointer")).lstrip("/") for one in error.errors] if isinstance(error, rdw.Invalid) else []
    if architecture is not None and invalid == ["architecture"]:
        note(f"There is no baseline {architecture!r}: see `rdw architectures`", label="error")
        return FAILED
    note(str(error), label="error")
    hint = _hint(error)
    if hint:
        note(hint)
    return _exit_code(error)


def _hint(error: "RdwError") -> str | None:
    import rdw_client as rdw

    if isinstance(error, rdw.Unreachable):
        return "Start a service with `rdw serve`, or set RDW_URL to the address of one."
    if isinstance(error, rdw.Unauthorized):
        if error.status == 403:
            return "Set RDW_API_KEY to a key of a larger scope (`rdw keys create --scope …` creates one)."
        return "Set RDW_API_KEY to a key of this service."
    if isinstance(error, rdw.NotFound) and (error.detail == "Not Found" or "type" not in error.raw):
        return "Set RDW_URL to the service's address, without a path."  # it is the route that does not exist
    return None


def _exit_code(error: "RdwError") -> int:
    import rdw_client as rdw

    if isinstance(error, rdw.Unreachable | rdw.Unavailable | rdw.RateLimited | rdw.NotUnderstood):
        return UNREACHABLE
    if isinstance(error, rdw.Unauthorized):
        return REFUSED
    return INVALID if isinstance(error, rdw.Invalid) else FAILED
