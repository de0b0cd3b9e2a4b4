"""Names of registered baselines that a release gives to built-in ones; the migration of the release frees them."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count

import sqlalchemy as sa
from sqlalchemy import Connection

from app.db.column_types import UtcDateTime
from app.scaling import families
from app.scaling.network import Architecture

_Json = sa.JSON()
_ARCHITECTURES = sa.table(
    "architectures", sa.column("name"), sa.column("spec", _Json), sa.column("created_at", UtcDateTime())
)
_FORMER_NAMES = sa.table("former_names", sa.column("kind"), sa.column("name"), sa.column("successor"))
_STUDIES = sa.table("studies", sa.column("id"), sa.column("architecture"), sa.column("spec", _Json))
_REFERRING = tuple(sa.table(name, sa.column("architecture")) for name in ("trials", "observations", "predictors"))


def free(connection: Connection, name: str) -> None:
    """Let the name stand for the built-in baseline alone.

    A registered baseline that equals it is removed, so that its studies and predictors become those of the built-in
    one. Any other is renamed, with its studies, trials, observations and predictors.
    """
    former = _FORMER_NAMES.c
    connection.execute(sa.delete(_FORMER_NAMES).where(former.kind == "architecture", former.name == name))
    own = _ARCHITECTURES.c.name == name
    spec = connection.execute(sa.select(_ARCHITECTURES.c.spec).where(own)).scalar()
    if spec is None:
        return
    if Architecture.from_json(spec) == families.baseline(name):
        connection.execute(sa.delete(_ARCHITECTURES).where(own))
        return
    taken = {*connection.scalars(sa.select(_ARCHITECTURES.c.name)), *connection.scalars(sa.select(former.name))}
    new = next(free for n in count(2) if (free := f"{name}-{n}") not in taken)
    connection.execute(sa.update(_ARCHITECTURES).where(own).values(name=new, spec={**spec, "name": new}))
    studies = sa.select(_STUDIES.c.id, _STUDIES.c.spec).where(_STUDIES.c.architecture == name)
    for id, study_spec in connection.execute(studies).all():
        values = {"architecture": new, "spec": {**study_spec, "name": new}}
        connection.execute(sa.update(_STUDIES).where(_STUDIES.c.id == id).values(values))
    for table in _REFERRING:
        connection.execute(sa.update(table).where(table.c.architecture == name).values(architecture=new))
    of_it = (former.kind == "architecture", former.successor == name)
    connection.execute(sa.update(_FORMER_NAMES).where(*of_it).values(successor=new))


def restore(connection: Connection, name: str) -> None:
    """Register the built-in baseline for the release before, if a study needs it."""
    is_used = sa.select(sa.exists().where(_STUDIES.c.architecture == name))
    if connection.execute(is_used).scalar():
        values = {"name": name, "spec": families.baseline(name).to_json(), "created_at": datetime.now(UTC)}
        connection.execute(sa.insert(_ARCHITECTURES).values(values))
