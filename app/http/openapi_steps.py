"""What must exist before an operation's example works on a new service, as operations that create it.

The playground runs these steps at a click. Each sends the body of an example; ids come from the responses of earlier
steps, as the spec's links say.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """An operation to run first, with one of its examples (None: without a body)."""

    operation: str
    example: str | None = None

    def to_json(self) -> dict[str, str]:
        """Return the step as it is in the spec."""
        return {"operationId": self.operation} | ({} if self.example is None else {"example": self.example})


_TRIAL = (Step("create_trial", "in seconds"),)
_STUDY = (Step("create_study", "random"),)
_STARTED = (*_STUDY, Step("start_study"))
_MEASURED = (*_STUDY, Step("import_observations", "table"))
_FITTED = (*_MEASURED, Step("refit_predictor", "the front"))
_BASELINE = (Step("register_architecture", "arch_def"),)
_KEY = (Step("create_key", "a client"),)
_FOLDER = (Step("register_dataset", "a folder"),)

STEPS: dict[str, tuple[Step, ...]] = {
    "update_architecture": _BASELINE,
    "delete_architecture": _BASELINE,
    "update_dataset": _FOLDER,
    "delete_dataset": _FOLDER,
    "refresh_dataset": _FOLDER,
    "read_trial": _TRIAL,
    "update_trial": _TRIAL,
    "delete_trial": (*_TRIAL, Step("cancel_trial")),
    "retry_trial": (*_TRIAL, Step("cancel_trial")),
    "cancel_trial": _TRIAL,
    "read_artifact": _TRIAL,
    "follow_trial": (*_TRIAL, Step("cancel_trial")),
    "read_study": _STUDY,
    "update_study": _STUDY,
    "delete_study": _STUDY,
    "start_study": _STUDY,
    "pause_study": _STARTED,
    "resume_study": (*_STARTED, Step("pause_study")),
    "cancel_study": _STUDY,
    "read_front": _MEASURED,
    "read_correlations": _MEASURED,
    "read_study_calibration": _MEASURED,
    "read_figure": _MEASURED,
    "refit_predictor": _MEASURED,
    "train_family": _FITTED,
    "read_family": _FITTED,
    "ask": _STUDY,
    "list_suggestions": (*_STUDY, Step("ask", "two")),
    "tell": _STUDY,
    "read_observations": _MEASURED,
    "import_observations": _STUDY,
    "retract_observation": (*_MEASURED, Step("read_observations")),
    "update_predictor": _FITTED,
    "delete_predictor": _FITTED,
    "activate_predictor": _FITTED,
    "deactivate_predictor": _FITTED,
    "read_key": _KEY,
    "revoke_key": _KEY,
}
"""The steps by operation; an operation that is not listed needs none."""
