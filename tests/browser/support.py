"""A real service and a real Chromium for the tests of the dashboard."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException, WebDriverException
from selenium.webdriver.chrome.service import Service as Driver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from app.core.settings import Settings
from app.db.migrate import upgrade
from app.db.unit_of_work import UnitOfWork
from app.http.app import create_app
from app.services.predictors.store import store_built_in
from tests.leaks import shared_ports
from tests.support import find_free_port, skip_without

PATIENCE = 200.0

_AXE = Path(__file__).parent.parent / "dashboard" / "node_modules" / "axe-core" / "axe.min.js"
_RUN_AXE = """
const done = arguments[0];
axe.run(document, { resultTypes: ["violations"] }).then(({ violations }) =>
  done(violations.map(({ id, nodes }) => `${id}: ${nodes[0].html}`)));
"""

_RECORD_VIOLATIONS = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (e) => violations.push(`${e.violatedDirective} ${e.blockedURI}`));
"""


class Service:
    """The API in a thread, on a port of its own; it can be stopped and restarted."""

    def __init__(self, data_dir: Path, **settings: Any) -> None:
        self.port = find_free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.settings = Settings(
            data_dir=data_dir, port=self.port, database_url="", broker_url="", reconcile_seconds=1, **settings
        )
        upgrade(self.settings.database)
        with UnitOfWork(self.settings.database) as work:
            store_built_in(work)
        self.client = httpx.Client(base_url=self.url, timeout=PATIENCE)
        self.start()

    def start(self) -> None:
        config = uvicorn.Config(
            create_app(self.settings), port=self.port, log_level="error", ws="none", timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        shared_ports.add(self.port)
        wait_until(lambda: self._server.started, "the service responds")

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=30)

    def close(self) -> None:
        self.client.close()
        self.stop()
        shared_ports.discard(self.port)

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        response = self.client.get(path, params=query)
        assert response.is_success, response.text
        return response.json()

    def post(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        response = self.client.post(path, json=body)
        assert response.is_success, response.text
        return response.json()

    @contextmanager
    def worker(self) -> Iterator[None]:
        """Run a worker process for the service."""
        environment = {
            **os.environ,
            "RDW_DATA_DIR": str(self.settings.data_dir),
            "RDW_DATABASE_URL": "",
            "RDW_BROKER_URL": "",
            "RDW_THREADS": "1",
        }
        with (self.settings.data_dir / "worker.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "app.cli", "worker"], env=environment, stdout=log, stderr=log
            )
            try:
                yield
            finally:
                process.terminate()
                process.wait(timeout=60)


class Page:
    """A tab of Chromium, as its user sees it."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver
        self.ignored_messages: tuple[str, ...] = ()
        self.errors: list[str] = []
        driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": _RECORD_VIOLATIONS})

    def open(self, service: Service, address: str = "") -> None:
        """Load the address from scratch, not from within the open page."""
        self.driver.get("about:blank")
        self.driver.get(f"{service.url}/{address}")

    def find_all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def find(self, selector: str) -> WebElement:
        """Wait for the element and return it."""
        self.until(lambda: self.find_all(selector), f"there is {selector}")
        return self.find_all(selector)[0]

    def text(self, selector: str) -> str:
        elements = self.find_all(selector)
        return elements[0].text if elements else ""

    def button(self, name: str) -> WebElement:
        """Wait for the visible button of that name and return it."""
        path = f"//button[normalize-space()='{name}' or @aria-label='{name}']"

        def find_visible() -> list[WebElement]:
            return [b for b in self.driver.find_elements(By.XPATH, path) if b.is_displayed()]

        self.until(find_visible, f"there is a button {name!r}")
        return find_visible()[0]

    def press(self, name: str) -> None:
        """Click the button; retry if an update of the page replaces it meanwhile."""

        def click() -> bool:
            self.button(name).click()
            return True

        self.until(click, f"{name!r} can be pressed")

    def type(self, selector: str, text: str) -> None:
        field = self.find(selector)
        field.clear()
        field.send_keys(text)

    def choose(self, selector: str, value: str) -> None:
        self.find(f"{selector} option[value='{value}']").click()

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def until(self, condition: Callable[[], Any], description: str) -> None:
        """Wait until the condition is true."""
        wait_until(condition, description, lambda: self.run("return document.body.innerText"))

    def wait_for_text(self, text: str, selector: str = "body") -> None:
        self.until(lambda: text in self.text(selector), f"{selector} says {text!r}")

    def set_width(self, width: int, height: int = 900) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def set_colour_scheme(self, scheme: str) -> None:
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def axe_violations(self) -> list[str]:
        """Return what axe finds wrong with the accessibility of the page."""
        if not _AXE.exists():
            pytest.skip("axe is missing: run `make lint-dashboard`")
        self.until(lambda: not self.find_all("[aria-busy=true]"), "all is there")
        self.run(_AXE.read_text("utf-8"))
        violations: list[str] = self.driver.execute_async_script(_RUN_AXE)
        return violations

    def collect_errors(self) -> list[str]:
        """Add the errors in the console, except expected ones, and violations of the content policy to `errors`."""
        messages = [entry["message"] for entry in self.driver.get_log("browser")]
        ignored = ("the server responded with a status of 4", *self.ignored_messages)
        self.errors += [m for m in messages if not any(i in m for i in ignored)]
        self.errors += self.run("return window.violations") or []
        return self.errors

    def leave(self) -> None:
        """Leave the page before its service stops, since its later requests would fail."""
        if self.driver.current_url != "about:blank":
            self.collect_errors()
            self.run("sessionStorage.clear(); localStorage.clear()")
            self.driver.get("about:blank")


def percent(share: float) -> str:
    """Format a share as the page does: halves are rounded up."""
    return f"{Decimal(100 * share).quantize(Decimal('0.1'), ROUND_HALF_UP)} %"


def wait_until(condition: Callable[[], Any], description: str, page_text: Callable[[], str] = lambda: "") -> None:
    """Wait until the condition is true, for at most `PATIENCE` seconds."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            if condition():
                return
        except StaleElementReferenceException:
            continue
        time.sleep(0.05)
    raise AssertionError(f"not within {PATIENCE:.0f} s: {description}\n{page_text()}")


@contextmanager
def chromium(*switches: str) -> Iterator[Page]:
    """Start Chromium, with these switches as well."""
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not browser or not driver:
        skip_without("Chromium (apt install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for switch in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--hide-scrollbars",
        *switches,
    ):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chrome = webdriver.Chrome(options=options, service=Driver(driver))
    try:
        chrome.set_script_timeout(PATIENCE)
        shared_ports.add(chrome.service.port)
        yield Page(chrome)
    finally:
        try:
            chrome.quit()
        except WebDriverException:
            chrome.service.stop()
