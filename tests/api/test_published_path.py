"""The paper's five networks are imported, selected, correlated, fitted and recommended."""

from __future__ import annotations

import numpy as np
import pytest
from fastapi.testclient import TestClient
from scipy.stats import spearmanr

from app.scaling.predictors.published_tinynets import TINYNETS


@pytest.fixture
def study(client: TestClient) -> str:
    body = {"name": "published", "architecture": "efficientnet_b0", "dataset": "digits", "trials": 1}
    study = str(client.post("/v1/studies", json=body).json()["id"])
    networks = [(net.multipliers, net.top1) for net in TINYNETS]
    rows = [{"r": m.r, "d": m.d, "w": m.w, "accuracy": top1} for m, top1 in networks]
    answer = client.post(f"/v1/studies/{study}/observations", json={"source": "the paper", "observations": rows})
    assert answer.status_code == 201
    return study


def test_published_networks_form_front_with_exact_correlations(client: TestClient, study: str) -> None:
    front = client.get(f"/v1/studies/{study}/front").json()["items"]
    assert not any(network["dominated"] for network in front)
    assert [item["accuracy"] for item in front] == sorted(net.top1 for net in TINYNETS)

    found = client.get(f"/v1/studies/{study}/correlations").json()
    flops = [item["flops"] for item in front]
    for name in ("r", "d", "w"):
        values = [item[name] for item in front]
        assert found[name]["pearson"] == pytest.approx(np.corrcoef(values, flops)[0, 1])
        assert found[name]["spearman"] == pytest.approx(spearmanr(values, flops).statistic)
        low, high = found[name]["pearson_interval"]
        assert -1 <= low <= found[name]["pearson"] <= high <= 1


def test_published_predictor_reproduces_published_multipliers(client: TestClient, study: str) -> None:
    predictor = client.post(f"/v1/studies/{study}/predictors").json()["id"]

    for net in TINYNETS:
        asked = {"architecture": "efficientnet_b0", "target": {"flops": net.flops}, "predictor": predictor}
        m = client.post("/v1/scale", json=asked).json()["multipliers"]
        assert m["r"] == pytest.approx(net.multipliers.r, abs=0.03)
        assert m["d"] == pytest.approx(net.multipliers.d, abs=0.03)
        assert m["w"] == pytest.approx(net.multipliers.w, abs=0.06)
