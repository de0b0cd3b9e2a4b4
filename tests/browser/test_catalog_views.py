"""Data sets and baselines are registered, after the dashboard has said what it understands of them."""

from __future__ import annotations

import json

from PIL import Image

from tests.browser.support import Page, Service
from tests.support import SMALL


def test_a_data_set_is_registered(page: Page, alone: Service) -> None:
    folder = alone.settings.data_dir / "datasets" / "animals"
    for split in ("train", "test"):
        for name, images in (("cat", 8), ("dog", 5)):
            (folder / split / name).mkdir(parents=True)
            for i in range(images):
                shade = (20 * i, 60 if name == "cat" else 200, 7 if split == "train" else 90)
                Image.new("RGB", (16, 16), shade).save(folder / split / name / f"{i}.png")
    page.open(alone, "#/datasets")
    page.find("#new-dataset summary").click()
    page.type("#dataset-name", "animals")
    page.type("#dataset-folder", "nowhere")
    page.type("#dataset-px", "16")
    page.press("Check the folder")
    page.wait_for_text("nowhere", "#new-dataset .problem")
    assert page.find("#dataset-folder").get_attribute("aria-invalid") == "true"

    page.type("#dataset-folder", "animals")
    page.press("Check the folder")
    page.wait_for_text("What was understood", "#new-dataset")
    page.wait_for_text("held out", "[aria-label=Parts]")
    names = [item["name"] for item in alone.client.get("/v1/datasets").json()["items"]]
    assert "animals" not in names
    page.press("Register")

    page.until(lambda: page.text("h1") == "animals", "its own page")
    classes = "[aria-label='Classes and their images']"
    page.until(lambda: len(page.find_all(f"{classes} tbody tr")) == 2, "its classes")
    counts = f"return [...document.querySelectorAll(`{classes} tbody tr`)].map((r) => r.cells[2].textContent)"
    assert page.run(counts) == ["8", "5"]
    page.find(f"{classes} [data-key='sort Training']").click()
    page.find(f"{classes} [data-key='sort Training']").click()
    page.until(lambda: page.run(counts) == ["5", "8"], "the smallest class is first")


def test_a_baseline_is_registered(page: Page, alone: Service) -> None:
    page.open(alone, "#/baselines/efficientnet_b0")
    page.wait_for_text("stage 6", "[aria-label='Structure by stage'] tbody")
    page.find(".trail a[href*='from=efficientnet_b0']").click()
    page.until(lambda: page.run("return document.getElementById('baseline-spec')?.value"), "the network to start from")
    start = json.loads(page.run("return document.getElementById('baseline-spec').value"))
    assert start["baseline"]["resolution"] == 224

    page.type("#baseline-name", "mine")
    page.type("#baseline-spec", "{")
    page.press("Check")
    page.wait_for_text("This is not JSON", ".field-error")
    page.run(
        "document.getElementById('baseline-spec').value = arguments[0]", json.dumps({"baseline": SMALL["baseline"]})
    )
    page.press("Check")
    page.wait_for_text("stage 1", "#new-baseline tbody")
    page.press("Register")

    page.wait_for_text("Registered baseline mine of the family efficientnet.")
    assert alone.get("/v1/architectures/mine")["baseline"]["resolution"] == 16
    page.open(alone, "#/baselines?q=registered")
    page.wait_for_text("mine", "tbody")


def test_queue_and_workers_are_listed(page: Page, alone: Service) -> None:
    body = {"architecture": "tinynet_e", "multipliers": {"r": 0.3, "d": 0.5, "w": 0.2}, "dataset": "digits"}
    ids = [alone.post("/v1/trials", {**body, "seed": seed, "priority": seed})["id"] for seed in (0, 5, 1)]
    page.open(alone, "#/workers")
    queue = "[aria-label='The queue, next one first'] tbody"
    page.until(lambda: len(page.find_all(f"{queue} tr")) == 3, "the queue")
    order = [row.text.split()[0] for row in page.find_all(f"{queue} tr")]
    assert order == [ids[i][:8] for i in (1, 2, 0)]
    page.wait_for_text("There are no workers.")
