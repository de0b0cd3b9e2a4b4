"""A real service and a real Chromium, and what the tests want of them."""

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
import uvicorn
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException, WebDriverException
from selenium.webdriver.chrome.service import Service as Driver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from app.db.migrate import upgrade
from app.db.unit_of_work import UnitOfWork
from app.main import create_app
from app.services.predictors import install_published
from app.settings import Settings
from tests.support import absent, free_port

PATIENCE = 40.0

_LISTEN = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (e) => violations.push(`${e.violatedDirective} ${e.blockedURI}`));
"""


class Service:
    """The API on a port of its own, in a thread: it can be stopped and started again."""

    def __init__(self, data_dir: Path, **settings: Any) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.settings = Settings(
            data_dir=data_dir, port=self.port, database_url="", broker_url="", reconcile_seconds=1, **settings
        )
        upgrade(self.settings.database)
        with UnitOfWork(self.settings.database) as work:
            install_published(work)
        self.client = httpx.Client(base_url=self.url, timeout=PATIENCE)
        self.start()

    def start(self) -> None:
        config = uvicorn.Config(
            create_app(self.settings), port=self.port, log_level="error", ws="none", timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        until(lambda: self._server.started, "the service answers")

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=30)

    def close(self) -> None:
        self.client.close()
        self.stop()

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        answer = self.client.get(path, params=query)
        assert answer.is_success, answer.text
        return answer.json()

    def post(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        answer = self.client.post(path, json=body)
        assert answer.is_success, answer.text
        return answer.json()

    @contextmanager
    def worker(self) -> Iterator[None]:
        """A worker in a process of its own trains for the service."""
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
        self.forgiven: tuple[str, ...] = ()
        self.complained: list[str] = []
        driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": _LISTEN})

    def open(self, service: Service, address: str = "") -> None:
        """The address anew, not from within the page that is open."""
        self.driver.get("about:blank")
        self.driver.get(f"{service.url}/{address}")

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> WebElement:
        """The element, once it is there."""
        self.until(lambda: self.all(selector), f"there is {selector}")
        return self.all(selector)[0]

    def text(self, selector: str) -> str:
        found = self.all(selector)
        return found[0].text if found else ""

    def button(self, name: str) -> WebElement:
        """The visible button of that name, once it is there."""
        named = f"//button[normalize-space()='{name}' or @aria-label='{name}']"

        def shown() -> list[WebElement]:
            return [b for b in self.driver.find_elements(By.XPATH, named) if b.is_displayed()]

        self.until(shown, f"there is a button {name!r}")
        return shown()[0]

    def press(self, name: str) -> None:
        """Clicks the button, which a fresh answer may replace meanwhile."""

        def pressed() -> bool:
            self.button(name).click()
            return True

        self.until(pressed, f"{name!r} can be pressed")

    def type(self, selector: str, text: str) -> None:
        field = self.one(selector)
        field.clear()
        field.send_keys(text)

    def choose(self, selector: str, value: str) -> None:
        self.one(f"{selector} option[value='{value}']").click()

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def until(self, true: Callable[[], Any], what: str) -> None:
        until(true, what, lambda: self.run("return document.body.innerText"))

    def says(self, text: str, selector: str = "body") -> None:
        self.until(lambda: text in self.text(selector), f"{selector} says {text!r}")

    def wide(self, width: int, height: int = 900) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def colours(self, scheme: str) -> None:
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def complaints(self) -> list[str]:
        """What the console says, but for answers of 4xx, which are part of the conversation, and what is forgiven."""
        said = [entry["message"] for entry in self.driver.get_log("browser")]
        forgiven = ("the server responded with a status of 4", *self.forgiven)
        self.complained += [m for m in said if not any(f in m for f in forgiven)]
        self.complained += self.run("return window.violations") or []
        return self.complained

    def leave(self) -> None:
        """Before its service ends: what the page asks for after that is nobody's fault."""
        if self.driver.current_url != "about:blank":
            self.complaints()
            self.run("sessionStorage.clear(); localStorage.clear()")
            self.driver.get("about:blank")


def percent(share: float) -> str:
    """As the page has it: halves go up."""
    return f"{Decimal(100 * share).quantize(Decimal('0.1'), ROUND_HALF_UP)} %"


def until(true: Callable[[], Any], what: str, seen: Callable[[], str] = lambda: "") -> None:
    """Waits for it, not longer than is sensible."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            if true():
                return
        except StaleElementReferenceException:
            continue
        time.sleep(0.05)
    raise AssertionError(f"never seen: {what}\n{seen()}")


@contextmanager
def chromium() -> Iterator[Page]:
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not browser or not driver:
        absent("Chromium (apt install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for switch in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--hide-scrollbars"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    opened = webdriver.Chrome(options=options, service=Driver(driver))
    try:
        opened.set_script_timeout(PATIENCE)
        yield Page(opened)
    finally:
        try:
            opened.quit()
        except WebDriverException:
            opened.service.stop()
