"""A built config is timm's own network: the same names and shapes, and the same logits for the same weights."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch
from torch import Tensor, nn

from app.scaling import families
from app.scaling.errors import InvalidNetwork
from app.scaling.families import baseline, baselines
from app.scaling.network import Config, Multipliers
from tests.scaling.baselines import EVERY_NAME, OWN_NAMES, SMALLEST, SMALLEST_NAMES
from tests.worker.support import SMALL
from worker.fvcore_counts import count_config
from worker.networks import build

REBUILD = Path(__file__).parents[2] / "examples" / "rebuild.py"


BASELINES_DOC = Path(__file__).parents[2] / "docs" / "baselines.md"


def shapes(network: nn.Module) -> list[tuple[str, list[int]]]:
    """Return names and shapes in the order of the state_dict."""
    return [(name, list(tensor.shape)) for name, tensor in network.state_dict().items()]


def norms(network: nn.Module) -> list[tuple[float, float | None]]:
    kinds = (nn.BatchNorm2d, nn.LayerNorm)
    return [(m.eps, getattr(m, "momentum", None)) for m in network.modules() if isinstance(m, kinds)]


def randomise(network: nn.Module) -> None:
    """Randomise norms and biases, so that each of them affects the logits."""
    for tensor in network.state_dict().values():
        if tensor.ndim == 1:
            nn.init.uniform_(tensor, 0.5, 1.5)


def image(config: Config) -> Tensor:
    return torch.rand(1, config.in_chans, config.resolution, config.resolution)


@pytest.mark.parametrize("name", [name for name in EVERY_NAME if name not in OWN_NAMES])
def test_every_baseline_has_timms_names_and_shapes(name: str) -> None:
    with torch.device("meta"):
        ours, theirs = build(baseline(name).baseline), timm.create_model(name)

    assert shapes(ours) == shapes(theirs)
    assert norms(ours) == norms(theirs)


@pytest.mark.parametrize(
    "name",
    [
        *(f"tinynet_{letter}" for letter in "abcde"),
        "efficientnet_b0",
        "efficientnet_b1",
        "efficientnet_lite0",
        "efficientnet_lite1",
        "mobilenetv1_100",
        "mobilenetv1_100h",
        "mobilenetv2_050",
        "mobilenetv2_110d",
        "mobilenetv3_large_075",
        "mobilenetv3_small_050",
        "mobilenetv3_small_100",
        "mnasnet_050",
        "semnasnet_075",
        "mnasnet_small",
        "ghostnet_050",
        "ghostnet_130",
        "resnet18",
        "resnet50",
        "resnext50_32x4d",
        "regnetx_002",
        "regnety_004",
        "convnext_atto",
        "convnext_tiny",
        "lcnet_035",
        "lcnet_100",
        "fbnetc_100",
        "hardcorenas_a",
        "hardcorenas_f",
    ],
)
@torch.inference_mode()
def test_logits_equal_those_of_timms_network(name: str) -> None:
    config = replace(baseline(name).baseline, resolution=64)
    ours, theirs = build(config).eval(), timm.create_model(name).eval()
    randomise(theirs)
    ours.load_state_dict(theirs.state_dict())
    x = image(config)
    logits = ours(x)

    assert logits.isfinite().all()
    assert torch.equal(logits, theirs(x))


def test_config_from_json_builds_same_network() -> None:
    config = SMALL.scale(Multipliers(1.0, 1.5, 0.7))

    restored = Config.from_json(config.to_json())

    assert restored == config
    assert shapes(build(restored)) == shapes(build(config))


@pytest.mark.parametrize("name", SMALLEST_NAMES)
def test_config_from_response_builds_same_network(name: str) -> None:
    config = baseline(name).scale(Multipliers(1.0, 0.7, 0.6))
    response_config = json.loads(json.dumps({**config.to_json(), "timm": families.rebuild_recipe(config)}))

    with torch.device("meta"):
        assert shapes(build(response_config)) == shapes(build(config))


def test_network_has_configured_channels_and_classes() -> None:
    config = replace(SMALL.baseline, in_chans=2, num_classes=7)

    assert build(config).eval()(image(config)).shape == (1, 7)


def test_stages_have_configured_channels_and_repeats() -> None:
    config = SMALL.scale(Multipliers(1.0, 1.5, 0.7))
    network = build(config).eval()
    x = network.bn1(network.conv_stem(image(config)))

    for stage, blocks in zip(config.stages, network.blocks, strict=True):
        x = blocks(x)
        assert (x.shape[1], len(blocks)) == (stage.channels, stage.repeats)


@pytest.mark.parametrize(("activation", "layer"), [("relu", nn.ReLU), ("relu6", nn.ReLU6), ("swish", nn.SiLU)])
def test_network_has_configured_activation(activation: str, layer: type[nn.Module]) -> None:
    network = build(replace(SMALL.baseline, activation=activation))

    assert any(isinstance(m, layer) for m in network.modules())


def test_dropout_and_stochastic_depth_are_off_by_default() -> None:
    config = SMALL.baseline
    x = torch.rand(8, config.in_chans, config.resolution, config.resolution)

    plain, dropping = build(config), build(config, drop_rate=0.5, drop_path_rate=0.5)

    assert torch.equal(plain(x), plain(x))
    assert not torch.equal(dropping(x), dropping(x))


@pytest.mark.parametrize(
    ("name", "rates"),
    [
        pytest.param(name, rates, marks=[pytest.mark.exhaustive] if "drop_rate" in rates else [])
        for name in SMALLEST_NAMES
        for rates in ({"drop_rate": 0.5}, {"drop_path_rate": 0.5})
        if "drop_rate" in rates or not name.startswith(("ghostnet", "mobilenetv1", "lcnet"))  # without stochastic depth
    ],
)
@torch.no_grad()
def test_every_family_applies_dropout_in_training_only(name: str, rates: dict[str, float]) -> None:
    config = replace(baseline(name).baseline, resolution=32)
    x = torch.rand(4, 3, 32, 32)
    plain, dropping = build(config), build(config, **rates)
    randomise(plain)
    dropping.load_state_dict(plain.state_dict())

    assert torch.equal(plain.train()(x), plain(x))
    assert not torch.equal(dropping.train()(x), dropping(x))
    assert torch.equal(dropping.eval()(x), dropping(x))


def random_configs() -> Iterator[Config]:
    """Yield small networks of every family."""
    draw = random.Random(0)
    for architecture in SMALLEST:
        for _ in range(3):
            scaled = architecture.scale(Multipliers(1, draw.uniform(0.3, 1.3), draw.uniform(0.1, 1.2)))
            yield replace(scaled, in_chans=draw.choice([1, 3]), num_classes=draw.randint(1, 100))


WITHOUT_RDW = """
import json, runpy, sys
sys.modules |= {"app": None, "worker": None}  # importing them fails
script, configs = sys.argv[1:]
import torch
rebuild = runpy.run_path(script)["rebuild"]
networks = []
with torch.device("meta"):
    for config in json.load(open(configs)):
        state = rebuild(config["timm"]).state_dict()
        networks.append([[name, list(tensor.shape)] for name, tensor in state.items()])
