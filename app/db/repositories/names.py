"""Queries on the names of baselines and data sets, which rows of other tables repeat."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from sqlalchemy import delete, exists, select, update

from app.db.repositories.base import Repository
from app.db.tables import FormerNameRow, ObservationRow, PredictorRow, StudyRow, TrialRow

Kind = Literal["architecture", "dataset"]
"""A kind of named resource; the column of that name in the tables below has the names."""

_REFERRING: tuple[Any, ...] = (StudyRow, TrialRow, ObservationRow, PredictorRow)


class Names(Repository):
    def lock(self, kind: Kind, name: str) -> None:
        """Let no other transaction register a resource of the kind under the name, or rename one to it."""
        self.lock_name(f"{kind} {name}")

    def successor(self, kind: Kind, name: str) -> str | None:
        """Return the present name of the resource that had this name; None if no resource had it."""
        row = self.session.get(FormerNameRow, (kind, name))
        return None if row is None else row.successor

    def is_referred_to(self, kind: Kind, name: str) -> bool:
        """Whether a study, trial, observation or predictor has the name."""
        queries = (select(exists().where(getattr(row, kind) == name)) for row in _REFERRING)
        return any(self.session.execute(query).scalar() for query in queries)

    def lock_studies(self, kind: Kind, name: str) -> None:
        """Lock the studies that have the name. Call it before other locks are taken, as studies do."""
        column = getattr(StudyRow, kind)
        self.session.execute(
            select(StudyRow.id).where(column == name).order_by(StudyRow.id).with_for_update(key_share=True)
        )

    def rename(self, kind: Kind, old: str, new: str) -> None:
        """Write the new name wherever the old one is, and remember the old one."""
        trials = select(TrialRow.id).where(getattr(TrialRow, kind) == old).order_by(TrialRow.id)
        self.session.execute(trials.with_for_update(key_share=True))  # in the order in which others lock them
        if kind == "architecture":
            for study in self.reload(select(StudyRow).where(StudyRow.architecture == old)):
                study.spec = replace(study.spec, name=new)
        for row in _REFERRING:
            self.session.execute(update(row).where(getattr(row, kind) == old).values({kind: new}))
        self.session.execute(
            update(FormerNameRow)
            .where(FormerNameRow.kind == kind, FormerNameRow.successor == old)
            .values(successor=new)
        )
        self.session.execute(delete(FormerNameRow).where(FormerNameRow.kind == kind, FormerNameRow.name == new))
        self.add(FormerNameRow(kind=kind, name=old, successor=new))

    def forget(self, kind: Kind, name: str) -> None:
        """Free the former names of a deleted resource."""
        self.session.execute(delete(FormerNameRow).where(FormerNameRow.kind == kind, FormerNameRow.successor == name))
