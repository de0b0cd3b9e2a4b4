"""The requests of a tab that nobody uses, with a clock that the test moves, and how it learns of changes."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.browser.support import Page, Service
from tests.browser.test_trials_view import SMALL

MINUTE = 60_000

CLOCK = """
const timers = new Map();
const loading = new Set();
const { fetch, setTimeout } = window;
let [now, ids] = [Date.now(), 0];
Date.now = () => now;
window.setTimeout = (call, wait = 0, ...values) => (timers.set(++ids, [now + wait, () => call(...values)]), ids);
window.clearTimeout = (id) => timers.delete(id);
window.fetch = (...values) => {
  const response = fetch(...values);
  loading.add(response);
  response.finally(() => loading.delete(response)).catch(() => {});
  return response;
};
const settle = async () => {
  while (loading.size) await Promise.allSettled([...loading]);
  await new Promise((resolve) => setTimeout(resolve, 2));
};
window.pass = async (milliseconds) => {
  for (const end = now + milliseconds; now < end; ) {
    now += 500;
    const due = [...timers].filter(([, [at]]) => at <= now).sort(([, [a]], [, [b]]) => a - b);
    for (const [id, [, call]] of due) if (timers.delete(id)) call();
    await settle();
  }
};
window.setHidden = (hidden) => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
  document.dispatchEvent(new Event("visibilitychange"));
};
"""


@pytest.fixture
def clock(page: Page) -> Iterator[None]:
    """Make the page's clock stand still, unless the test moves it."""
    script = page.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": f"{{{CLOCK}}}"})
    yield
    page.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)


def pass_time(page: Page, service: Service, milliseconds: int) -> int:
    """Move the page's clock; return how many requests the service answered meanwhile."""
    before = answered(service)
    page.driver.execute_async_script("pass(arguments[0]).then(arguments[1])", milliseconds)
    return answered(service) - before


def answered(service: Service) -> int:
    """Return how many requests to its API the service has answered, by its own count."""
    counted = re.findall(r'rdw_http_requests_total\{.*route="/v1/.*\} (\S+)', service.client.get("/metrics").text)
    return round(sum(map(float, counted)))


@pytest.mark.parametrize("view", ["trials", "studies", "predictors", "workers"])
def test_idle_tab_makes_few_requests_and_a_hidden_one_none(page: Page, alone: Service, clock: None, view: str) -> None:
    page.open(alone, f"#/{view}")
    page.find(".card .hint, .card table")
    pass_time(page, alone, MINUTE)

    requests = pass_time(page, alone, 10 * MINUTE)
    assert 0 < requests <= 4 * 10
    page.run("setHidden(true)")
    pass_time(page, alone, 1000)
    assert pass_time(page, alone, 10 * MINUTE) == 0


def test_idle_tab_shows_a_change_without_a_poll(page: Page, alone: Service, clock: None) -> None:
    page.open(alone, "#/trials")
    page.wait_for_text("There are no trials.")
    pass_time(page, alone, 50_000)

    trial = alone.post("/v1/trials", SMALL)["id"]

    page.wait_for_text(trial[:8], "tbody")
