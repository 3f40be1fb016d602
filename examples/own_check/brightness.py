"""A check of its own: how much accuracy a model loses when images get darker."""

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
import torch

from audits.plugin import (
    Array,
    AuditContext,
    Check,
    Evidence,
    Metric,
    Needs,
    Null,
    Pairing,
    Part,
    Ratio,
    Unit,
    paired_difference,
    proportion,
    recognise,
    table_of,
)


class Brightness(Check):
    """Accuracy on darkened images, and how far it is below that on the images as they are."""

    kind: Literal["brightness"] = "brightness"
    version: ClassVar[int] = 1  # raise it whenever the same config would give other figures
    needs: ClassVar[Needs] = "predictions"
    asks_reference: ClassVar[bool] = False
    share: Ratio = 0.5

    def declared_metrics(self, reference: bool) -> dict[str, Metric]:
        return {
            "accuracy": Metric(
                "darkened images named right",
                null=Null("the most common class, always"),
                pairing=Pairing("dark", "accuracy"),
            ),
            "loss": Metric("accuracy lost in the dark", better="lower", unit="difference"),
        }

    def unit_images(self, audit: AuditContext) -> int:
        return 1000  # the work that may be lost when an audit is killed

    def passes(self, images: int) -> int:
        return 2 * images

    def measure(self, audit: AuditContext, unit: Unit) -> Part:
        images = audit.images.tensor(unit.indices)
        everywhere = torch.ones(len(images), dtype=torch.bool)
        return {
            "index": np.array(unit.indices),
            "label": audit.images.labels[list(unit.indices)],
            "plain": recognise(audit, images, everywhere),
            "dark": recognise(audit, images * self.share, everywhere),
        }

    def part_form(self, audit: AuditContext, unit: Unit) -> dict[str, Array]:
        n, last = len(unit.indices), len(audit.classes) - 1
        of_data = {name: Array("int", (n,)) for name in ("index", "label")}
        return of_data | {name: Array("int", (n,), -1, last) for name in ("plain", "dark")}

    def conclude(self, audit: AuditContext, parts: Sequence[Part]) -> Evidence:
        table = table_of(parts, ("label", "plain", "dark"))
        label = table["label"].to_numpy()
        plain, dark = ((table[name] == label).to_numpy() for name in ("plain", "dark"))
        most_common = float(np.bincount(label).max() / len(label))
        declared = self.declared_metrics(reference=False)
        accuracy = proportion(dark)
        return Evidence(
            check=self.name,
            sentence=f"At {self.share:.0%} brightness, {accuracy.value:.1%} of images are right.",
            metrics={
                "accuracy": declared["accuracy"].measured(accuracy, null=most_common),
                "loss": declared["loss"].measured(paired_difference(plain, dark)),
            },
            images=table,
            passes=self.passes(len(table)),
        )
