"""The documents' screenshots of the dashboard, from a real small study on digits: `make screenshots`.

With a folder, the service's data stay there: an interrupted study resumes, and a completed one is used again.
"""

from __future__ import annotations

import base64
import io
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from PIL import Image

from tests.browser.support import Page, Service, chromium

DOCS = Path(__file__).parent.parent.parent / "docs"
MAX_BYTES = 250_000

STUDY: dict[str, Any] = {
    "name": "Digits, twelve small networks",
    "architecture": "tinynet_e",
    "dataset": "digits",
    "recipe": {"epochs": 4, "batch_size": 64},
    "space": {"r": [0.15, 0.4], "d": [0.4, 1.2], "w": [0.1, 0.6], "ratio": [0.008, 0.1]},
    "trials": 12,
    "compound": 2,
    "refit": {"every": 6},
}


def finished_study(service: Service) -> str:
    """Create the study unless it exists, train it to the end, and return its id."""
    known = [s["id"] for s in service.get("/v1/studies")["items"] if s["name"] == STUDY["name"]]
    study = known[0] if known else service.post("/v1/studies", STUDY)["id"]
    if service.get(f"/v1/studies/{study}")["state"] == "created":
        service.post(f"/v1/studies/{study}/start")
    with service.worker():
        while service.get(f"/v1/studies/{study}")["state"] == "running":
            time.sleep(2)
    return study


def save_screenshot(page: Page, name: str, height: int | None = None) -> None:
    """Save a screenshot of the page down to `height`, of all of it by default, with 256 colours."""
    width = page.run("return innerWidth")
    page.set_width(width, height or page.run("return document.documentElement.scrollHeight"))
    page.run("document.activeElement.blur()")
    is_moving = "return document.getAnimations().some((animation) => animation.playState === 'running')"
    page.until(lambda: not page.run(is_moving), "all transitions have ended")
    shot = page.driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})["data"]
    image = Image.open(io.BytesIO(base64.b64decode(shot))).convert("RGB")
    small = image.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    small.save(DOCS / name, optimize=True)
    size = (DOCS / name).stat().st_size
    print(f"{DOCS / name}: {image.width} x {image.height}, {size:,} bytes")
    assert size < MAX_BYTES


def wait_for_scale(page: Page) -> None:
    page.until(lambda: len(page.find_all(".plot canvas")) == 3, "the curves are drawn")
    page.until(lambda: page.text("#announcement"), "the answer has settled")


def main(folder: Path) -> None:
    with chromium() as page:
        service = Service(folder)
        try:
            page.set_width(1280)
            page.set_colour_scheme("light")
            page.open(service, "#/scale?ratio=0.258")
            wait_for_scale(page)
            save_screenshot(page, "dashboard.png")

            page.set_width(390, 844)
            page.set_colour_scheme("dark")
            page.open(service, "#/scale?ratio=0.258")
            wait_for_scale(page)
            save_screenshot(page, "dashboard-phone.png", height=1560)

            study = finished_study(service)
            page.set_width(1280)
            page.set_colour_scheme("light")
            page.open(service, f"#/studies/{study}")
            page.until(lambda: len(page.find_all(".plot canvas")) >= 2, "the charts are drawn")
            page.until(lambda: page.find_all(".scroll tbody a[href*=trials]"), "the trials are listed")
            save_screenshot(page, "dashboard-study.png", height=1300)
        finally:
            service.close()


if __name__ == "__main__":
    if sys.argv[1:]:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(Path(temporary))
