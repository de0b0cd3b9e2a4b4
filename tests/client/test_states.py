"""The client's states match the service's specification."""

from __future__ import annotations

import json
from pathlib import Path

from rdw_client.states import StudyState, TrialState

SCHEMAS = json.loads((Path(__file__).parents[2] / "docs" / "openapi.json").read_text())["components"]["schemas"]


def test_trial_states_match_the_spec() -> None:
    assert list(TrialState) == SCHEMAS["TrialItem"]["properties"]["state"]["enum"]


def test_study_states_match_the_spec() -> None:
    *others, last = StudyState

    description = SCHEMAS["StudyItem"]["properties"]["state"]["description"]
    assert description.endswith(f": {', '.join(others)} or {last}.")
