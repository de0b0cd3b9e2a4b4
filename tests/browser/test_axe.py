"""Every view passes axe on a dark phone; others test some of them on light and wide screens."""

from __future__ import annotations

import pytest

from tests.browser.support import Page, Service
from tests.browser.test_compare_view import completed_trial
from tests.browser.test_page import VIEWS
from tests.browser.test_studies_view import trained_elsewhere

STUDY = {"name": "seen", "architecture": "tinynet_e", "dataset": "digits", "sampler": "active", "trials": 1}


@pytest.mark.exhaustive
def test_axe_finds_nothing_in_any_view_on_a_dark_phone(page: Page, alone: Service) -> None:
    study = alone.post("/v1/studies", STUDY)["id"]
    alone.post(f"/v1/studies/{study}/observations", {"observations": trained_elsewhere(8)})
    trials = [completed_trial(alone, accuracy, seed=seed, study=study) for seed, accuracy in enumerate((0.7, 0.9))]
    parts = ("front", "trials", "observations", "predictor", "family", "ask")
    own = {
        f"#/trials/{trials[0]}": ".plot",
        f"#/compare?trials={','.join(trials)}": "table",
        **{f"#/studies/{study}/{part}": ".tabs [aria-current=page]" for part in parts},
    }
    page.set_colour_scheme("dark")
    page.set_width(360, 740)
    for view, sign in {**VIEWS, **own}.items():
        page.open(alone, view)
        page.find(sign)
        page.run("document.querySelectorAll('details').forEach((d) => (d.open = true))")
        assert page.axe_violations() == [], view
