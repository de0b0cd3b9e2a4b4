"""The spec that is committed is the one served; what breaks clients takes a new version."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.contract.breaking import breaking
from tests.contract.spec import COMMITTED, committed, present, refused, text

Spec = dict[str, Any]


def test_the_committed_spec_is_the_one_that_is_served() -> None:
    now = present()

    assert refused(committed(), now) == []
    assert COMMITTED.read_text() == text(now), (
        "the API has changed: write the spec anew with `make spec`, and commit it"
    )


def without(*path: str) -> Callable[[Spec], None]:
    def change(spec: Spec) -> None:
        *before, last = path
        for step in before:
            spec = spec[step]
        del spec[last]

    return change


def put(value: Any, *path: str) -> Callable[[Spec], None]:
    def change(spec: Spec) -> None:
        *before, last = path
        for step in before:
            spec = spec[step]
        spec[last] = value

    return change


SCHEMAS = ("components", "schemas")
BREAKING: dict[str, tuple[Callable[[Spec], None], str]] = {
    "an operation goes": (without("paths", "/v1/cost", "post"), "POST /v1/cost is gone"),
    "a field of a request goes": (
        without(*SCHEMAS, "ScaleRequest", "properties", "budget"),
        "POST /v1/scale: the body: budget is gone",
    ),
    "a field of a request becomes required": (
        put(["architecture", "budget"], *SCHEMAS, "ScaleRequest", "required"),
        "POST /v1/scale: the body: budget is required",
    ),
    "a field of an answer goes": (
        without(*SCHEMAS, "ScaleAnswer", "properties", "budget_error"),
        "POST /v1/scale: answer 200: budget_error is gone",
    ),
    "a field of an answer has another type": (
        put({"type": "string"}, *SCHEMAS, "ScaleAnswer", "properties", "target_flops"),
        "POST /v1/scale: answer 200.target_flops: may be string",
    ),
    "a bound is tighter": (
        put(10, *SCHEMAS, "NewStudy", "properties", "trials", "maximum"),
        "POST /v1/studies: the body.trials: maximum is 10",
    ),
    "a field of one choice of a request goes": (
        without(*SCHEMAS, "StageSpec", "properties", "kernel"),
        "POST /v1/scale: the body.architecture.baseline.stages[]: kernel is gone",
    ),
    "a field of an answer may be missing": (
        put(["architecture"], *SCHEMAS, "ScaleAnswer", "required"),
        "POST /v1/scale: answer 200: budget_error may be missing",
    ),
    "a value of a request goes": (
        put({"type": "string", "enum": ["nearest"]}, *SCHEMAS, "BudgetSpec", "properties", "mode"),
        "POST /v1/scale: the body.budget.mode: at_most is not taken",
    ),
    "an answer has a value that none had": (
        put({"type": "string"}, *SCHEMAS, "TrialItem", "properties", "state"),
        "GET /v1/trials: answer 200.items[].state: may be anything",
    ),
    "an answer goes": (
        without("paths", "/v1/trials", "post", "responses", "202"),
        "POST /v1/trials: answer 202 is gone",
    ),
    "a media type goes": (
        without("paths", "/v1/studies/{id}/observations", "post", "requestBody", "content", "text/csv"),
        "POST /v1/studies/{id}/observations: a body of text/csv is not taken",
    ),
}


@pytest.mark.parametrize("case", BREAKING)
def test_what_breaks_clients_is_refused_until_the_version_changes(case: str) -> None:
    change, said = BREAKING[case]
    before = committed()
    now = copy.deepcopy(before)
    change(now)

    assert said in refused(before, now)
    now["info"]["version"] = "9.0.0"
    assert refused(before, now) == []


FIELDS = [
    (name, field)
    for name, schema in committed()["components"]["schemas"].items()
    for field in schema.get("properties", ())
]


@hypothesis_settings(max_examples=25, deadline=None, derandomize=True, database=None)
@given(st.sampled_from(FIELDS))
def test_whatever_field_goes_is_missed_wherever_it_is(field: tuple[str, str]) -> None:
    before = committed()
    now = copy.deepcopy(before)
    without(*SCHEMAS, field[0], "properties", field[1])(now)

    assert any(change.endswith(f"{field[1]} is gone") for change in refused(before, now))


def test_what_is_added_breaks_nobody() -> None:
    before = committed()
    now = copy.deepcopy(before)
    now["paths"]["/v1/new"] = {"get": {"responses": {"200": {}}}}
    now["components"]["schemas"]["ScaleRequest"]["properties"]["new"] = {"type": "string"}
    now["components"]["schemas"]["ScaleAnswer"]["properties"]["new"] = {"type": "string"}
    now["components"]["schemas"]["NewStudy"]["properties"]["trials"]["maximum"] = 10**6

    assert breaking(before, now) == []
