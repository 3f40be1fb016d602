"""The concepts of one class: what its images are made of inside the network."""

from enum import IntEnum
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from audits.checks._shared.fill import recognise
from audits.checks.context import AuditContext
from audits.errors import NotApplicable
from fillblanks import Classifier
from fillblanks.concepts.cut import Cut, cut
from fillblanks.concepts.dictionary import Dictionary, kept
from fillblanks.concepts.graphs import NotCuttable
from fillblanks.concepts.importance import importances, mean_importances

LEAST_IMAGES = 5
"""Of fewer images no concepts are sought, and into fewer images no patch is put."""

LEAST_KEPT = 0.9
"""A dictionary that keeps a smaller share of predictions does not say what the network uses."""

MOST_RANKED = 20  # images of a class whose Sobol indices are averaged
_EXAMPLES = 8  # images on which the place of the cut is chosen
_SEEDS = 2**32


class State(IntEnum):
    """Whether a class could be tried, and if not, why."""

    TRIED = 0
    FEW = 1
    NOT_FINITE = 2
    LOST = 3
    ALONE = 4


WHY: dict[State, str] = {
    State.TRIED: "",
    State.FEW: f"fewer than {LEAST_IMAGES} images that the model names so",
    State.NOT_FINITE: "values at the cut, or answers, that are not finite or all 0",
    State.LOST: f"concepts that keep less than {LEAST_KEPT:.0%} of predictions",
    State.ALONE: f"fewer than {LEAST_IMAGES} images of other classes that are named otherwise",
}
"""Why a class could not be tried, in words."""


class Untried(Exception):
    """A class cannot be tried."""

    def __init__(self, state: State, kept: np.ndarray | None = None):
        super().__init__(WHY[state])
        self.state = state
        # Whether the concepts keep the prediction of each image, bool (n,); n 0 if unknown.
        self.kept = np.zeros(0, bool) if kept is None else kept


class Seen(NamedTuple):
    """n images of a class that the model names so, at the cut."""

    images: np.ndarray  # indices, int64 (n,)
    values: Tensor  # of the cut, (n, ...)
    codes: Tensor  # float64 (n, places, r)


class Learnt(NamedTuple):
    """The concepts of a class, the most important first, and the images that they come from."""

    seen: Seen
    dictionary: Dictionary
    importance: np.ndarray  # value, low, high, float64 (r, 3)
    kept: np.ndarray  # whether the concepts keep the prediction, bool (n,)


_CUTS: WeakKeyDictionary[Classifier, tuple[bytes, Cut]] = WeakKeyDictionary()


def opened(audit: AuditContext, pool: np.ndarray) -> Cut:
    """The audited network, cut at a place that is chosen on the first images of `pool`.

    The cut of a constant classifier is kept. Raises NotApplicable if the network cannot be cut.
    """
    classifier = audit.classifier
    # torch.export takes no batch of one image.
    given = classifier.to_input(audit.images.tensor(np.resize(pool[:_EXAMPLES], _EXAMPLES)))
    name = given.cpu().numpy().tobytes()
    if classifier in _CUTS and _CUTS[classifier][0] == name:
        return _CUTS[classifier][1]
    try:
        with classifier.steady():
            found = cut(classifier.net, classifier.normalised(given))
    except NotCuttable as error:
        raise NotApplicable(f"The network cannot be cut in two halves: {error}") from error
    if classifier.constant:
        _CUTS[classifier] = name, found
    return found


def predicted(audit: AuditContext, indices: np.ndarray) -> np.ndarray:
    """The predicted class of each image, int64 (n,), -1 for none."""
    images = audit.images.tensor(indices)
    return recognise(audit, images, torch.ones(len(images), dtype=torch.bool))


def learn(audit: AuditContext, found: Cut, images: np.ndarray, label: int, concepts: int) -> Learnt:
    """The concepts of a class, from images of it that the model names so.

    Raises Untried if there are none to be had.
    """
    values = _values(audit, found, images)
    vectors, seed = found.vectors(values), audit.seed % _SEEDS
    if not vectors.isfinite().all() or not vectors.any():
        raise Untried(State.NOT_FINITE)
    dictionary = Dictionary.of(vectors, concepts, seed=seed)
    codes = dictionary.codes(vectors)
    keeps = keeps_predictions(audit, found, values, dictionary, codes)
    if keeps.mean() < LEAST_KEPT:
        raise Untried(State.LOST, keeps)
    few = slice(MOST_RANKED)
    with audit.classifier.steady():
        indices = importances(
            found,
            values[few],
            codes[few],
            dictionary,
            label,
            seed=seed,
            chunk=audit.plan.chunk,
        )
    if not indices.isfinite().all():
        raise Untried(State.NOT_FINITE)
    importance = mean_importances(indices)
    order = np.argsort(-importance[:, 0], kind="stable")
    ordered = Dictionary(dictionary.rows[order], dictionary.channels)
    return Learnt(Seen(images, values, codes[:, :, order]), ordered, importance[order], keeps)


def look(audit: AuditContext, found: Cut, images: np.ndarray, dictionary: Dictionary) -> Seen:
    """Other images of the class, in the concepts of `dictionary`. Raises Untried."""
    if len(images) < LEAST_IMAGES:
        raise Untried(State.FEW)
    values = _values(audit, found, images)
    if not found.vectors(values).isfinite().all():
        raise Untried(State.NOT_FINITE)
    return Seen(images, values, dictionary.codes(found.vectors(values)))


def keeps_predictions(
    audit: AuditContext, found: Cut, values: Tensor, dictionary: Dictionary, codes: Tensor
) -> np.ndarray:
    """Whether the prediction of each image stays if its concepts take its place, bool (n,)."""
    with audit.classifier.steady():
        hits = kept(found, values, dictionary.vectors(codes), chunk=audit.plan.chunk)
    result: np.ndarray = hits.numpy()
    return result


def random_dictionary(audit: AuditContext, like: Dictionary) -> Dictionary:
    """A dictionary of the same form, drawn by the audit's seed."""
    return Dictionary.random(like, seed=audit.seed % _SEEDS)


def _values(audit: AuditContext, found: Cut, indices: np.ndarray) -> Tensor:
    classifier, rows = audit.classifier, []
    with classifier.steady(), torch.no_grad():
        for at in range(0, len(indices), audit.plan.chunk):
            images = audit.images.tensor(indices[at : at + audit.plan.chunk])
            rows.append(found.encode(classifier.normalised(classifier.to_input(images))))
    return torch.cat(rows)
