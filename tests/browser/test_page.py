"""Properties of every view: content policy, origins, keys, keyboard, names, colours and width."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from selenium.webdriver import ActionChains, Keys

from app.db.session import engine_for
from tests.browser.support import Page, Service

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

VIEWS = {
    "#/scale": "table",
    "#/studies": "#new-study",
    "#/trials": ".card .hint, .card table",  # no trial yet, or those of other tests
    "#/predictors": "table",
    "#/predictors/published-tinynets": "table",
    "#/compare?predictors=published-tinynets,small-mbconv.typefaces.recorded": "canvas",
    "#/datasets": "tbody",
    "#/datasets/digits": "tbody",
    "#/baselines": "tbody",
    "#/baselines/tinynet_e": "tbody",
    "#/workers": ".facts",
    "#/keys": "#new-key-name",
}

CONTROLS = {"button", "link", "textbox", "searchbox", "combobox", "slider", "spinbutton", "DisclosureTriangle"}

# Every text's contrast with what it stands on, where it is less than WCAG AA asks for.
FAINT = """
const parse = (c) => { const x = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  x.fillStyle = c; x.fillRect(0, 0, 1, 1); return [...x.getImageData(0, 0, 1, 1).data]; };
const linear = (v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
const light = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
const ground = (node) => { for (; node; node = node.parentElement) {
  const c = parse(getComputedStyle(node).backgroundColor); if (c[3] === 255) return c; } return [255, 255, 255, 255]; };
const faint = [];
for (const node of document.querySelectorAll("body *")) {
  if (![...node.childNodes].some((n) => n.nodeType === 3 && n.data.trim()) || !node.checkVisibility?.()) continue;
  if (node.closest(".visually-hidden, :disabled, noscript")) continue;
  const style = getComputedStyle(node);
  const ink = parse(node.ownerSVGElement ? style.fill : style.color);
  const [a, b] = [light(ink), light(ground(node))].sort((x, y) => y - x);
  const size = parseFloat(style.fontSize);
  const needed = size >= 24 || (size >= 18.66 && style.fontWeight >= 700) ? 3 : 4.5;
  const contrast = (a + 0.05) / (b + 0.05);
  if (contrast < needed) faint.push(`${node.tagName} ${node.textContent.slice(0, 40)}: ${contrast}`);
}
return faint;
"""


def test_the_page_and_its_assets_send_the_policy(service: Service) -> None:
    for path in ("/", "/dashboard/main.js", "/dashboard/style.css"):
        answer = service.client.get(path)
        assert answer.status_code == 200
        assert answer.headers["content-security-policy"] == POLICY
    assert service.client.get("/dashboard/none.js").status_code == 404


def test_page_loads_nothing_from_other_hosts(page: Page, service: Service) -> None:
    page.driver.get_log("performance")
    for view, sign in VIEWS.items():
        page.open(service, view)
        page.find(sign)

    messages = [json.loads(entry["message"])["message"] for entry in page.driver.get_log("performance")]
    asked = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    assert len(asked) > 20
    assert [url for url in asked if not url.startswith((f"{service.url}/", "about:", "blob:", "data:"))] == []


def test_the_way_by_links_back_and_forth(page: Page, service: Service) -> None:
    page.open(service)
    page.until(lambda: page.driver.title == "Scale · rdw", "the title follows")
    for name in ("Trials", "Predictors"):
        page.find(f"nav a[href='#/{name.lower()}']").click()
        page.until(lambda name=name: page.driver.title == f"{name} · rdw", "the title follows")
        assert page.run("return document.activeElement.tagName") == "H1"
    assert page.text("nav [aria-current=page]") == "Predictors"

    page.driver.back()
    page.until(lambda: page.driver.title == "Trials · rdw", "back")
    page.driver.forward()
    page.until(lambda: page.driver.title == "Predictors · rdw", "forth")


@pytest.mark.parametrize("view", VIEWS)
def test_every_control_is_named_and_reachable_by_tab(page: Page, service: Service, view: str) -> None:
    page.open(service, view)
    page.find(VIEWS[view])
    page.run("document.querySelectorAll('details').forEach((d) => (d.open = true))")
    page.until(lambda: not page.run("return document.querySelector('[aria-busy]')"), "all is there")
    tree = page.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    controls = [n for n in tree if not n["ignored"] and n["role"]["value"] in CONTROLS]
    assert len(controls) >= 8
    assert [n["role"]["value"] for n in controls if not n["name"]["value"].strip()] == []

    page.run("document.querySelectorAll('a, button, input, select, summary').forEach((n) => n.dataset.due = '')")
    page.run("document.addEventListener('focusin', (e) => delete e.target.dataset.due)")
    due = (
        "return [...document.querySelectorAll('[data-due]')].filter((n) => n.checkVisibility() && !n.disabled)"
        ".map((n) => n.outerHTML)"
    )
    ActionChains(page.driver).send_keys(*[Keys.TAB] * (len(page.run(due)) + 15)).perform()
    assert page.run(due) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out(page: Page, service: Service, scheme: str) -> None:
    page.set_colour_scheme(scheme)
    for view, sign in VIEWS.items():
        page.open(service, view)
        page.find(sign)
        assert page.run(FAINT) == [], view


def test_theme_follows_system_until_chosen(page: Page, service: Service) -> None:
    ground = "return getComputedStyle(document.body).backgroundColor"
    page.set_colour_scheme("dark")
    page.open(service)
    dark = page.run(ground)
    page.press("Switch between light and dark")
    light = page.run(ground)

    page.driver.refresh()
    page.find("h1")

    assert (dark, light) == ("rgb(16, 22, 29)", "rgb(246, 247, 249)")
    page.until(lambda: page.run(ground) == light, "the choice is kept")


def test_a_phone_shows_all_without_scrolling_aside(page: Page, service: Service) -> None:
    page.set_width(360, 740)
    for view, sign in VIEWS.items():
        page.open(service, view)
        page.find(sign)
        page.run("document.querySelectorAll('details').forEach((d) => (d.open = true))")
        assert page.run("return document.documentElement.scrollWidth") <= 360, view


def test_page_prompts_for_a_required_key(page: Page, tmp_path: Path) -> None:
    guarded = Service(tmp_path, api_keys=hashlib.sha256(b"the right key").hexdigest())
    try:
        page.open(guarded, "#/predictors")
        page.wait_for_text("This service requires an API key", "dialog")
        page.type("#key-input", "a wrong key")
        page.press("Use this key")
        page.until(lambda: page.find("#key-input").get_property("value") == "", "it asks again")
        page.type("#key-input", "the right key")
        page.press("Use this key")

        page.wait_for_text("efficientnet_b0 on imagenet-1000")
        assert page.run("return [Object.keys(localStorage), Object.values(sessionStorage)]") == [[], ["the right key"]]
        page.press("Forget the key")
        page.wait_for_text("This service requires an API key", "dialog")
        page.press("Continue without")
        page.wait_for_text("This service requires an API key", ".problem")
    finally:
        guarded.close()
        engine_for(guarded.settings.database).dispose()
