"""The playground: examples that create what they need, the filter, the theme, and operations that change things."""

from __future__ import annotations

import pytest

from tests.browser.support import Page, Service
from tests.contract.spec import committed

VIEWS = {
  "": "#answer strong",
  "#/studies": "#new-study",
  "#/predictors": "table",
  "#/workers": ".facts",
  "#/keys": "#new-key-name",
  "docs": ".opblock",
  "docs#/studies/read_front": ".first-steps",
}  # fmt: skip


@pytest.fixture(autouse=True)
def ignore_deprecation(page: Page) -> None:
    """Swagger UI takes the underscore in the id of an operation for an escaped space, and warns."""
    page.ignored_messages = ("escaping deep link whitespace",)


def open_operation(page: Page, service: Service, operation: str) -> str:
    """Open the operation (tag/id) and return the selector of its block."""
    page.open(service, f"docs#/{operation}")
    page.find(f"#operations-{operation.replace('/', '-')}.is-open")
    return f"#operations-{operation.replace('/', '-')}"


@pytest.mark.parametrize(
    "operation", ["studies/read_front", "trials/follow_trial", "predictors/delete_predictor", "studies/pause_study"]
)
def test_example_creates_what_it_needs_at_a_click(page: Page, alone: Service, operation: str) -> None:
    block = open_operation(page, alone, operation)
    page.press("Create it now")
    page.wait_for_text("Done: id is", f"{block} .first-steps")
    page.find(f"{block} .execute").click()

    status = f"{block} .live-responses-table tbody .response-col_status"
    page.until(lambda: page.text(status).startswith("20"), "the example works")


def test_missing_images_are_reported(page: Page, alone: Service) -> None:
    block = open_operation(page, alone, "datasets/refresh_dataset")
    page.press("Create it now")

    page.wait_for_text("Register a folder of images:", f"{block} .first-steps [role=status]")


def test_step_of_an_example_does_not_lock_a_service_without_keys(page: Page, alone: Service) -> None:
    block = open_operation(page, alone, "keys/revoke_key")
    page.press("Create it now")

    page.wait_for_text("it must have the scope `admin`", f"{block} .first-steps [role=status]")
    assert alone.get("/v1/keys")["items"] == []


def test_operations_that_change_things_say_so(page: Page, service: Service) -> None:
    page.open(service, "docs")
    page.find(".opblock")
    changing = {
        operation["operationId"]
        for operations in committed()["paths"].values()
        for method, operation in operations.items()
        if method != "get" and operation.get("x-scope") in ("train", "admin")
    }

    marked = {block.get_attribute("id").rpartition("-")[2] for block in page.find_all(".opblock:has(.changes)")}
    assert marked == changing


def test_filter_finds_operations_by_words(page: Page, service: Service) -> None:
    page.open(service, "docs")
    page.type("#filter-words", "front studies")

    page.until(
        lambda: [o.get_attribute("id") for o in page.find_all(".opblock")] == ["operations-studies-read_front"],
        "the only one",
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(page: Page, service: Service, scheme: str) -> None:
    page.set_colour_scheme(scheme)
    for width in (1280, 390):
        page.set_width(width)
        for address, sign in VIEWS.items():
            page.open(service, address)
            page.find(sign)
            assert page.axe_violations() == [], (address, width)
