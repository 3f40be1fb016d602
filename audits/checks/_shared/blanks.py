"""Blanks of images and fills that change answers: what `blank_proof` and `blank_attack` share."""

from collections.abc import Sequence
from typing import Annotated, ClassVar, NamedTuple, Self

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from audits.checks._shared.blank_pictures import CAPTIONS, STEPS
from audits.checks._shared.fill import recognise
from audits.checks._shared.forms import columns_form, shown_form
from audits.checks.base import Check
from audits.checks.context import AuditContext, Unit
from audits.checks.part_form import Array
from audits.evidence.codec import Part
from audits.strict import Count
from fillblanks.bounds.attack import Cases, Worst, pgd, random_fills, random_search
from fillblanks.masks import grid_shape, keys, to_pixels

_SHARE = 7  # of the shorter side: 4 pixels of 28
_CHOSEN = -10  # draws of masks use keys 0, 1, ..., other checks those from -4 to -9
_UNIT_IMAGES = 4


class BlankCheck(Check):
    """Base of the checks that ask whether what stands in a blank can change the answer."""

    asks_reference: ClassVar[bool] = False
    patch_size: Count | None = Field(
        default=None, description="pixels of a blank; default a seventh of the shorter side"
    )
    blanks: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=8, description="blanks of each image, patches of the grid drawn by the seed"
    )
    steps: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=20, description="steps of the search for a fill that changes the answer"
    )
    restarts: Annotated[int, Field(ge=1, le=100)] = Field(
        default=4, description="how often the search begins anew"
    )

    def captions(self) -> tuple[str, ...]:
        return CAPTIONS

    def settled(self, shape: tuple[int, int, int]) -> Self:
        return self.model_copy(update={"patch_size": self.size(shape)})

    def size(self, shape: tuple[int, int, int]) -> int:
        """Pixels of a blank's side in images of this shape (C, H, W)."""
        return self.patch_size or max(1, round(min(shape[1:]) / _SHARE))

    def impossible(self, shape: tuple[int, int, int]) -> str:
        if self._patches(shape) > 1:
            return ""
        return (
            f"{self.name}: Expected a patch_size below the longer side of an image of "
            f"{shape[1]}x{shape[2]}, got {self.patch_size}, which is all of it."
        )

    def _patches(self, shape: tuple[int, int, int]) -> int:
        rows, columns = grid_shape(*shape[1:], self.size(shape))
        return rows * columns

    def count(self, shape: tuple[int, int, int]) -> int:
        """How many blanks of each image are tried."""
        return min(self.blanks, self._patches(shape))

    @property
    def tries(self) -> int:
        """Fills that are tried in a case by the search, and as many at random."""
        return self.restarts * (self.steps + 1)

    def unit_images(self, audit: AuditContext) -> int:
        return _UNIT_IMAGES

    def passes(self, images: int) -> int:
        return images * (1 + 2 * self.blanks * self.tries)

    def chosen_blanks(self, audit: AuditContext, unit: Unit) -> Tensor:
        """The patches that are blank in turn, int64 (n, b): of each image its own, in order."""
        images = torch.tensor(unit.indices)
        drawn = keys(
            audit.seed, images, torch.full_like(images, _CHOSEN), self._patches(audit.shape)
        )
        return drawn.argsort(1)[:, : self.count(audit.shape)].sort(1).values

    def attacked(self, audit: AuditContext, unit: Unit) -> "Attacked":
        """The unit's cases, image by image, and the worst fills that were found."""
        images = audit.images.tensor(unit.indices)
        read = recognise(audit, images, torch.ones(len(images), dtype=torch.bool))
        blank = self.chosen_blanks(audit, unit)
        cases = self._cases(audit, unit, images, torch.from_numpy(read), blank)
        by_chance = random_fills(audit.classifier, cases, tries=self.tries, chunk=audit.plan.chunk)
        worst = self._searched(audit, cases, by_chance)
        part: Part = {
            "index": np.array(unit.indices),
            "label": audit.images.labels[list(unit.indices)],
            "read": read,
            "blank": blank.numpy(),
        }
        for name, found in (("random", by_chance), ("worst", worst)):
            part[f"{name}_read"] = found.read.view(blank.shape).numpy()
            part[f"{name}_margin"] = found.margins.view(blank.shape).numpy()
        return Attacked(cases, worst, part)

    def _cases(
        self, audit: AuditContext, unit: Unit, images: Tensor, read: Tensor, blank: Tensor
    ) -> Cases:
        count, patches = blank.shape[1], self._patches(audit.shape)
        masks = torch.nn.functional.one_hot(blank.flatten(), patches)
        return Cases(
            images.repeat_interleave(count, 0),
            to_pixels(masks.bool(), *audit.shape[1:], self.size(audit.shape)),
            # An image without an answer is no case; the search needs a class all the same.
            read.clamp(min=0).repeat_interleave(count),
            torch.tensor(unit.indices).repeat_interleave(count),
            blank.flatten(),
            audit.seed,
        )

    def _searched(self, audit: AuditContext, cases: Cases, start: Worst) -> Worst:
        classifier, chunk = audit.classifier, audit.plan.chunk
        if classifier.has_gradient(classifier.to_input(cases.images[:1])):
            return pgd(
                classifier,
                cases,
                steps=self.steps,
                restarts=self.restarts,
                start=start,
                chunk=chunk,
            )
        return random_search(classifier, cases, tries=self.tries, start=start, chunk=chunk)

    def spent(self, parts: Sequence[Part]) -> int:
        """The number of passes of random fills and the search."""
        cases = sum(part["blank"].size for part in parts)
        return sum(len(part["read"]) for part in parts) + 2 * cases * self.tries

    def attack_form(self, audit: AuditContext, unit: Unit) -> dict[str, Array]:
        """The form of the arrays of `Attacked.part`, and of the pictures."""
        both, last = (len(unit.indices), self.count(audit.shape)), len(audit.classes) - 1
        found = {
            f"{name}_{what}": Array("int", both, -1, last)
            if what == "read"
            else Array("float", both)
            for name in ("random", "worst")
            for what in ("read", "margin")
        }
        return {
            **columns_form(audit, unit, "read"),
            "blank": Array("int", both, 0, self._patches(audit.shape) - 1),
            **found,
            **shown_form(audit, unit, len(STEPS)),
            "shown_read": Array(
                "int", (len(set(unit.shown).intersection(unit.indices)),), -1, last
            ),
        }


class Attacked(NamedTuple):
    """The cases of n images with b blanks each, and the worst fills that were found.

    `part` has `index`, `label` and `read`, int64 (n,), `blank`, int64 (n, b), the patch of the
    grid, and (n, b) each `random_read`, `random_margin`, `worst_read`, `worst_margin`. Of an image
    that has no answer, the cases are of class 0 and say nothing.
    """

    cases: Cases
    worst: Worst
    part: Part
