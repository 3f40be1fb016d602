"""Shifts: does the model still name images right if they move by a few pixels?"""

from collections.abc import Sequence
from typing import ClassVar, Literal, Self

import numpy as np
import torch
from pydantic import Field

from audits.checks._shared.fill import recognise, table_of
from audits.checks._shared.forms import columns_form
from audits.checks._shared.moves import default_shift, moved, room
from audits.checks.base import Check, Needs
from audits.checks.context import AuditContext, Unit
from audits.checks.part_form import Array
from audits.evidence.codec import Part
from audits.evidence.evidence import Evidence
from audits.evidence.intervals import paired_difference, proportion
from audits.evidence.metric import DefaultBounds, Metric, Pairing
from audits.strict import Count

_UNIT_IMAGES = 1000
_MOST_FALL = 0.2  # chosen after good networks were measured, see docs/exam.md


class Shifts(Check):
    """Accuracy on images moved by a few pixels, in pairs with the same images where they are.

    Each image has one random shift, drawn by the seed, of up to `pixels` rows and columns. Pixels
    that come in at an edge are a mirror image of those behind it (reflection padding). A side of
    one pixel does not move. Small shifts change a network's answers more often than a person's
    (Azulay and Weiss 2019, JMLR 20:184; Engstrom et al. 2019, ICML), but they change the accuracy
    of a good network little. A network that only knows the pictures of the audit loses its
    accuracy.
    """

    kind: Literal["shifts"] = "shifts"
    version: ClassVar[int] = 1
    asks_reference: ClassVar[bool] = False
    needs: ClassVar[Needs] = "predictions"
    plain_name: ClassVar[str] = "Moved images"
    how_to_read: ClassVar[tuple[str, ...]] = (
        "Each image is moved by a few pixels and named again.",
        "A model that knows these very pictures by heart loses its accuracy; a good one hardly "
        "does.",
    )
    pixels: Count | None = Field(
        default=None,
        description="largest shift along each axis; default 1 for each 28 pixels of the shorter "
        "side, at least 1",
    )

    def declared_metrics(self, reference: bool) -> dict[str, Metric]:
        return {
            "accuracy": Metric("moved images named right", pairing=Pairing("moved", "accuracy")),
            "accuracy_unmoved": Metric("the same images named right, unmoved"),
            "fall": Metric(
                "accuracy lost if images move",
                better="lower",
                unit="difference",
                bounds=DefaultBounds(max=_MOST_FALL),
                clause="loses {} of accuracy if images move by a few pixels",
            ),
            "agreement": Metric("images whose predicted class stays if they move"),
        }

    def settled(self, shape: tuple[int, int, int]) -> Self:
        return self.model_copy(update={"pixels": self.pixels or default_shift(*shape[1:])})

    def impossible(self, shape: tuple[int, int, int]) -> str:
        least, pixels = room(*shape[1:]), self.settled(shape).pixels or 1
        if pixels < least:
            return ""
        if not least:
            return f"{self.name}: expected images of more than one pixel, which can move"
        return (
            f"{self.name}, pixels {pixels}: expected less than the shorter side, which is {least}"
        )

    def unit_images(self, audit: AuditContext) -> int:
        return _UNIT_IMAGES

    def passes(self, images: int) -> int:
        return 2 * images

    def measure(self, audit: AuditContext, unit: Unit) -> Part:
        pixels = self.settled(audit.shape).pixels or 1
        found: dict[str, list[np.ndarray]] = {"unmoved": [], "moved": []}
        for at in range(0, len(unit.indices), audit.plan.chunk):
            indices = unit.indices[at : at + audit.plan.chunk]
            images = audit.images.tensor(indices)
            everywhere = torch.ones(len(images), dtype=torch.bool)
            shifted = moved(images, audit.seed, indices, pixels)
            found["unmoved"].append(recognise(audit, images, everywhere))
            found["moved"].append(recognise(audit, shifted, everywhere))
        return {
            "index": np.array(unit.indices),
            "label": audit.images.labels[list(unit.indices)],
            **{name: np.concatenate(predicted) for name, predicted in found.items()},
        }

    def part_form(self, audit: AuditContext, unit: Unit) -> dict[str, Array]:
        return columns_form(audit, unit, "unmoved", "moved")

    def conclude(self, audit: AuditContext, parts: Sequence[Part]) -> Evidence:
        table = table_of(parts, ("label", "unmoved", "moved"))
        label, before, after = (table[name].to_numpy() for name in ("label", "unmoved", "moved"))
        right, still = before == label, after == label
        declared = self.declared_metrics(reference=False)
        estimates = {
            "accuracy": proportion(still),
            "accuracy_unmoved": proportion(right),
            "fall": paired_difference(right, still),
            # A prediction of -1 (logits not finite) agrees with nothing.
            "agreement": proportion((before == after) & (after >= 0)),
        }
        pixels = self.settled(audit.shape).pixels
        return Evidence(
            check=self.name,
            sentence=(
                f"The model names {right.mean():.1%} of {len(table)} images right, and "
                f"{still.mean():.1%} if they move by up to {pixels} pixel{'s' * (pixels != 1)}."
            ),
            metrics={name: declared[name].measured(e) for name, e in estimates.items()},
            images=table,
            passes=self.passes(len(table)),
        )
