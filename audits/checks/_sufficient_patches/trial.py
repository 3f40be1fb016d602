"""One trial of `sufficient_patches`: the fewest patches that suffice, and the same by chance."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from audits.checks._sufficient_patches.learned import Training, own_training, trained
from audits.checks.context import AuditContext, Unit
from audits.checks.part_form import Array
from audits.errors import NotApplicable
from audits.evidence.codec import Part
from fillblanks.attribution.gates import gate_values
from fillblanks.attribution.patch_means import centre_patches, random_patches
from fillblanks.attribution.sufficient import (
    LogProbabilities,
    Sufficient,
    fewest_patches,
    log_probabilities_of,
    patch_costs,
)
from fillblanks.classifier import Classifier
from fillblanks.concepts.learned_gates import LearnedGates
from fillblanks.masks import to_pixels

OrderName = Literal["best", "gates", "occlusion", "learned"]
Found = Literal["gates", "occlusion", "learned"]
ORDERS: tuple[Found, ...] = ("gates", "occlusion", "learned")
BEST = ORDERS[:2]
"""The orders that `best` tries."""

RANDOM = 4
"""Random orders of each image; a multiple of the numbers of orders that a search may have."""


class Search(NamedTuple):
    """How the fewest patches are sought."""

    order: OrderName
    patch_size: int  # pixels
    divergence: float  # nats, at most
    steps: int  # of gates, or of the training of networks that give them
    blank_value: float | Literal["mean"]

    def blank(self, classifier: Classifier) -> Tensor:
        """The blank pixel, float (1, C or 1, 1, 1). Raises NotApplicable if it is no colour."""
        mean = classifier.mean
        value = mean if self.blank_value == "mean" else torch.full_like(mean, self.blank_value)
        if not ((value >= 0) & (value <= 1)).all():
            raise NotApplicable(
                f"Expected a mean in [0, 1] as colour of blanks, got {value.flatten().tolist()}. "
                "Give the check a blank_value."
            )
        return value.view(1, -1, 1, 1)

    def orders(self, gradient: bool) -> tuple[Found, ...]:
        """The orders that are tried. Raises NotApplicable if they need a gradient that is not."""
        if self.order == "best":
            return BEST if gradient else ("occlusion",)
        if self.order != "occlusion" and not gradient:
            raise NotApplicable(
                "Expected a model with a gradient at its input, which gates need, got one without. "
                "Take order: occlusion."
            )
        return (self.order,)

    def order_passes(self, orders: Sequence[Found], patches: int) -> int:
        """The number of passes by which these orders of one image are found, without training."""
        found: dict[Found, int] = {"gates": 1 + self.steps, "occlusion": 1 + patches, "learned": 1}
        return sum(found[order] for order in orders)

    def passes(self, patches: int) -> tuple[int, int]:
        """The least and the largest number of passes for one image."""
        one_of: dict[OrderName, tuple[tuple[Found, ...], tuple[Found, ...]]] = {
            "best": (("occlusion",), BEST),
            "gates": (("gates",), ("gates",)),
            "occlusion": (("occlusion",), ("occlusion",)),
            "learned": (("learned",), ("learned",)),
        }
        least, most = one_of[self.order]
        # Beside orders: the image, its rest, and the blank of the unit. A scan looks at the image
        # and at some of its views.
        return (
            2 + self.order_passes(least, patches) + 2 * (len(least) + 1 + RANDOM),
            3 + self.order_passes(most, patches) + (1 + patches) * (len(most) + 1 + RANDOM),
        )


class _Unit(NamedTuple):
    """The images of a unit as the model takes them, and how their patches are sought."""

    classifier: Classifier
    images: Tensor  # float (n, C, H, W)
    indices: Tensor  # int64 (n,)
    blank: Tensor
    search: Search
    seed: int
    chunk: int
    gates: LearnedGates | None = None  # for the order `learned`

    @property
    def ask(self) -> LogProbabilities:
        return log_probabilities_of(self.classifier)

    def values(self, order: Found) -> Tensor:
        """An order of the patches of each image, float64 (n, P): the highest first."""
        if order == "occlusion":
            return patch_costs(
                self.ask,
                self.images,
                blank=self.blank,
                patch_size=self.search.patch_size,
                chunk=self.chunk,
            )
        if order == "learned":
            assert self.gates is not None
            return self.gates.values(self.images, self.chunk)
        return gate_values(
            self.classifier,
            self.images,
            blank=self.blank,
            patch_size=self.search.patch_size,
            most_divergence=self.search.divergence,
            seed=self.seed,
            indices=self.indices,
            steps=self.search.steps,
            chunk=self.chunk,
        )

    def fewest(self, values: Tensor) -> Sufficient:
        """The fewest patches of each image, taken in the order of `values`, verified."""
        return fewest_patches(
            self.ask,
            self.images,
            values,
            blank=self.blank,
            patch_size=self.search.patch_size,
            most_divergence=self.search.divergence,
            chunk=self.chunk,
        )

    def views(self, kept: Tensor) -> Tensor:
        """The images with patches, bool (n, P), alone, and without them: (n, 2, C, H, W)."""
        height, width = self.images.shape[2:]
        seen = to_pixels(kept, height, width, self.search.patch_size)
        alone = torch.where(seen, self.images, self.blank)
        return torch.stack([alone, torch.where(seen, self.blank, self.images)], dim=1)

    def named(self, images: Tensor) -> np.ndarray:
        """The predicted class of each image, int64 (n,), -1 for none."""
        classes = [self.classifier.predict(some) for some in images.split(self.chunk)]
        found: np.ndarray = torch.cat(classes).cpu().numpy()
        return found


class Trial(NamedTuple):
    """The patches that suffice, and what was measured of them."""

    views: Tensor  # the images with these patches alone, and without them, (n, 2, C, H, W)
    part: Part


def trial(audit: AuditContext, unit: Unit, search: Search, training_images: np.ndarray) -> Trial:
    """The fewest patches of the unit's images, beside random orders and that from the centre.

    `training_images` are the indices, int64 (m,), of those that train gates for `learned`.
    """
    classifier = audit.classifier
    images = classifier.to_input(audit.images.tensor(unit.indices))
    indices = torch.tensor(unit.indices, device=images.device)
    blank = search.blank(classifier)
    own = _Unit(classifier, images, indices, blank, search, audit.seed, audit.plan.chunk)
    with classifier.steady():
        orders = search.orders(classifier.has_gradient(images))
        if "learned" in orders:
            training = Training(
                training_images, blank, search.patch_size, search.divergence, search.steps
            )
            own = own._replace(gates=trained(audit, unit, training))
        tried = [own.fewest(own.values(order)) for order in orders]
        centre = centre_patches(*audit.shape[1:], search.patch_size).to(images.device)
        from_centre = own.fewest(centre.expand(len(images), -1))
        by_chance = [
            own.fewest(random_patches(audit.seed, indices, len(centre), number))
            for number in range(RANDOM)
        ]
        which, kept, told = _fewer(tried)
        views = own.views(kept)
        part: Part = {
            "index": np.array(unit.indices),
            "label": audit.images.labels[list(unit.indices)],
            "read": own.named(images),
            "alone": own.named(blank.expand_as(images[:1])).repeat(len(images)),
            "rest": own.named(views[:, 1]),
            "order": np.array([ORDERS.index(orders[at]) for at in which.tolist()]),
            "orders": np.array(len(orders)),
            "kept": kept.cpu().numpy().astype(np.int64),
            "divergence": told.cpu().numpy(),
            "random": torch.stack([one.fewest for one in by_chance], 1).cpu().numpy(),
            "centre": from_centre.fewest.cpu().numpy(),
        }
    scanned = sum(one.passes for one in (*tried, from_centre, *by_chance))
    ordered = len(images) * search.order_passes(orders, len(centre))
    part["passes"] = np.array(scanned + ordered + 2 * len(images) + 1 + own_training(unit))
    return Trial(views.cpu(), part)


def _fewer(tried: list[Sufficient]) -> tuple[Tensor, Tensor, Tensor]:
    """Of each image the number of the order that needs the fewest patches, and its findings.

    These are the kept patches, bool (n, P), and their divergence, float64 (n,). Of equal orders the
    first is taken.
    """
    which = torch.stack([one.fewest for one in tried]).argmin(0)
    rows = torch.arange(len(which), device=which.device)
    kept = torch.stack([one.kept for one in tried])[which, rows]
    return which, kept, torch.stack([one.divergence for one in tried])[which, rows]


def trial_form(unit: Unit, patches: int) -> dict[str, Array]:
    """The form of the arrays that a trial measures, but for index, label and classes."""
    n = len(unit.indices)
    return {
        "order": Array("int", (n,), 0, len(ORDERS) - 1),
        "orders": Array("int", (), 1, len(ORDERS)),
        "divergence": Array("float", (n,), 0),
        "kept": Array("int", (n, patches), 0, 1),
        "random": Array("int", (n, RANDOM), 0, patches),
        "centre": Array("int", (n,), 0, patches),
        "passes": Array("int", (), 0),
    }
