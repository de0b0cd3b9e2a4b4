"""The scale view shows what the API returns for the selected baseline and budget."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from PIL import Image
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
    assert page.text("#fact-accuracy").replace("\u00a0", " ") == "71.2 ± 0.9 %"
    page.until(lambda: len(page.find_all(".plot canvas")) == 3, "three charts")


def test_answer_is_one_sentence(page: Page, service: Service) -> None:
    page.open(service)
    sentence = (
        "EfficientNet-B0 at 99.54 M multiply-adds: 184 px, depth 0.85, width 0.54; 71.2 ± 0.9 % expected on ImageNet, "
        "from 5 published networks."
    )
    page.until(lambda: page.text("#answer").replace("\u00a0", " ") == sentence, "the sentence of the answer")
    page.until(lambda: page.text("#announcement").replace("\u00a0", " ") == sentence, "it is announced")
    page.find("#options summary").click()
    assert page.text("#predictor option:checked") == "Published TinyNets on ImageNet, 5 published networks"
    assert "active" not in page.text("#predictor")

    page.choose("#architecture", "resnet50")
    page.wait_for_text("ResNet-50 at", "#answer")
    page.wait_for_text("accuracy not predicted, since the rule dwr needs no data", "#answer")


RECORD_ANSWERS = """
window.targets = [];
const send = window.fetch;
let running = 0;
window.fetch = async (path, options) => {
  if (!String(path).endsWith("v1/scale")) return send(path, options);
  const request = { target: JSON.parse(options.body).target.ratio, running: running++ };
  targets.push(request);
  try { return await send(path, options); } finally { running--; }
};
window.shown = [];
new MutationObserver(() => shown.push([performance.now(), document.querySelector("#value-w").textContent]))
  .observe(document.querySelector("#value-w"), { childList: true });
