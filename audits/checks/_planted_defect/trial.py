"""One trial of `planted_defect`: the fill of a class, the place where it turns most images."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from audits.checks._shared.fill import recognise
from audits.checks._shared.halves import Half, named_otherwise
from audits.checks.context import AuditContext, Unit
from fillblanks import Classifier
from fillblanks.attribution.shared_fill import (
    BATCH,
    shared_fill,
    steps_of,
    window_logits,
    with_window,
)
from fillblanks.attribution.windows import window_places
from fillblanks.classifier import predicted_class

FITTED, SCREENED, SCORED, BEST = 300, 8, 100, 4
"""Images that make a fill at most; of these, those that show the best windows; other images that
score these windows, at most; and how many windows they score."""


class Trial(NamedTuple):
    """What is put into images: a window of `size` pixels, or the whole image at `opacity`."""

    size: int | None
    opacity: float

    @classmethod
    def of(cls, unit: Unit) -> "Trial":
        cell = dict(unit.cell)
        return cls(cell["size"] or None, cell["opacity"])

    @property
    def stride(self) -> int:
        """Pixels between two windows whose effect is compared."""
        return 1 if self.size is None else (self.size + 1) // 2

    def places(self, shape: tuple[int, int, int]) -> Tensor:
        """The top left pixels of these windows, int64 (P, 2)."""
        if self.size is None:
            return torch.zeros((1, 2), dtype=torch.int64)
        return window_places(*shape[1:], self.size, self.stride)

    def pattern_shape(self, shape: tuple[int, int, int]) -> tuple[int, int, int]:
        return shape if self.size is None else (shape[0], self.size, self.size)

    def told(self, shape: tuple[int, int, int]) -> str:
        """Words for the pattern: "5x5 pattern"."""
        if self.size is not None:
            return f"{self.size}x{self.size} pattern"
        return f"pattern over the whole image, at an opacity of {self.opacity:g},"


def fitted_and_scored(half: Half, audit: AuditContext, label: int) -> np.ndarray:
    """Images of other classes in a random order: those that make the fill, then those that score.

    At most a third of them score.
    """
    others = half.others(audit, label)
    scored = min(SCORED, len(others) // 3)
    return others[: min(len(others), FITTED + scored)]


def scored_count(unit: Unit) -> int:
    """How many of the unit's images score; they are its last ones."""
    count = len(unit.indices)
    return min(SCORED, count // 3)


def unit_passes(unit: Unit, places: int) -> int:
    """Passes of one unit: its fill, all windows on a few images, the best ones on others."""
    scored = scored_count(unit)
    screened = places * min(SCREENED, len(unit.indices) - scored) if places > 1 else 0
    return (
        steps_of(dict(unit.cell)["size"] or None) * BATCH
        + screened
        + (1 + min(BEST, places)) * scored
    )


class Found(NamedTuple):
    """The fill of a class at the window where it turns most images."""

    pattern: Tensor  # (C, size, size), or (C, H, W) for a whole image
    place: Tensor  # int64 (2,)
    heat: Tensor  # (P,), the mean probability of the class, by window
    plain: np.ndarray  # predicted classes of the scoring images as they are, int64 (m,)
    read: np.ndarray  # the same with the pattern, int64 (m,)


def search(
    audit: AuditContext, classifier: Classifier, unit: Unit, label: int, trial: Trial
) -> Found:
    """Makes the fill of a class and finds its best window.

    The first images of the unit make the fill and show the best windows; which of these is the
    best is seen on the last ones, on which the fill has not been made.
    """
    scored = scored_count(unit)
    fitted = audit.images.tensor(unit.indices[: len(unit.indices) - scored])
    others = audit.images.tensor(unit.indices[len(unit.indices) - scored :])
    fill = shared_fill(
        classifier,
        fitted,
        label,
        size=trial.size,
        opacity=trial.opacity,
        start=0.0 if trial.size else 0.5,
        seed=audit.seed,
        plan=audit.plan,
    )
    places = trial.places(audit.shape)

    def logits(images: Tensor, where: Tensor) -> Tensor:
        found = window_logits(
            classifier,
            images,
            fill,
            where,
            size=trial.size,
            opacity=trial.opacity,
            plan=audit.plan,
        )
        if not found.isfinite().all():
            raise ValueError(
                "Expected finite logits, got NaN or infinity for an image with a pattern in it. "
                "Check the weights, mean and std."
            )
        return found

    heat = torch.ones(1)
    best = torch.tensor([0])
    if len(places) > 1:
        heat = logits(fitted[:SCREENED], places).softmax(2)[:, :, label].mean(1)
        best = heat.topk(min(BEST, len(places))).indices
    answers = logits(others, places[best])
    read = predicted_class(answers.flatten(0, 1)).view(answers.shape[:2])
    probability = answers.softmax(2)[:, :, label].mean(1)
    hits = (read == label).float().mean(1)
    which = int((hits + probability / len(others) / 2).argmax())
    place = places[best[which]]
    plain = recognise(audit, others, torch.ones(len(others), dtype=torch.bool), classifier)
    return Found(cut(fill, place, trial), place, heat, plain, read[which].numpy())


def cut(fill: Tensor, place: Tensor, trial: Trial) -> Tensor:
    """The window of a fill (C, H, W) at a place: (C, size, size)."""
    if trial.size is None:
        return fill
    row, column = place.tolist()
    return fill[:, row : row + trial.size, column : column + trial.size]


def put(images: Tensor, patterns: Tensor, places: Tensor, trial: Trial) -> Tensor:
    """`images` (n, C, H, W) with a pattern (C, size, size) each, at its own place, int64 (n, 2)."""
    changed = []
    for image, pattern, place in zip(images, patterns, places, strict=True):
        whole = pattern
        if trial.size is not None:
            row, column = place.tolist()
            whole = torch.zeros_like(image)
            whole[:, row : row + trial.size, column : column + trial.size] = pattern
        changed.append(with_window(image[None], whole, place, trial.size, trial.opacity))
    return torch.cat(changed)


def recipients(audit: AuditContext, half: Half, label: int, wanted: int) -> np.ndarray:
    """At most `wanted` images of other classes that the model names, and not as `label`."""
    return named_otherwise(audit, half.others(audit, label), label, wanted)
