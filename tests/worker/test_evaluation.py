"""Scores of networks with known outputs."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.worker.support import images
from worker.data.image_store import Images
from worker.data.preprocessing import NetworkInputs, Normalisation
from worker.training.evaluation import ClassificationScore, evaluate


class FixedLogits(nn.Module):
    """Returns given logits in order, in batches of any size."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits, self.position = logits, 0

    def forward(self, x: Tensor) -> Tensor:
        self.position += len(x)
        return self.logits[self.position - len(x) : self.position]


def make_inputs(n: int, classes: int = 10) -> NetworkInputs:
    return NetworkInputs(images(n, classes=classes), 1, 8, Normalisation((0.0,), (1.0,)))


def score_of(network: nn.Module, inputs: NetworkInputs) -> ClassificationScore:
    return evaluate(network, ((inputs[batch], inputs.labels[batch]) for batch in inputs.batches()))


def test_perfect_classifier_scores_1_over_many_batches() -> None:
    inputs = make_inputs(1300)

    score = score_of(FixedLogits(100 * nn.functional.one_hot(inputs.labels, 10).float()), inputs)

    assert (score.top1, score.top5) == (1.0, 1.0)
    assert score.loss == pytest.approx(0, abs=1e-6)


def test_top_5_counts_correct_class_among_five_best() -> None:
    inputs = make_inputs(10)
    second_best, sixth_best = torch.tensor([1.0, 2, 0, 0, 0, 0]), torch.tensor([1.0, 2, 3, 4, 5, 6])
    logits = torch.zeros(10, 10)
    for row, label in enumerate(inputs.labels):
        others = torch.tensor([c for c in range(10) if c != label])[:5]
        logits[row, [int(label), *others]] = second_best if row < 7 else sixth_best

    score = score_of(FixedLogits(logits), inputs)

    assert (score.top1, score.top5) == (0.0, 0.7)


def test_loss_of_uniform_logits_is_log_of_classes() -> None:
    assert score_of(FixedLogits(torch.zeros(20, 10)), make_inputs(20)).loss == pytest.approx(math.log(10))


def test_top_5_of_two_classes_is_1() -> None:
    assert score_of(FixedLogits(torch.zeros(8, 2)), make_inputs(8, classes=2)).top5 == 1.0


@pytest.mark.parametrize("training", [True, False])
def test_training_mode_is_restored(training: bool) -> None:
    network = FixedLogits(torch.zeros(20, 10)).train(training)

    score_of(network, make_inputs(20))

    assert network.training is training


def test_accuracy_of_class_without_images_is_none() -> None:
    part = Images(torch.zeros(4, 1, 2, 2, dtype=torch.uint8), torch.tensor([0, 1, 0, 3]))
    predicted = functional.one_hot(torch.tensor([0, 1, 1, 3]), 4).float()

    score = score_of(FixedLogits(predicted), NetworkInputs(part, 1, 2, Normalisation.from_images(part, 1)))

    assert score.by_class == [0.5, 1.0, None, 1.0]
    assert score.top1 == 0.75


def score_guesses(labels: list[int], guesses: list[int], classes: tuple[str, ...]) -> ClassificationScore:
    logits = functional.one_hot(torch.tensor(guesses), len(classes)).float()
    part = Images(torch.zeros(len(labels), 1, 2, 2, dtype=torch.uint8), torch.tensor(labels))
    inputs = NetworkInputs(part, 1, 2, Normalisation.from_images(part, 1))
    return evaluate(FixedLogits(logits), [(inputs[:], part.labels)], classes)


def test_result_names_classes_and_their_confusions() -> None:
    plain = score_guesses([0, 0, 1, 1, 1, 2], [0, 1, 1, 0, 0, 2], ("cat", "dog", "eel")).to_json()

    assert plain["by_class"][1] == {"class": "dog", "accuracy": pytest.approx(1 / 3), "images": 3}
    assert plain["confusion"] == [[1, 1, 0], [2, 1, 0], [0, 0, 1]]
    assert plain["worst_pairs"] == [
        {"class": "dog", "guessed": "cat", "images": 2},
        {"class": "cat", "guessed": "dog", "images": 1},
    ]


def test_result_of_many_classes_lists_the_worst_and_a_file_has_all(tmp_path: Path) -> None:
    classes = tuple(f"class {number}" for number in range(1000))
    score = score_guesses([*range(1000), 7], [*range(1000), 8], classes)

    plain = score.to_json()
    score.write_files(tmp_path)

    assert plain["by_class"][0] == {"class": "class 7", "accuracy": 0.5, "images": 2}
    assert plain["confusion"] is None
    assert len(json.dumps(plain)) < 4000
    lines = (tmp_path / "confusion.csv").read_text().splitlines()
    assert (lines[0], len(lines)) == ("class,guessed,images", 1002)


@pytest.mark.parametrize(
    ("labels", "guesses", "is_better"),
    [
        ([0, 1] * 50, [0, 1] * 50, True),
        ([0, 1] * 50, [0] * 100, False),
        ([0] * 90 + [1] * 10, [0] * 91 + [1] * 9, True),
        ([0] * 90 + [1] * 10, [0] * 100, False),
        ([0, 1], [0, 1], False),
    ],
    ids=["all right", "one class", "better than the most frequent", "the most frequent", "too few images"],
)
def test_network_is_compared_with_chance(labels: list[int], guesses: list[int], is_better: bool) -> None:
    chance = score_guesses(labels, guesses, ("a", "b")).chance()

    assert chance is not None
    assert chance.is_better is is_better
    assert (chance.warning is None) is is_better
