"""Compared: ways of feeding a model beside the given one, image by image."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from audits.checks._input_doctor.neighbours import Neighbour
from audits.evidence.codec import Part
from audits.evidence.estimate import UNMEASURED, Estimate
from audits.evidence.intervals import CONFIDENCE, bounded_mean, paired_difference, proportion

_AS_CONFIGURED = "as configured"
_GOOD = 0.9  # with an accuracy below it, too few images are worth a word


class Compared:
    """Answers with each neighbour beside those with the given contract.

    The intervals of all gains together hold at 95 % (Bonferroni). `part` has `label` (n,);
    `predicted` and `confidence` (n, 1 + m), first with the given contract, then with each of the m
    neighbours `tried`.
    """

    def __init__(self, part: Part, tried: Sequence[Neighbour]):
        self.part, self.tried = part, tried
        self.names = [one.name for one in tried]
        self.right = part["predicted"] == part["label"][:, None]
        self.level = 1 - (1 - CONFIDENCE) / max(len(self.names), 1)
        self.gains = [self._gain(number) for number in range(len(self.names))]

    def _gain(self, number: int, over: np.ndarray | None = None) -> Estimate:
        others = self.right[:, 0] if over is None else over
        return paired_difference(self.right[:, number + 1], others, self.level)

    @property
    def better(self) -> list[int]:
        """Neighbours that are clearly better than the given contract, the best first."""
        label = self.part["label"]
        commonest = label == np.bincount(label).argmax()
        found = [
            number
            for number, gain in enumerate(self.gains)
            # A model that always gives one answer gains if that becomes a more common class.
            if gain.low > 0 and paired_difference(self.right[:, number + 1], commonest).low > 0
        ]
        return sorted(found, key=lambda number: -self.gains[number].value)

    @property
    def best(self) -> list[int]:
        """The best of them and those that are not clearly worse than it, the likeliest first."""
        better = self.better
        if not better:
            return []
        first = self.right[:, better[0] + 1]
        equal = [n for n in better if n == better[0] or self._gain(n, first).high >= 0]
        # Of neighbours that are about as good, one that contradicts no source is likelier.
        return sorted(equal, key=lambda number: self.tried[number].contradicts)

    @property
    def question(self) -> str:
        """The best neighbour and its cure, if a neighbour is clearly better; else empty."""
        if not self.best:
            return ""
        first, *others = self.best
        gain = self.gains[first]
        told = (
            f"Accuracy is {self.right[:, 0].mean():.2f} as configured, "
            f"{self.right[:, first + 1].mean():.2f} with {self.names[first]}, better by "
            f"{gain.value:.2f} [{gain.low:.2f}, {gain.high:.2f}] ({len(self.right)} images, "
            f"{len(self.names)} neighbours tried): {self.tried[first].cure}."
        )
        if others:
            told += f" Not clearly worse: {', '.join(self.names[n] for n in others)}."
        return told

    @property
    def sentence(self) -> str:
        """The finding if no neighbour is clearly better."""
        own, count = self.right[:, 0], len(self.right)
        told = f"The model names {own.mean():.1%} of {count} images right as configured; "
        if not self.names:
            return told + "no other way of feeding it was tried."
        told += f"none of {len(self.names)} other ways of feeding it is clearly better."
        perfect = paired_difference(np.ones(count, dtype=bool), own, self.level)
        if perfect.low <= 0 and own.mean() < _GOOD:
            told += f" {count} images are too few to find one, even if it were always right."
        return told

    @property
    def table(self) -> pd.DataFrame:
        """A row for each way of feeding: accuracy and gain with intervals, confidence, cure."""
        return pd.DataFrame(list(self._rows()))

    def _rows(self) -> Iterator[dict[str, object]]:
        nothing = Estimate(np.nan, np.nan, np.nan, len(self.right))
        names, cures = [_AS_CONFIGURED, *self.names], ["", *(one.cure for one in self.tried)]
        for number, (name, cure) in enumerate(zip(names, cures, strict=True)):
            accuracy = proportion(self.right[:, number])
            gain = self.gains[number - 1] if number else nothing
            yield {
                "name": name,
                "accuracy": accuracy.value,
                "low": accuracy.low,
                "high": accuracy.high,
                "gain": gain.value,
                "gain_low": gain.low,
                "gain_high": gain.high,
                "confidence": mean_confidence(self.part["confidence"][:, number]).value,
                "cure": cure,
            }


def mean_confidence(confidence: np.ndarray) -> Estimate:
    """The mean, UNMEASURED if a value is NaN: the model only says which class it predicts."""
    known = np.isfinite(confidence).all()
    return bounded_mean(confidence) if known else UNMEASURED
