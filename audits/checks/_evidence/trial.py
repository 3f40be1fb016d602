"""One trial of `evidence`: the maps of some images, and whether they hold, beside two nulls."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from audits.checks._shared.fill import recognise
from audits.checks._shared.maps import BASELINES, Method, baseline_of
from audits.checks.context import AuditContext, Unit
from audits.checks.part_form import Array
from audits.evidence.codec import Part
from fillblanks import Classifier
from fillblanks.attribution.asking import Probabilities, probabilities_of
from fillblanks.attribution.faithfulness import (
    SHARE,
    STEPS,
    SUBSETS,
    deletion,
    insertion,
    losses,
    mu_fidelity,
)
from fillblanks.attribution.patch_means import centre_patches, patch_means, random_patches
from fillblanks.attribution.permuted import has_weights, permuted_weights
from fillblanks.attribution.ranks import is_flat, spearman
from fillblanks.masks import blank_count

MAPS = ("map", "random", "centre")
"""The columns of the figures: the map of the method, and the two nulls."""

AREAS = {"deletion": deletion, "insertion": insertion}
FIDELITY = "mu_fidelity"
FIGURES = (*AREAS, FIDELITY)


def figure_names() -> tuple[str, ...]:
    """The arrays of a part that hold figures of maps, (n, 3): one for a figure and a baseline."""
    return tuple(f"{figure}_{baseline}" for figure in FIGURES for baseline in BASELINES)


def faithfulness_passes() -> int:
    """The number of passes by which the maps of one image are judged."""
    return len(BASELINES) * (len(MAPS) * len(AREAS) * (STEPS + 1) + SUBSETS + 1)


def expect_subsets(patches: int) -> None:
    """Raises ValueError if there are too few patches for the subsets of muFidelity."""
    blank_count(SHARE, patches)


class Trial(NamedTuple):
    """The maps of n images and what was measured of them."""

    maps: Tensor  # float64 (n, H, W), all 0 if the model gave no class
    part: Part


class _Asked(NamedTuple):
    """The images of a unit as the model takes them."""

    images: Tensor  # float (n, C, H, W)
    labels: Tensor  # int64 (n,): the class that each map is of
    indices: Tensor
    found: Tensor  # bool (n,): whether the model gives a class

    def maps(self, ask: Probabilities, audit: AuditContext, method: Method) -> Tensor:
        made = method.maps(
            ask,
            self.images,
            self.labels,
            seed=audit.seed,
            indices=self.indices,
            chunk=audit.plan.chunk,
        )
        return made.where(self.found[:, None, None], 0)


def trial(audit: AuditContext, unit: Unit, method: Method) -> Trial:
    """Maps of the unit's images for the classes that the model gives them, and their figures."""
    classifier = audit.classifier
    images = classifier.to_input(audit.images.tensor(unit.indices))
    read = recognise(audit, images, torch.ones(len(images), dtype=torch.bool))
    named = torch.from_numpy(read).to(images.device)
    indices = torch.tensor(unit.indices, device=images.device)
    asked = _Asked(images, named.clamp(min=0), indices, named >= 0)
    ask = probabilities_of(classifier)
    with classifier.steady():
        maps = asked.maps(ask, audit, method)
        values = patch_means(maps, method.patch_size)
        nulls = null_maps(audit.shape[1:], method.patch_size, audit.seed, indices)
        figures = figures_of(
            ask,
            images,
            asked.labels,
            (values, *nulls),
            patch_size=method.patch_size,
            seed=audit.seed,
            indices=indices,
            chunk=audit.plan.chunk,
        )
    part: Part = {
        "index": np.array(unit.indices),
        "label": audit.images.labels[list(unit.indices)],
        "read": read,
        "map": values.cpu().numpy(),
        **figures,
        **_sanity(audit, classifier, asked, method, values),
    }
    return Trial(maps.cpu(), part)


def figures_of(
    ask: Probabilities,
    images: Tensor,
    labels: Tensor,
    maps: Sequence[Tensor],
    *,
    patch_size: int,
    seed: int,
    indices: Tensor,
    chunk: int,
) -> dict[str, np.ndarray]:
    """The figures of several maps of each image, float64 (n, len(maps)), by `figure_names`.

    `maps` are values of patches, float (n, P) each.
    """
    found = {}
    for name in BASELINES:
        behind = baseline_of(name, images)
        lost = losses(
            ask,
            images,
            labels,
            patch_size=patch_size,
            seed=seed,
            indices=indices,
            baseline=behind,
            chunk=chunk,
        )
        columns = {
            figure: [
                area(ask, images, labels, one, patch_size=patch_size, baseline=behind, chunk=chunk)
                for one in maps
            ]
            for figure, area in AREAS.items()
        }
        columns[FIDELITY] = [mu_fidelity(lost, one) for one in maps]
        for figure, each in columns.items():
            found[f"{figure}_{name}"] = torch.stack(each, 1).cpu().numpy()
    return found


def null_maps(
    shape: tuple[int, int], patch_size: int, seed: int, indices: Tensor
) -> tuple[Tensor, Tensor]:
    """A random map of each image and a map of the centre, float64 (n, P), as `MAPS` has them."""
    centre = centre_patches(*shape, patch_size).to(indices.device)
    random = random_patches(seed, indices, len(centre))
    return random, centre.expand_as(random)


def _sanity(
    audit: AuditContext, classifier: Classifier, asked: _Asked, method: Method, values: Tensor
) -> Part:
    """The rank correlation of each map with that of permuted weights, if there are weights.

    NaN if one of both has one value everywhere, as that of a network which gives no answer then.
    """
    if not has_weights(classifier.net):
        return {}
    with permuted_weights(classifier.net, audit.seed), classifier.steady():
        others = asked.maps(probabilities_of(classifier), audit, method)
    other = patch_means(others, method.patch_size)
    found = spearman(values, other).where(~is_flat(values) & ~is_flat(other), torch.nan)
    return {"sanity": found.cpu().numpy()}


def trial_form(audit: AuditContext, unit: Unit, patches: int) -> dict[str, Array]:
    """The form of the arrays that a trial measures, but for index, label and read."""
    n = len(unit.indices)
    form = {
        name: Array("float", (n, len(MAPS)), -1 if name.startswith(FIDELITY) else 0, 1)
        for name in figure_names()
    }
    return {
        **form,
        "map": Array("float", (n, patches), -1),
        "sanity": Array("float", (n,), -1, 1, optional=True),
    }
