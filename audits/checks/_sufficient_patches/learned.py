"""The order `learned`: gates that networks give, which images that are not judged have trained."""

from dataclasses import replace
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from audits.checks._shared.halves import expect_pool, pool_cell
from audits.checks.context import AuditContext, Unit
from audits.errors import NotApplicable
from fillblanks import Classifier
from fillblanks.concepts.graphs import NotCuttable
from fillblanks.concepts.learned_gates import BATCH, LearnedGates, learned_gates
from fillblanks.concepts.states import states_of

LEAST_IMAGES = 100
"""Gates of fewer images are not trained."""

_PASSES = "training_passes"
_EXAMPLES = 64  # images on which the place of the cut is chosen, and by which states are scaled


class Parted(NamedTuple):
    """The audit's images: those that are judged and those that train gates. They share none."""

    judged: np.ndarray  # int64 (n,), in the order in which they are drawn
    training: np.ndarray  # int64 (m,), sorted


def parted(audit: AuditContext, judged: int | None, training: int) -> Parted:
    """At most `training` images behind the first `judged`, which are drawn by the seed.

    Without `judged` the images that do not train are judged, at least half of all.
    """
    order = audit.images.sampled_order(audit.seed)
    count = max(len(order) - training, -(-len(order) // 2)) if judged is None else judged
    return Parted(order[:count], np.sort(order[count:][:training]))


def with_training(
    audit: AuditContext, units: list[Unit], training: np.ndarray, steps: int
) -> list[Unit]:
    """The units, each with the digest of the images that train gates.

    A process trains once for all of its units, so the first unit alone has the passes of this.
    """
    images = pool_cell(audit, training)
    spent = [training_passes(steps), *[0] * len(units)]
    return [
        replace(unit, cell=(*unit.cell, (_PASSES, passes), *images))
        for unit, passes in zip(units, spent, strict=False)
    ]


def training_passes(steps: int) -> int:
    """The number of passes by which gates are trained: each image whole, and behind its gates."""
    return _EXAMPLES + 2 * BATCH * steps


def own_training(unit: Unit) -> int:
    """The number of passes by which gates are trained, if they are told with this unit."""
    return int(dict(unit.cell).get(_PASSES, 0))


class Training(NamedTuple):
    """Everything that decides what gates become."""

    images: np.ndarray  # int64 (m,), indices
    blank: Tensor
    patch_size: int
    divergence: float
    steps: int


_TRAINED: WeakKeyDictionary[Classifier, tuple[object, LearnedGates]] = WeakKeyDictionary()


def trained(audit: AuditContext, unit: Unit, training: Training) -> LearnedGates:
    """The gates of the audited network. Those of a constant classifier are trained once.

    The classifier must be steady. Raises NotApplicable if the network cannot be cut or if the
    images are too few, and AuditError if they are not those that the unit names.
    """
    count = len(training.images)
    if count < LEAST_IMAGES:
        raise NotApplicable(
            f"Expected {LEAST_IMAGES} images or more that train gates and are not judged, got "
            f"{count}. Give more images, judge fewer of them, or take order: best."
        )
    expect_pool(audit, training.images, unit)
    classifier = audit.classifier
    name = (audit.seed, unit.cell[-1], *training[2:], tuple(training.blank.flatten().tolist()))
    if classifier in _TRAINED and _TRAINED[classifier][0] == name:
        return _TRAINED[classifier][1]

    def images(rows: Tensor) -> Tensor:
        return classifier.to_input(audit.images.tensor(training.images[rows.numpy()]))

    try:
        states = states_of(
            classifier, images(torch.arange(min(_EXAMPLES, count))), training.patch_size
        )
    except NotCuttable as error:
        raise NotApplicable(
            f"The network cannot be cut, which order: learned needs. Take order: best. {error}"
        ) from error
    found = learned_gates(
        states,
        images,
        count,
        blank=training.blank,
        patch_size=training.patch_size,
        most_divergence=training.divergence,
        seed=audit.seed,
        steps=training.steps,
    )
    if classifier.constant:
        _TRAINED[classifier] = name, found
    return found
