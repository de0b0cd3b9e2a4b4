"""What depends on a resource that is to be deleted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from app.core.errors import HasDependents

_FORCE = "Delete it with `?force=true` if that is intended."


@dataclass(frozen=True)
class Listed:
    """The number of resources of a kind, and the ids of the first ones."""

    count: int
    ids: tuple[str, ...]


@dataclass(frozen=True)
class Deletion:
    """The resource to delete and its dependents by kind; `force` settles them if `is_forcible`, else `remedy` does."""

    subject: str
    dependents: Mapping[str, Listed]
    remedy: str = _FORCE
    is_forcible: bool = True

    def refuse_unless(self, force: bool) -> None:
        """Refuse to delete a resource with dependents without `force`, or with obstacles in any case.

        Raises: HasDependents.
        """
        if self.counts and not (force and self.is_forcible):
            raise HasDependents(self.subject, self.ids, self.counts, self.remedy)

    @property
    def ids(self) -> dict[str, list[str]]:
        """The ids of the first dependents of each kind."""
        return {kind: list(listed.ids) for kind, listed in self.dependents.items() if listed.count}

    @property
    def counts(self) -> dict[str, int]:
        """The number of all dependents of each kind."""
        return {kind: listed.count for kind, listed in self.dependents.items() if listed.count}