"""


def test_numbers_follow_the_budget_as_it_is_dragged(page: Page, service: Service) -> None:
    page.open(service)
    shows(page, service)
    page.run(RECORD_ANSWERS)
    slider = page.find("#budget")
    drag = ActionChains(page.driver, duration=20).move_to_element(slider).click_and_hold()
    for _ in range(40):
        drag.move_by_offset(-5, 0)
    drag.release().perform()

    last = shows(page, service)
    page.until(lambda: not page.find_all(".stale"), "nothing is dimmed any more")
    targets = page.run("return targets")
    assert targets[-1]["target"] == ratio(page)
    assert {request["running"] for request in targets} == {0}, "one request is in flight"
    assert len(page.run("return shown")) > 5, "they changed while the budget was dragged"
    assert page.run("return shown.at(-1)[1]") == last["w"]


def test_clicking_the_curve_sets_the_budget_and_a_drag_zooms(page: Page, service: Service) -> None:
    page.open(service)
    before = shows(page, service)
    page.find(".plot canvas")
    plot = page.find(".plot .u-over")
    width = plot.size["width"]

    ActionChains(page.driver).move_to_element_with_offset(plot, width // 4, 0).click().perform()
    page.until(lambda: ratio(page) > 0.5, "the ratio is where the press was")
    assert shows(page, service) != before

    at = ratio(page)
    reset = page.find("button[aria-label='Resolution r(c): reset the zoom']")
    assert not reset.is_displayed()
    ActionChains(page.driver).move_to_element_with_offset(plot, -width // 4, 0).click_and_hold().move_by_offset(
        width // 4, 0
    ).release().perform()
    page.until(reset.is_displayed, "it is zoomed")
    assert ratio(page) == at, "a drag is no click"
    reset.click()
    page.until(lambda: not reset.is_displayed(), "all is shown again")


def test_chart_says_values_to_pointer_and_keyboard(page: Page, service: Service) -> None:
    page.open(service)
    shows(page, service)
    page.find(".plot canvas")
    plot, said = page.find(".plot"), ".chart .readout-line"

    def point() -> str:
        ActionChains(page.driver).move_to_element(page.find(".plot .u-over")).perform()
        return page.text(said)

    page.until(lambda: "curve and 90 % band" in point(), "the value at the pointer")  # the page may still move below it
    plot.send_keys(Keys.END)
    page.wait_for_text("Ratio c to the baseline’s multiply-adds 2", said)
    page.run("document.querySelector('.plot').style.width = '80%'")  # it is drawn again
    drawn = "return document.querySelector('.plot').offsetWidth"
    canvas = "return document.querySelector('.plot canvas').getBoundingClientRect().width"
    page.until(lambda: abs(page.run(canvas) - page.run(drawn)) < 3, "it has the new width")
    for event in ("mousemove", "mouseleave"):  # and the page moves below the resting pointer
        page.run(
            "const over = document.querySelector('.u-over'), { left, top } = over.getBoundingClientRect();"
            "const at = { clientX: left + 40, clientY: top + 40, movementX: 0, movementY: 0, bubbles: true };"
            "over.dispatchEvent(new MouseEvent(arguments[0], at))",
            event,
        )
    assert "multiply-adds 2" in page.text(said), "the keyboard's place stays"
    plot.send_keys(*[Keys.ARROW_LEFT] * 30, Keys.ENTER)
    page.until(lambda: 0.5 < ratio(page) < 1, "Enter sets the budget")
    shows(page, service)


def test_chart_is_exported(page: Page, service: Service, tmp_path: Path) -> None:
    page.driver.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path), "eventsEnabled": False}
    )
    page.open(service)
    page.find(".plot canvas")
    for kind in ("PNG", "SVG", "CSV"):
        page.press(f"Resolution r(c): save as {kind}")
    files = {kind: tmp_path / f"resolution-r-c-.{kind}" for kind in ("png", "svg", "csv")}
    page.until(lambda: all(file.exists() for file in files.values()), "the files are there")

    with Image.open(files["png"]) as image:
        assert len(image.convert("RGB").getcolors(100_000) or ()) > 10
    svg = ElementTree.fromstring(files["svg"].read_text())  # noqa: S314 (the page's own)
    texts = [node.text for node in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert {"Resolution r(c)", "r", "Ratio c to the baseline’s multiply-adds", *"ABCDE"} <= set(texts)
    rows = list(csv.DictReader(files["csv"].read_text().splitlines()))
    published = [float(row["r"]) for row in rows if row["series"] == "published TinyNets"]
    assert published == [0.475, 0.68, 0.825, 0.84, 0.86]


def test_invalid_budget_is_said_at_field_and_numbers(page: Page, service: Service) -> None:
    page.open(service)
    shows(page, service)

    page.type("#ratio", "0")
    page.wait_for_text("Enter a number above 0", "#ratio-error")
    page.wait_for_text("The numbers are those of the last valid budget", "#status")
    assert page.find("#ratio").get_attribute("aria-invalid") == "true"
    assert page.find_all(".stale")

    page.type("#ratio", "0.3")
    shows(page, service)
    page.until(lambda: not page.find_all(".stale, #ratio-error") and page.text("#status") == "", "all is well again")


def test_stopped_service_is_said_and_the_newest_budget_is_answered_later(page: Page, alone: Service) -> None:
    page.ignored_messages = ("ERR_CONNECTION_REFUSED", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE")
    page.open(alone)
    shows(page, alone)

    alone.stop()
    page.find("#budget").send_keys(Keys.PAGE_UP)
    page.wait_for_text("The service does not respond", "#status")
    page.wait_for_text("The service does not respond", "#budget-error")
    assert page.find_all(".stale")
    page.find("#budget").send_keys(Keys.PAGE_UP)
    alone.start()

    shows(page, alone)
    page.until(lambda: not page.find_all(".stale, #budget-error"), "nothing is dimmed any more")


def test_numbers_stay_in_sight_on_a_phone(page: Page, service: Service) -> None:
    page.set_width(390, 844)
    page.open(service)
    shows(page, service)

    page.run("scrollTo(0, document.documentElement.scrollHeight)")
    for name in ("#budget", "#value-r", "#value-d", "#value-w", "#value-px"):
        box = page.run("return document.querySelector(arguments[0]).getBoundingClientRect().toJSON()", name)
        assert 0 <= box["top"] < box["bottom"] < 300, name


def test_unreachable_budget_shows_reachable_range(page: Page, service: Service) -> None:
    page.open(service)
    shows(page, service)

    page.type("#flops", "0.0001")
    page.wait_for_text("from 2,178,384 to 333,534,336 are reachable", ".problem")
    assert shown(page) == dict.fromkeys(("r", "d", "w", "px"), "–")
    page.wait_for_text("Reachable: 2.178 M to 333.5 M", "#flops-error")
    page.press("Use the smallest budget: 2.178 M")

    least = told(service, target={"flops": 2178384})
    page.until(lambda: shown(page) == least, f"the least network is shown: {least}")
    assert page.find_all(".notes .problem") == []


def test_choices_are_requested_and_stored_in_url(page: Page, service: Service) -> None:
    page.open(service)
    shows(page, service)
    page.type("[type=search]", "resnet 50")
    page.find("[type=search]").send_keys(Keys.ENTER)
    page.find("#options summary").click()
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

    rows = [row.text for row in page.find_all("tr:has(.stage-bar)")]
    assert len(rows) == len(stages)
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
