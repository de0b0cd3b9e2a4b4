"""Baselines: the built-in ones and those that clients register."""

from __future__ import annotations

from app.db.tables import ArchitectureRow
from app.db.unit_of_work import UnitOfWork
from app.errors import Conflict, NotFound
from app.scaling import families
from app.scaling.architecture import Architecture


def find(work: UnitOfWork, name: str) -> Architecture:
    """Raises: NotFound."""
    built_in = families.baselines().get(name)
    if built_in is not None:
        return built_in
    row = work.architectures.get(name)
    if row is None:
        raise NotFound("architecture", name)
    return Architecture.from_json(row.spec)


def all_of_them(work: UnitOfWork) -> list[Architecture]:
    """Built-in ones first, in their families' order."""
    registered = [Architecture.from_json(row.spec) for row in work.architectures.all()]
    return [*families.baselines().values(), *registered]


def register(work: UnitOfWork, architecture: Architecture) -> bool:
    """Keep a baseline under its name; whether it is new. The same again is no error.

    Raises: InvalidNetwork; Conflict where the name means another baseline.
    """
    families.check(architecture.baseline)
    name = architecture.name
    is_new = name not in families.baselines() and work.architectures.get(name) is None
    if is_new and work.architectures.add_if_new(ArchitectureRow(name=name, spec=architecture.to_json())):
        work.commit()
        return True
    if find(work, name) != architecture:
        raise Conflict(f"There is another architecture named {name!r} already.")
    return False
