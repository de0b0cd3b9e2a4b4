"""Whether a classifier is better than one that has learned nothing."""

from __future__ import annotations

from dataclasses import dataclass

from scipy.stats import binom

_SIGNIFICANCE = 0.05


@dataclass(frozen=True)
class ChanceTest:
    """A one-sided binomial test of the correct guesses against always guessing the most frequent class.

    `accuracy` is that of such guesses, and `p_value` the probability of at least as many correct ones by them.
    """

    accuracy: float
    p_value: float

    @property
    def is_better(self) -> bool:
        return self.p_value < _SIGNIFICANCE

    @property
    def warning(self) -> str | None:
        """Say that the network is no better; None if it is."""
        if self.is_better:
            return None
        return (
            f"The network is no better than chance on the test part: always guessing the most frequent class is right "
            f"for {self.accuracy:.1%} of the images (p = {self.p_value:.2g}). Train longer or at another learning "
            "rate, or check the labels."
        )


def compare_with_chance(correct: int, images: int, most_frequent: int) -> ChanceTest:
    """Test `correct` guesses of `images`, of which `most_frequent` are in the most frequent class."""
    chance = most_frequent / images
    return ChanceTest(chance, float(binom.sf(correct - 1, images, chance)))
