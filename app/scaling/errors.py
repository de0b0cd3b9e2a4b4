"""The errors of the scaling core.

ScalingError
 |-- UnknownArchitecture     there is no baseline of that name
 |-- InvalidNetwork          a specification does not describe a network
 |-- TargetOutOfRange        no network within the constraints is close to the budget (in `solver/width_solver.py`)
 |-- SpaceTooSmall           a search space contains fewer distinct networks than requested
 |-- SpaceExhausted          every network of a search space that a sampler finds has been used
 |-- NotEnoughObservations   there is too little data for a front, a predictor or a latency model
 |-- InvalidProfile          a profile is not that of the network
 `-- KindNotMeasured         a latency model has no measurements of a kind of layers
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class SentBetweenProcesses(Exception):
    """An error that can be pickled although its arguments are not those of its constructor."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(kind: type[Exception], args: tuple[Any, ...], attributes: dict[str, Any]) -> Exception:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(attributes)
    return error


class ScalingError(SentBetweenProcesses):
    """The base class of all errors of the scaling core."""


class UnknownArchitecture(ScalingError):
    """There is no baseline of that name."""

    def __init__(self, name: str, nearest: list[str]) -> None:
        hint = f" Did you mean {' or '.join(nearest)}?" if nearest else ""
        super().__init__(f"There is no architecture {name!r}.{hint}")
        self.name = name


class InvalidNetwork(ScalingError):
    """A specification does not describe a network; the JSON pointer `pointer` locates the error."""

    def __init__(self, pointer: str, message: str) -> None:
        super().__init__(f"{pointer}: {message}")
        self.pointer = pointer
        self.message = message


@contextmanager
def prefix_pointer(pointer: str) -> Iterator[None]:
    """Prefix the pointer of every InvalidNetwork that is raised in the `with` block."""
    try:
        yield
    except InvalidNetwork as error:
        raise InvalidNetwork(f"{pointer}{error.pointer}", error.message) from None


class SpaceTooSmall(ScalingError):
    """A search space contains fewer distinct networks than requested."""

    def __init__(self, requested: int, found: int) -> None:
        super().__init__(
            f"The search space has only {found} of {requested} different networks: widen it, or request fewer."
        )
        self.found = found


class SpaceExhausted(ScalingError):
    """Every network of a search space that a sampler finds has been used."""

    def __init__(self) -> None:
        super().__init__(
            "The search space has no more networks: all that the sampler finds are suggested, trained or observed "
            "already. Create a study with a wider space."
        )


class NotEnoughObservations(ScalingError):
    """There are too few distinct observations."""


class InvalidProfile(ScalingError):
    """The measured nodes are not those of the network."""


class KindNotMeasured(ScalingError):
    """The networks that a latency model was fitted on have no layer of a kind."""

    def __init__(self, kind: str) -> None:
        super().__init__(
            f"The latency model has measured no layer of the kind {kind!r}: measure networks of this family too."
        )
        self.kind = kind
