"""Trainings that start from trained weights, learn from a teacher, or train a part of the network."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from app.core.settings import Settings
from app.data.recipes import PRESETS, Recipe
from app.data.weight_sources import Distillation, WeightSource
from app.scaling import families
from app.scaling.network import Architecture, Config, Multipliers
from tests.scaling.baselines import SMALLEST, SMALLEST_NAMES
from tests.worker.support import CPU, SMALL, TINY, digits, load_weights, train_small
from tests.worker.test_training import comparable, equal_weights, last_state, stop_at
from worker.data.loading import Splits
from worker.data.preprocessing import NetworkInputs, Normalisation
from worker.networks import build
from worker.training.classification import Classification
from worker.training.loop import TrainingStopped
from worker.training.optimizer import create_optimizer
from worker.training.pretrained import Pretrained, SourceError, load
from worker.training.pretrained import load_weights as load_source
from worker.training.teacher import get_teacher

WIDE = replace(SMALL.baseline, resolution=12)
NARROW = replace(SMALL.scale(Multipliers(1, 1, 0.5)), resolution=8)
LEARNS = Recipe(epochs=4, batch_size=32, lr=0.01, ema_decay=0.9)
SOURCE = WeightSource(file="teacher.safetensors", sha256="0" * 64)
DISTILS = Distillation(teacher=SOURCE, temperature=3, weight=0.7)
FEATURES = Distillation(teacher=SOURCE, match="features", weight=0.7)
INHERITS = Recipe(epochs=2, batch_size=32, lr=0.005, dropout=0.2, ema_decay=0.9, shift=0.1, init=SOURCE)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Pretrained:
    """A wider network, trained on the digits at another px, in a file as rdw writes them."""
    folder = tmp_path_factory.mktemp("trained")
    train_small(folder, LEARNS, config=WIDE, splits=digits(600))
    file = folder / "weights.safetensors"
    metadata = {"config": json.dumps(WIDE.to_json()), "normalisation": json.dumps({"mean": [78.0], "sd": [96.0]})}
    save_file(load_weights(folder), file, metadata)
    return load_source(file)


def test_inherited_weights_learn_faster(trained: Pretrained, tmp_path: Path) -> None:
    recipe = LEARNS.model_copy(update={"epochs": 2})
    scratch = train_small(tmp_path / "scratch", recipe, config=NARROW)
    inherited = train_small(tmp_path / "inherited", recipe, config=NARROW, init=trained)

    assert inherited.accuracy > scratch.accuracy
    assert scratch.init is None
    assert inherited.init is not None
    assert inherited.init["sha256"] == trained.sha256
    assert inherited.init["share"] == 1
    assert 0.1 < inherited.init["share_of_source"] < 0.6
    assert inherited.init["stages"][1]["channels"] == [8, 12]
    plain = inherited.to_json()
    assert json.loads(json.dumps(plain)) == plain


def test_network_of_the_same_size_starts_where_the_source_ended(trained: Pretrained, tmp_path: Path) -> None:
    recipe = Recipe(epochs=1, batch_size=32, lr=1e-6)

    assert train_small(tmp_path, recipe, config=WIDE, init=trained).accuracy > 0.7


@pytest.mark.parametrize(
    "options",
    [{"distill": DISTILS}, {"distill": DISTILS, "randaugment": 5.0, "crop": 0.6, "flip": True}, {"distill": FEATURES}],
    ids=["plain", "augmented", "features"],
)
def test_student_of_another_family_learns_from_its_teacher(
    options: dict[str, Any], trained: Pretrained, tmp_path: Path
) -> None:
    student = replace(families.baseline("mobilenetv3_small_100").adapt(10, 1).scale(Multipliers(0.2, 0.4, 0.2)))
    recipe = Recipe(epochs=1, batch_size=32, lr=0.005, **options)

    result = train_small(tmp_path, recipe, config=student, teacher=trained)

    assert load_weights(tmp_path).keys() == build(student).state_dict().keys()
    assert result.teacher is not None
    assert result.teacher["accuracy"] > 0.5
    assert (result.teacher["px"], result.teacher["sha256"]) == ([12, 12], trained.sha256)


def test_teacher_teaches_without_the_labels(trained: Pretrained, tmp_path: Path) -> None:
    splits = digits(700)
    shuffled = splits.train.labels[torch.randperm(len(splits.train), generator=torch.Generator().manual_seed(0))]
    splits = replace(splits, train=replace(splits.train, labels=shuffled))
    recipe = Recipe(epochs=3, batch_size=32, lr=0.01, distill=DISTILS.model_copy(update={"weight": 1.0}))

    assert train_small(tmp_path, recipe, splits=splits, teacher=trained).accuracy > 0.6


def test_loss_is_of_labels_and_teacher_as_in_the_recipe(trained: Pretrained) -> None:
    splits = digits(200)
    recipe = Recipe(label_smoothing=0.0, distill=Distillation(teacher=SOURCE, temperature=3, weight=0.7))
    pretrained = replace(trained, config=WIDE, normalisation=None)
    task = Classification(WIDE, recipe, splits, CPU, teacher=pretrained)
    network = task.build().eval()
    images = NetworkInputs(splits.train, 1, WIDE.resolution, Normalisation.from_images(splits.train, 1))[:]

    loss, _ = task.loss(network, (images, splits.train.labels))

    student, teacher = network(images), trained.network(images)
    labels = functional.cross_entropy(student, splits.train.labels)
    target = (teacher / 3).softmax(1)
    divergence = (target * (target.log() - (student / 3).log_softmax(1))).sum(1).mean()
    assert loss.item() == pytest.approx((0.3 * labels + 0.7 * 9 * divergence).item(), rel=1e-4)
    assert all(not parameter.requires_grad for parameter in trained.network.parameters())


def test_features_are_matched_through_a_projection_that_is_trained(trained: Pretrained) -> None:
    splits = digits(200)
    recipe = Recipe(label_smoothing=0.0, distill=FEATURES)
    task = Classification(TINY, recipe, splits, CPU, teacher=replace(trained, config=WIDE, normalisation=None))
    network = task.build().eval()
    images, labels = task_images(splits, TINY), splits.train.labels

    loss, _ = task.loss(network, (images, labels))

    trainable = task.trainable(network)
    extra = {n: p for n, p in trainable.named_parameters() if all(p is not own for own in network.parameters())}
    weight, bias = extra.values()
    features, target = (
        pooled_features(n, task_images(splits, c)) for n, c in ((network, TINY), (trained.network, WIDE))
    )
    assert weight.shape == (target.shape[1], features.shape[1])
    distance = functional.mse_loss(features @ weight.T + bias, target)
    expected = 0.3 * functional.cross_entropy(network(images), labels) + 0.7 * distance
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4)
    trained_ids = {id(p) for group in create_optimizer(trainable, recipe).param_groups for p in group["params"]}
    assert {id(weight), id(bias)} < trained_ids


@pytest.mark.parametrize("baseline", SMALLEST, ids=SMALLEST_NAMES)
def test_features_of_every_family_have_the_size_that_the_network_states(baseline: Architecture) -> None:
    config = baseline.adapt(10, 1).scale(Multipliers(0.2, 0.4, 0.2))
    network = build(config).eval()

    assert pooled_features(network, torch.zeros(2, 1, *config.sides)).shape == (2, network.head_hidden_size)


def task_images(splits: Splits, config: Config) -> Tensor:
    return NetworkInputs(splits.train, 1, config.resolution, Normalisation.from_images(splits.train, 1))[:]


def pooled_features(network: Any, images: Tensor) -> Tensor:
    with torch.no_grad():
        features: Tensor = network.forward_head(network.forward_features(images), pre_logits=True)
    return features


def test_colour_teacher_of_other_normalisation_sees_the_same(trained: Pretrained, tmp_path: Path) -> None:
    config = replace(WIDE, in_chans=3)
    network = build(config).eval()
    state = dict(trained.network.state_dict())
    state["conv_stem.weight"] = state["conv_stem.weight"].expand(-1, 3, -1, -1) / 3
    network.load_state_dict(state)
    assert trained.normalisation is not None
    normalisation = type(trained.normalisation)(*(values * 3 for values in ((78.0,), (96.0,))))
    colour = Pretrained("a colour network", "1" * 64, network, config, normalisation)
    recipe = Recipe(epochs=1, batch_size=32, distill=DISTILS)

    results = [train_small(tmp_path / t.sha256, recipe, teacher=t).teacher for t in (trained, colour)]

    assert results[0] is not None
    assert results[1] is not None
    assert results[0]["accuracy"] == results[1]["accuracy"]
    assert results[0]["loss"] == pytest.approx(results[1]["loss"], rel=1e-4)


def test_teacher_of_the_same_contents_is_loaded_once(trained: Pretrained) -> None:
    loaded: list[Pretrained] = []

    def load() -> Pretrained:
        loaded.append(trained)
        return trained

    one = Distillation(teacher=WeightSource(trial="0" * 32, sha256="a" * 64))
    same = Distillation(teacher=WeightSource(file="a copy", sha256="a" * 64))
    other = Distillation(teacher=WeightSource(file="a copy", sha256="b" * 64))

    assert get_teacher(one, load) is get_teacher(same, load)
    assert len(loaded) == 1
    get_teacher(other, load)
    assert len(loaded) == 2


def test_teacher_that_knows_nothing_is_refused(tmp_path: Path) -> None:
    torch.manual_seed(0)
    useless = Pretrained("new weights", "2" * 64, build(TINY), TINY)

    with pytest.raises(SourceError, match=r"new weights.* is no better than chance"):
        train_small(tmp_path, Recipe(epochs=1, distill=DISTILS), teacher=useless)


def test_teacher_of_other_classes_is_refused(trained: Pretrained, tmp_path: Path) -> None:
    config = replace(TINY, num_classes=7)
    recipe = Recipe(epochs=1, distill=DISTILS)
    with pytest.raises(SourceError, match=r"7 classes, the data 10"):
        train_small(tmp_path, recipe, teacher=Pretrained("others", "3" * 64, build(config), config))
    with pytest.raises(SourceError, match="other names"):
        train_small(tmp_path, recipe, teacher=replace(trained, classes=tuple("abcdefghij")))


@pytest.mark.parametrize(
    "recipe",
    [
        pytest.param(INHERITS, marks=pytest.mark.exhaustive),
        INHERITS.model_copy(update={"distill": DISTILS, "freeze_epochs": 1, "layer_decay": 0.7}),
        INHERITS.model_copy(update={"distill": FEATURES, "layer_decay": 0.7}),
        pytest.param(
            PRESETS["tinynet-ra"].model_copy(
                update={"epochs": 3, "batch_size": 32, "warmup_epochs": 1.0, "distill": DISTILS, "init": SOURCE}
            ),
            marks=pytest.mark.exhaustive,
        ),
    ],
    ids=["init", "all", "features", "paper"],
)
def test_resumed_training_is_bit_identical(recipe: Recipe, trained: Pretrained, tmp_path: Path) -> None:
    def run(folder: str, should_stop: Callable[[], bool] = lambda: False):  # type: ignore[no-untyped-def]
        teacher = trained if recipe.distill else None
        return train_small(
            tmp_path / folder, recipe, config=NARROW, init=trained, teacher=teacher, should_stop=should_stop
        )

    uninterrupted = run("uninterrupted")
    for batch in (9, 4):
        with pytest.raises(TrainingStopped):
            run("stopped", stop_at(batch))
        torch.manual_seed(123)  # as in a new process
    resumed = run("stopped")

    assert comparable(resumed) == comparable(uninterrupted)
    assert resumed.init is not None
    assert equal_weights(load_weights(tmp_path / "stopped"), load_weights(tmp_path / "uninterrupted"))
    assert last_state(tmp_path / "stopped") == last_state(tmp_path / "uninterrupted")


def test_checkpoint_of_another_teacher_is_not_used(trained: Pretrained, tmp_path: Path) -> None:
    recipe = Recipe(epochs=1, batch_size=32, distill=DISTILS)
    train_small(tmp_path / "used", recipe, teacher=trained)
    other = replace(trained, sha256="4" * 64)

    again = train_small(tmp_path / "used", recipe, teacher=other)

    assert again.teacher is not None
    assert again.teacher["sha256"] == other.sha256


def test_linear_probe_trains_the_classifier_alone(trained: Pretrained, tmp_path: Path) -> None:
    recipe = LEARNS.model_copy(update={"epochs": 2, "freeze_epochs": 2, "ema_decay": None, "weight_decay": 0.1})

    result = train_small(tmp_path, recipe, config=WIDE, init=trained)

    before, after = trained.network.state_dict(), load_weights(tmp_path)
    parameters = [name for name, _ in trained.network.named_parameters()]
    changed = {name for name in parameters if not torch.equal(before[name], after[name])}
    assert changed == {"classifier.weight", "classifier.bias"}
    assert result.accuracy > 0.7


def test_body_is_trained_after_it_was_frozen(trained: Pretrained, tmp_path: Path) -> None:
    frozen = LEARNS.model_copy(update={"epochs": 2, "freeze_epochs": 1, "ema_decay": None})
    states: list[dict[str, Tensor]] = []

    def record(_: object) -> None:
        states.append(torch.load(tmp_path / "checkpoint.pt", weights_only=True)["network"])

    train_small(tmp_path, frozen, config=WIDE, init=trained, on_progress=record)

    one, two = states[0], states[-1]
    name, mean = "blocks.1.0.conv_pw.weight", "blocks.1.0.bn1.running_mean"
    assert torch.equal(one[name], trained.network.state_dict()[name])
    assert not torch.equal(two[name], one[name])
    assert not torch.equal(two[mean], one[mean])


def test_layer_decay_lowers_the_rate_of_early_layers() -> None:
    network = build(SMALL.baseline)
    optimizer = create_optimizer(network, Recipe(layer_decay=0.5))
    scales = {
        name: group["lr_scale"]
        for group in optimizer.param_groups
        for name, parameter in network.named_parameters()
        if any(parameter is other for other in group["params"])
    }
    assert scales["classifier.weight"] == 1
    assert scales["conv_stem.weight"] < scales["blocks.1.0.conv_pw.weight"] < scales["conv_head.weight"]


def save(file: Path, network: nn.Module, metadata: dict[str, str] | None = None) -> Path:
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, file, metadata)
    return file


def test_file_of_stock_timm_is_read_as_the_architecture_that_is_given(tmp_path: Path) -> None:
    config = replace(TINY, num_classes=4, in_chans=3)
    found = load_source(save(tmp_path / "plain.safetensors", build(config)), architecture=TINY)

    assert found.config == config
    assert not found.network.training


@pytest.mark.parametrize(
    "damage", ["cut", "changed header", "pickle", "other architecture", "no architecture", "other"]
)
def test_unusable_files_are_refused(damage: str, tmp_path: Path) -> None:
    file = save(tmp_path / "weights.safetensors", build(TINY))
    content = file.read_bytes()
    sha256, architecture = None, TINY
    if damage == "cut":
        file.write_bytes(content[:-5])
    elif damage == "changed header":
        file.write_bytes(content[:8] + b"[" + content[9:])
    elif damage == "pickle":
        torch.save(build(TINY).state_dict(), file)
    elif damage == "other architecture":
        architecture = replace(TINY, head=replace(TINY.head, channels=64))
    elif damage == "other":
        sha256 = "5" * 64

    message = {
        "cut": "damaged",
        "changed header": "damaged",
        "pickle": "not a safetensors file; others, such as pickles, are never read",
        "other architecture": "of another architecture .*conv_head.weight",
        "no architecture": "give its `architecture`",
        "other": "has changed since the trial was requested",
    }[damage]
    with pytest.raises(SourceError, match=message):
        load_source(file, sha256, None if damage == "no architecture" else architecture)


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the hub's client keeps what it has downloaded, while there is no network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    return tmp_path


def test_weights_of_timm_are_read_from_the_cache(hub_cache: Path, settings: Settings) -> None:
    config = families.baseline("lcnet_050").baseline
    original, revision = build(config), "0" * 40
    repository = hub_cache / "models--timm--lcnet_050.ra2_in1k"
    for folder in ("refs", f"snapshots/{revision}"):
        (repository / folder).mkdir(parents=True)
    (repository / "refs" / "main").write_text(revision)
    save(repository / "snapshots" / revision / "model.safetensors", original)

    found = load(settings, WeightSource(timm="lcnet_050"))

    assert found.config == config
    assert equal_weights(found.network.state_dict(), original.state_dict())
    assert found.source == "timm's weights of lcnet_050 (ra2_in1k)"
    assert found.normalisation is not None
    assert found.normalisation.mean == pytest.approx((123.675, 116.28, 103.53))


def test_weights_that_the_hub_does_not_give_are_reported(hub_cache: Path, settings: Settings) -> None:
    with pytest.raises(SourceError, match=r"timm's weights of lcnet_050 could not be loaded .* put the weights below"):
        load(settings, WeightSource(timm="lcnet_050"))
