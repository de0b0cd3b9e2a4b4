"""What the key of an owner uses of the service, for its quotas."""

from __future__ import annotations

from sqlalchemy import func, select

from app.core.studies import StudyState
from app.core.trials import TrialState
from app.db.repositories.base import Repository
from app.db.tables import ObservationRow, StudyRow, TrialRow

_GOES_ON = (StudyState.STARTED, StudyState.PAUSED)


class Usage(Repository):
    def lock(self, owner: str) -> None:
        """Let no other transaction that locks the owner proceed until the commit."""
        self.lock_name(f"quotas of {owner}")

    def queued_trials(self, owner: str) -> int:
        """Return the number of the owner's queued trials, with those that its studies have still to queue."""
        queued = select(func.count()).where(TrialRow.owner == owner, TrialRow.state == TrialState.QUEUED)
        unsampled = select(StudyRow.size - StudyRow.proposed, StudyRow.options).where(
            StudyRow.owner == owner, StudyRow.state.in_(_GOES_ON), StudyRow.proposed < StudyRow.size
        )
        pending = sum(networks * options.seeds for networks, options in self.session.execute(unsampled))
        return self.session.scalars(queued).one() + pending

    def studies(self, owner: str) -> int:
        return self.session.scalars(select(func.count()).where(StudyRow.owner == owner)).one()

    def may_exceed_observations(self, count: int) -> bool:
        """Whether all owners together may have more than `count` observations; these are not counted."""
        return (self.session.scalar(select(func.max(ObservationRow.id))) or 0) > count

    def observations(self, owner: str) -> int:
        """Return the number of imported and reported observations of the owner's studies, with retracted ones."""
        studies = select(StudyRow.id).where(StudyRow.owner == owner)
        return self.session.scalars(select(func.count()).where(ObservationRow.study_id.in_(studies))).one()

    def stored_bytes(self, owner: str) -> int:
        """Return the size of the artifacts of the owner's trials."""
        return int(self.session.scalar(select(func.sum(TrialRow.stored_bytes)).where(TrialRow.owner == owner)) or 0)
