"""The scale view shows what the API returns for the selected baseline and budget."""

from __future__ import annotations

from typing import Any

import pytest
from selenium.webdriver import ActionChains, Keys

from tests.browser.support import Page, Service


def shown(page: Page) -> dict[str, str]:
    return {name: page.text(f"#value-{name}") for name in ("r", "d", "w", "px")}


def multiplier(value: float) -> str:
    """Three decimals, or more where these would be another number."""
    return f"{value:.3f}" if float(f"{value:.3f}") == value else str(value)


def told(service: Service, **request: Any) -> dict[str, str]:
    """The API's own answer, as the page writes it."""
    answer = service.post("/v1/scale", {"architecture": "efficientnet_b0", **request})
    multipliers = {name: multiplier(answer["multipliers"][name]) for name in ("r", "d", "w")}
    return {**multipliers, "px": str(answer["config"]["resolution"])}


def ratio(page: Page) -> float:
    return float(page.find("#ratio").get_property("value"))


def shows(page: Page, service: Service) -> dict[str, str]:
    """What is shown, once it is the API's answer for the ratio that stands there."""
    expected = told(service, target={"ratio": ratio(page)})
    page.until(lambda: shown(page) == expected, f"the numbers are {expected}")
    return expected


def test_budget_moves_by_key_and_pointer(page: Page, service: Service) -> None:
    page.open(service)
    first = shows(page, service)
    slider = page.find("#budget")

    slider.send_keys(Keys.PAGE_UP, Keys.ARROW_RIGHT)
    second = shows(page, service)
    ActionChains(page.driver).move_to_element_with_offset(slider, 0, 0).click_and_hold().move_by_offset(
        -slider.size["width"] // 3, 0
    ).release().perform()
    third = shows(page, service)

    assert len({tuple(numbers.values()) for numbers in (first, second, third)}) == 3
    assert float(third["r"]) < float(first["r"]) < float(second["r"])
    assert "ratio" in slider.get_attribute("aria-valuetext")


def test_the_published_tinynet_c(page: Page, service: Service) -> None:
    page.open(service)
    page.type("#ratio", "0.258")

    assert shows(page, service) == {"r": "0.823", "d": "0.853", "w": "0.544", "px": "184"}
    assert page.find("#flops").get_property("value") == "99.54"
    assert page.text("#fact-flops") == "99.54 M"
    assert page.text("#fact-accuracy") == "71.2 % ± 0.9 %"
    page.until(lambda: len(page.find_all(".letter")) == 15, "A to E stand in three charts")
    assert {letter.text for letter in page.find_all(".letter")} == set("ABCDE")
    assert len(page.find_all("circle.now")) == 3


