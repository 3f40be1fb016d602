"""The maps of some images by all versions of a model, each with masks of its own."""

import numpy as np
import torch
from torch import Tensor

from audits.checks._shared.fill import recognise
from audits.checks._shared.maps import DRAWS, Method
from audits.checks.context import AuditContext, Unit
from audits.checks.part_form import Array
from audits.errors import NotApplicable
from audits.evidence.codec import Part
from fillblanks import Classifier
from fillblanks.attribution.asking import probabilities_of
from fillblanks.attribution.patch_means import patch_means
from fillblanks.attribution.permuted import has_weights, permuted_weights
from fillblanks.masks import keys

_FIRST_SEED = -(1 << 40)  # the draw whose key is the seed of version 0; masks use 0, 1, ...
_AGAIN, _PERMUTED = -2, -1  # their numbers, as of versions


def trial(audit: AuditContext, unit: Unit, method: Method) -> Part:
    """The map of each image's label by the model and by each version, as means of patches.

    `map`, `again` (with other masks) and `permuted` (with permuted weights, if there are any) are
    float64 (n, P) of the model, `maps` (n, V, P) of the versions. `read` (n,) and `reads` (n, V)
    are the classes that they give; a model that gives an image none has a map of 0 there. All masks
    are drawn apart, for masks in common would make noise agree. Raises NotApplicable without
    another version.
    """
    if not audit.versions:
        raise NotApplicable(
            "Expected another version than the audited one under versions, got none."
        )
    images = audit.images.tensor(unit.indices)
    everywhere = torch.ones(len(images), dtype=torch.bool)
    labels = torch.from_numpy(audit.images.labels[list(unit.indices)])

    def made(by: Classifier, seed: int, read: np.ndarray) -> np.ndarray:
        given = by.to_input(images)
        with by.steady():
            maps = method.maps(
                probabilities_of(by),
                given,
                labels.to(given.device),
                seed=seed,
                indices=torch.tensor(unit.indices, device=given.device),
                chunk=audit.plan.chunk,
            )
        values: np.ndarray = patch_means(maps, method.patch_size).cpu().numpy()
        return np.where(read[:, None] >= 0, values, 0)

    own, drawn = audit.classifier, method.name in DRAWS
    read, *reads = (recognise(audit, images, everywhere, by) for by in (own, *audit.versions))
    found = {"map": made(own, audit.seed, read)}
    found["again"] = made(own, seed_of(audit.seed, _AGAIN), read) if drawn else found["map"]
    if has_weights(own.net):
        with permuted_weights(own.net, audit.seed):
            found["permuted"] = made(own, seed_of(audit.seed, _PERMUTED), read)
    each = [
        made(by, seed_of(audit.seed, number), reads[number])
        for number, by in enumerate(audit.versions)
    ]
    return {
        "index": np.array(unit.indices),
        "label": labels.numpy(),
        "read": read,
        "reads": np.stack(reads, 1),
        **found,
        "maps": np.stack(each, 1),
    }


def seed_of(seed: int, number: int) -> int:
    """The seed of the masks of a version, by its number; a pure function of the audit's seed."""
    one: Tensor = keys(seed, torch.tensor([0]), torch.tensor([_FIRST_SEED - number]), 1)
    return int(one[0, 0]) & (1 << 63) - 1


def trial_form(audit: AuditContext, unit: Unit, patches: int) -> dict[str, Array]:
    """The form of the arrays of a trial, but for index, label and read."""
    n, versions = len(unit.indices), len(audit.version_names)
    one = Array("float", (n, patches), -1)
    return {
        "reads": Array("int", (n, versions), -1, len(audit.classes) - 1),
        "map": one,
        "again": one,
        "permuted": Array("float", (n, patches), -1, optional=True),
        "maps": Array("float", (n, versions, patches), -1),
    }


def map_count(method: Method, versions: int, *, permuted: bool) -> int:
    """How many maps are made of an image."""
    return 1 + (method.name in DRAWS) + permuted + versions
