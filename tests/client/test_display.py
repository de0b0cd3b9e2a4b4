"""How responses are shown: short representations, tables in notebooks and data frames."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from rdw_client import Client, models, to_dataframe
from tests.serving import RunningService
from tests.support import skip_without

ROOT = Path(__file__).parents[2]
RESULTS = [{"r": r, "d": 1.0, "w": w, "accuracy": 0.5 + 0.2 * r * w} for r in (0.6, 0.8, 1.0) for w in (0.5, 0.8, 1.1)]


@pytest.fixture
def study(rdw: Client) -> str:
    study = rdw.create_study("a <b>study</b>", "small", "digits", trials=3).id
    rdw.import_observations(study, RESULTS)
    return study


def responses(rdw: Client, study: str) -> Iterator[Any]:
    yield rdw.scale("efficientnet_b0", flops=200_000_000)
    yield rdw.family("efficientnet_b0", ratios=[0.3, 0.6])
    yield rdw.compare("small", ratio=0.5)
    yield from rdw.compare("small", ratio=0.5).items
    yield rdw.cost("efficientnet_b0")
    yield rdw.cost("efficientnet_b0").cost
    yield rdw.architecture("efficientnet_b0")
    yield from rdw.datasets()
    yield rdw.train("small", dataset="digits", recipe="digits-smoke", seed=51)
    yield rdw.study(study)
    yield from rdw.ask(study, n=2)
    yield from rdw.observations(study)
    yield rdw.front(study)
    yield rdw.correlations(study)
    yield rdw.calibration(study)
    yield rdw.predictor("published-tinynets")
    yield rdw.curve("published-tinynets")
    yield rdw.queue()
    yield rdw.ready()


def test_every_response_fits_a_line(rdw: Client, study: str) -> None:
    for response in responses(rdw, study):
        shown = repr(response)
        assert shown.startswith(f"{type(response).__name__}(") and shown.endswith(")")
        assert len(shown) <= 120 and "\n" not in shown, shown


def test_network_is_shown_by_its_multipliers_and_cost(rdw: Client) -> None:
    found = rdw.scale("efficientnet_b0", flops=200_000_000)
    m = found.multipliers

    assert repr(found) == (
        f"Recommendation(architecture='efficientnet_b0', resolution={found.config['resolution']}, "
        f"r={m.r:.4g}, d={m.d:.4g}, w={m.w:.4g}, flops={found.cost.flops})"
    )


def test_long_values_are_cut_off() -> None:
    health = models.Health.from_json({"status": "x" * 1000})

    assert len(repr(health)) < 60
    assert repr(health).endswith("…')")


def test_html_is_escaped_and_has_a_row_per_item(rdw: Client, study: str) -> None:
    assert "a &lt;b&gt;study&lt;/b&gt;" in rdw.study(study)._repr_html_()
    front = rdw.front(study, k=5)
    assert front._repr_html_().count("<tr>") == 1 + len(front.items)


def test_html_of_many_items_is_bounded() -> None:
    point = {"c": 0.5, "r": 1.0, "r_sd": 0.1, "d": 1.0, "d_sd": 0.1}
    curve = models.Curve.from_json({"min_c": 0.1, "max_c": 1.0, "items": [point] * 150})

    assert curve._repr_html_().count("<tr>") == 101
    assert "50 more" in curve._repr_html_()


def test_data_frame_has_a_row_per_item(rdw: Client, study: str) -> None:
    if find_spec("pandas") is None:
        skip_without("pandas")
    family = rdw.family("efficientnet_b0", ratios=[0.3, 0.6])

    frame = family.to_dataframe()

    assert list(frame["cost.flops"]) == [one.cost.flops for one in family.items]
    assert list(frame["multipliers.r"]) == [one.multipliers.r for one in family.items]
    assert len(rdw.study(study).to_dataframe()) == 1
    observations = to_dataframe(rdw.observations(study))
    assert sorted(observations["accuracy"]) == sorted(one["accuracy"] for one in RESULTS)
    assert to_dataframe([]).empty


def test_data_frame_without_pandas_says_what_to_install(service: RunningService, tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['pandas'] = None\n"
        "from rdw_client import Client\n"
        "with Client() as rdw:\n"
        "    rdw.queue().to_dataframe()\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True, text=True, timeout=60, cwd=tmp_path,
        env={**service.environment, "PYTHONPATH": str(ROOT / "client")},
    )  # fmt: skip

    assert ran.stderr.splitlines()[-1] == "ImportError: Data frames need pandas: pip install 'rdw-client[pandas]'"