def test_clicking_the_curve_sets_the_budget(page: Page, service: Service) -> None:
    page.open(service)
    shows(page, service)
    chart = page.find("svg.chart")
    page.until(lambda: page.find_all("circle.now"), "the budget is marked")
    before = float(page.find("circle.now").get_attribute("cx"))

    ActionChains(page.driver).move_to_element_with_offset(chart, chart.size["width"] // 4, 0).click().perform()

    page.until(lambda: ratio(page) > 0.5, "the ratio is where the press was")
    shows(page, service)
    page.until(lambda: float(page.find("circle.now").get_attribute("cx")) > before, "the mark moved")


def test_unreachable_budget_shows_reachable_range(page: Page, service: Service) -> None:
    page.open(service)
    shows(page, service)

    page.type("#flops", "0.0001")
    page.wait_for_text("from 2,178,384 to 333,534,336 are reachable", ".problem")
    assert shown(page) == dict.fromkeys(("r", "d", "w", "px"), "–")
    page.press("Use the smallest budget: 2.178 M")

    least = told(service, target={"flops": 2178384})
    page.until(lambda: shown(page) == least, f"the least network is shown: {least}")
    assert page.find_all(".notes .problem") == []


def test_choices_are_requested_and_stored_in_url(page: Page, service: Service) -> None:
    page.open(service)
    shows(page, service)
    page.type("[type=search]", "resnet 50")
    page.find("[type=search]").send_keys(Keys.ENTER)
    page.choose("#rule", "compound")
    page.choose("#mode", "at_most")
    page.choose("#multiple", "32")

    expected = told(
        service,
        architecture="resnet50",
        target={"ratio": 0.258},
        rule="compound",
        budget={"mode": "at_most"},
        constraints={"resolution": {"multiple_of": 32}},
    )
    page.until(lambda: shown(page) == expected, f"the numbers are {expected}")
    page.until(lambda: "rule=compound" in page.driver.current_url, "the address follows")
    page.open(service, page.driver.current_url.removeprefix(f"{service.url}/"))
    page.until(lambda: shown(page) == expected, "the address leads back")


def test_classes_of_a_data_set_are_counted(page: Page, service: Service) -> None:
    page.open(service, "#/scale?architecture=tinynet_e&ratio=0.3")
    page.choose("#dataset", "digits")

    expected = told(service, architecture="tinynet_e", target={"ratio": 0.3}, dataset="digits")
    page.until(lambda: shown(page) == expected, f"the numbers are {expected}")
    ten = service.post("/v1/cost", {"architecture": "tinynet_e", "dataset": "digits"})["cost"]["flops"]
    page.until(
        lambda: float(page.find("#flops").get_property("value")) == float(f"{0.3 * ten / 1e6:.5g}"), "its budget"
    )
    page.until(lambda: "dataset=digits" in page.driver.current_url, "the address follows")


def test_the_rules_side_by_side(page: Page, service: Service) -> None:
    page.open(service, "#/scale?ratio=0.258")
    compared = service.post("/v1/compare", {"architecture": "efficientnet_b0", "target": {"ratio": 0.258}})["items"]
    page.until(lambda: len(page.find_all(".rules tbody tr")) == len(compared), "every rule has a row")

    for row, item in zip(page.find_all(".rules tbody tr"), compared, strict=True):
        if item["problem"]:
            assert item["problem"] in row.text
        else:
            m = item["answer"]["multipliers"]
            assert " ".join(multiplier(m[n]) for n in ("r", "d", "w")) in row.text
            assert str(item["answer"]["config"]["resolution"]) in row.text
    page.until(
        lambda: [rule.text for rule in page.find_all(".rules tr.chosen th")] == ["tiny formula"],
        "the rule that was taken is marked",
    )


def test_cost_by_stage(page: Page, service: Service) -> None:
    page.open(service, "#/scale?ratio=0.5")
    shows(page, service)
    config = service.post("/v1/scale", {"architecture": "efficientnet_b0", "target": {"ratio": 0.5}})["config"]
    stages = service.post("/v1/cost", {"config": config})["cost"]["stages"]

    rows = [row.text for row in page.find_all(".pair tbody tr")]
    assert len(rows) == len(page.find_all("rect.bar")) == len(stages)
    assert all(f"{stage['params']:,}" in row for row, stage in zip(rows, stages, strict=True))


@pytest.mark.parametrize("architecture", ["efficientnet_b0", "regnetx_002"])
def test_the_python_that_is_copied_builds_the_network(page: Page, service: Service, architecture: str) -> None:
    page.driver.execute_cdp_cmd(
        "Browser.grantPermissions", {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
    )
    page.open(service, f"#/scale?architecture={architecture}&ratio=0.5")
    page.until(lambda: page.text("#value-px") not in ("", "–"), "there is a network")
    page.press("Copy Python for timm")
    page.wait_for_text("Copied.")
    code = page.driver.execute_async_script("navigator.clipboard.readText().then(arguments[0])")

    scope: dict[str, Any] = {}
    exec(code, scope)  # noqa: S102 (what a user does with it)
    built = sum(parameter.numel() for parameter in scope["network"].parameters())
    answer = service.post("/v1/scale", {"architecture": architecture, "target": {"ratio": 0.5}})
    assert built == answer["cost"]["params"]
