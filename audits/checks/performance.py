"""Performance: accuracy and F1 of the model on images without blanks."""

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
import pandas as pd
import torch

from audits.checks._fill import recognise
from audits.checks._forms import columns_form
from audits.checks._images import class_in, picture
from audits.checks.base import Check, Needs
from audits.checks.context import AuditContext, Unit
from audits.checks.part_form import Array
from audits.evidence.codec import Part
from audits.evidence.evidence import Evidence, Picture, Seen
from audits.evidence.f1 import scores
from audits.evidence.metric import DefaultBounds, Metric, Pairing

_UNIT_IMAGES = 1000
_LEAST_ACCURACY = 0.5  # a model that is wrong more often than right must not pass
_MOST_DROP = 0.02


class Performance(Check):
    """Accuracy, macro and weighted F1 on the labelled images, by scikit-learn."""

    kind: Literal["performance"] = "performance"
    version: ClassVar[int] = 3
    asks_reference: ClassVar[bool] = False
    needs: ClassVar[Needs] = "predictions"
    plain_name: ClassVar[str] = "Real images"
    how_to_read: ClassVar[tuple[str, ...]] = (
        "The model names the class of each image as it is, without blanks.",
        "These figures say how often the model is right. They do not say what it looks at.",
    )

    def declared_metrics(self, reference: bool) -> dict[str, Metric]:
        return {
            "accuracy": Metric(
                "images named right",
                clause="names {} of the images right",
                pairing=Pairing("predicted", "accuracy"),
                bounds=DefaultBounds(min=_LEAST_ACCURACY, max_drop=_MOST_DROP),
            ),
            "f1_macro": Metric(
                "macro F1",
                pairing=Pairing("predicted", "f1_macro"),
                bounds=DefaultBounds(max_drop=_MOST_DROP),
            ),
            "f1_weighted": Metric("weighted F1", pairing=Pairing("predicted", "f1_weighted")),
        }

    def unit_images(self, audit: AuditContext) -> int:
        return _UNIT_IMAGES

    def passes(self, images: int) -> int:
        return images

    def measure(self, audit: AuditContext, unit: Unit) -> Part:
        predicted = []
        for at in range(0, len(unit.indices), audit.plan.chunk):
            images = audit.images.tensor(unit.indices[at : at + audit.plan.chunk])
            everywhere = torch.ones(len(images), dtype=torch.bool)
            predicted.append(recognise(audit, images, everywhere))
        return {
            "index": np.array(unit.indices),
            "label": audit.images.labels[list(unit.indices)],
            "predicted": np.concatenate(predicted),
        }

    def part_form(self, audit: AuditContext, unit: Unit) -> dict[str, Array]:
        return columns_form(audit, unit, "predicted")

    def conclude(self, audit: AuditContext, parts: Sequence[Part]) -> Evidence:
        columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        table = pd.DataFrame(columns).set_index("index")
        declared = self.declared_metrics(reference=False)
        found = scores(columns["label"], columns["predicted"])
        right = found["accuracy"].value
        return Evidence(
            check=self.name,
            sentence=f"The model names {right:.1%} of {len(table)} images right.",
            metrics={name: declared[name].measured(e) for name, e in found.items()},
            images=table,
            examples=self._examples(audit, table),
            passes=len(table),
        )

    def _examples(self, audit: AuditContext, table: pd.DataFrame) -> tuple[Picture, ...]:
        """An image of each class that pictures show, with the class that the model predicts."""
        found = []
        for index in self._first_of_classes(audit):
            label, predicted = int(audit.images.labels[index]), class_in(table, index, "predicted")
            image = picture(audit.images.tensor([index])[0])
            seen = Seen("image", index, label, predicted)
            found.append(Picture(f"{self.name}/{label}", 0, image, "image", seen=seen))
        return tuple(found)
