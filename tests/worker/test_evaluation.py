"""Scores of networks whose answers are known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.worker.support import images
from worker.evaluation import Score, evaluate
from worker.images import Inputs, Normalisation
from worker.stored import Images


class Answering(nn.Module):
    """Gives prepared answers, in order, however the images are batched."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits, self.at = logits, 0

    def forward(self, x: Tensor) -> Tensor:
        self.at += len(x)
        return self.logits[self.at - len(x) : self.at]


def inputs(n: int, classes: int = 10) -> Inputs:
    return Inputs(images(n, classes=classes), 1, 8, Normalisation(0.0, 1.0))


def scored(network: nn.Module, given: Inputs) -> Score:
    return evaluate(network, ((given[batch], given.labels[batch]) for batch in given.batches()))


def test_a_network_that_knows_everything_scores_1_over_many_batches() -> None:
    given = inputs(1300)

    score = scored(Answering(100 * nn.functional.one_hot(given.labels, 10).float()), given)

    assert (score.top1, score.top5) == (1.0, 1.0)
    assert score.loss == pytest.approx(0, abs=1e-6)


def test_top_5_counts_the_right_class_among_the_five_best() -> None:
    given = inputs(10)
    second_best, sixth_best = torch.tensor([1.0, 2, 0, 0, 0, 0]), torch.tensor([1.0, 2, 3, 4, 5, 6])
    logits = torch.zeros(10, 10)
    for row, label in enumerate(given.labels):
        others = torch.tensor([c for c in range(10) if c != label])[:5]
        logits[row, [int(label), *others]] = second_best if row < 7 else sixth_best

    score = scored(Answering(logits), given)

    assert (score.top1, score.top5) == (0.0, 0.7)


def test_a_network_that_knows_nothing_has_the_logarithm_of_the_classes_as_loss() -> None:
    assert scored(Answering(torch.zeros(20, 10)), inputs(20)).loss == pytest.approx(math.log(10))


def test_two_classes_have_a_top_5_of_1() -> None:
    assert scored(Answering(torch.zeros(8, 2)), inputs(8, classes=2)).top5 == 1.0


@pytest.mark.parametrize("training", [True, False])
def test_the_networks_mode_is_put_back(training: bool) -> None:
    network = Answering(torch.zeros(20, 10)).train(training)

    scored(network, inputs(20))

    assert network.training is training


def test_accuracy_by_class_is_that_of_each_class_and_none_where_there_is_no_image() -> None:
    of = Images(torch.zeros(4, 1, 2, 2, dtype=torch.uint8), torch.tensor([0, 1, 0, 3]))
    guessed = functional.one_hot(torch.tensor([0, 1, 1, 3]), 4).float()

    score = scored(Answering(guessed), Inputs(of, 1, 2, Normalisation.of(of)))

    assert score.by_class == [0.5, 1.0, None, 1.0]
    assert score.top1 == 0.75