json.dump(networks, sys.stdout)
"""


@pytest.mark.exhaustive
def test_example_rebuilds_every_family_without_rdw(tmp_path: Path) -> None:
    configs = list(random_configs())
    file = tmp_path / "configs.json"
    file.write_text(json.dumps([{**config.to_json(), "timm": families.rebuild_recipe(config)} for config in configs]))

    command = [sys.executable, "-I", "-c", WITHOUT_RDW, str(REBUILD), str(file)]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=200)

    assert ran.returncode == 0, ran.stderr
    rebuilt = [[(name, shape) for name, shape in network] for network in json.loads(ran.stdout)]
    with torch.device("meta"):
        assert rebuilt == [shapes(build(config)) for config in configs]


def test_rebuild_example_prints_class_and_parameters(tmp_path: Path) -> None:
    config = baseline("regnety_002").scale(Multipliers(0.5, 0.5, 0.5))
    file = tmp_path / "config.json"
    file.write_text(json.dumps({**config.to_json(), "timm": families.rebuild_recipe(config)}))

    ran = subprocess.run(
        [sys.executable, "-I", str(REBUILD), str(file)], cwd=tmp_path, capture_output=True, text=True, timeout=200
    )

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == f"RegNet: {families.network_cost(config).params:,} parameters\n"


@pytest.fixture
def spnasnet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Config]:
    """The baseline of a family in an additional file, which is the example of the documentation."""
    (example,) = re.findall(r"^```python\n(.*?)^```", BASELINES_DOC.read_text(), re.MULTILINE | re.DOTALL)
    (tmp_path / "spnasnet.py").write_text(example)
    monkeypatch.setattr(families, "__path__", [*families.__path__, str(tmp_path)])
    families.families.cache_clear()
    families.baselines.cache_clear()
    yield baseline("spnasnet_100").baseline
    families.families.cache_clear()
    families.baselines.cache_clear()
    sys.modules.pop("app.scaling.families.spnasnet")
    delattr(families, "spnasnet")


def test_additional_file_adds_a_family(spnasnet: Config) -> None:
    with torch.device("meta"):
        ours, theirs = build(spnasnet), timm.create_model("spnasnet_100")

    assert "spnasnet_100" in baselines()
    assert shapes(ours) == shapes(theirs)
    assert norms(ours) == norms(theirs)


@pytest.mark.parametrize("multipliers", [Multipliers(1, 1, 1), Multipliers(0.3, 1.6, 0.45)])
def test_added_family_costs_what_fvcore_counts(spnasnet: Config, multipliers: Multipliers) -> None:
    config = replace(baseline("spnasnet_100").scale(multipliers), resolution=64)
    cost, counts = families.network_cost(config), count_config(config)

    assert counts.by_operator == {operator: n for operator, n in cost.by_operator.items() if n}
    assert (counts.params, counts.activations) == (cost.params, cost.activations)


def test_unbuildable_config_is_rejected() -> None:
    with pytest.raises(InvalidNetwork):
        build(replace(SMALL.baseline, stem=replace(SMALL.baseline.stem, stride=1)))
