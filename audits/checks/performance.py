"""Performance: accuracy and F1 of the model on images without blanks, by class and by slice."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import pandas as pd
import torch
from pydantic import BeforeValidator, Field, field_validator

from audits.checks._performance import classes as of_classes
from audits.checks._performance import slices as of_slices
from audits.checks._performance.classes import classes_table, lowest_recall, mistakes, told_worst
from audits.checks._performance.slices import Slices
from audits.checks._shared.forms import columns_form
from audits.checks._shared.images import class_in, picture
from audits.checks._shared.readings import confidence
from audits.checks._shared.several import one_or_several
from audits.checks.base import Check, Needs
from audits.checks.context import AuditContext, Unit
from audits.checks.part_form import Array
from audits.evidence.by_class import by_class
from audits.evidence.codec import Part
from audits.evidence.evidence import Evidence, Picture, Seen
from audits.evidence.f1 import scores
from audits.evidence.metric import DefaultBounds, Metric, Pairing
from audits.strict import Count
from fillblanks.classifier import predicted_class

_UNIT_IMAGES = 1000
_LEAST_ACCURACY = 0.5  # a model that is wrong more often than right must not pass
_MOST_DROP = 0.02


class Performance(Check):
    """Accuracy, macro and weighted F1 on the labelled images, by scikit-learn.

    `recall_worst` is the lowest recall of a class; its interval allows for the choice of the worst.
    `slices` names columns of the data's table: the images with one value are a slice, and the worst
    of all slices is judged in the same way.
    """

    kind: Literal["performance"] = "performance"
    version: ClassVar[int] = 4
    asks_reference: ClassVar[bool] = False
    needs: ClassVar[Needs] = "predictions"
    plain_name: ClassVar[str] = "Real images"
    how_to_read: ClassVar[tuple[str, ...]] = (
        "The model names the class of each image as it is, without blanks.",
        "These figures say how often the model is right. They do not say what it looks at.",
        "The worst of several classes or slices looks worse than it is, by chance. The interval of "
        "the metric allows for that, so it is wide.",
        "In the table of classes each interval holds for itself, with 95 %; in that of slices all "
        "hold together.",
    )
    column_words: ClassVar[Mapping[str, str]] = of_classes.COLUMN_WORDS | of_slices.COLUMN_WORDS
    slices: Annotated[
        tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(one_or_several)
    ] = Field(
        default=(),
        description="columns of the data's table, such as camera or site: how often the images "
        "with each value are named right",
    )
    slice_images: Count = Field(
        default=20, description="a slice with fewer images is in the table, but is not judged"
    )

    @field_validator("slices")
    @classmethod
    def _each_once(cls, columns: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(columns)) < len(columns):
            raise ValueError(f"expected each column once, got {list(columns)}")
        return columns

    def data_columns(self) -> tuple[str, ...]:
        return self.slices

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
            "recall_worst": Metric("images of the worst class named right"),
            **(of_slices.declared() if self.slices else {}),
        }

    def unit_identity(self, unit: Unit) -> dict[str, Any]:
        # Slices change no answer of the model.
        exclude = {"images", "label", "slices", "slice_images"}
        return self.model_dump(mode="json", exclude=exclude)

    def unit_images(self, audit: AuditContext) -> int:
        return _UNIT_IMAGES

    def passes(self, images: int) -> int:
        return images

    def measure(self, audit: AuditContext, unit: Unit) -> Part:
        predicted, sure, classifier = [], [], audit.classifier
        for at in range(0, len(unit.indices), audit.plan.chunk):
            images = audit.images.tensor(unit.indices[at : at + audit.plan.chunk])
            with classifier.steady(), torch.no_grad():
                logits = classifier(images.to(classifier.device, classifier.dtype)).cpu()
            predicted.append(predicted_class(logits).numpy())
            sure.append(confidence(logits))
        return {
            "index": np.array(unit.indices),
            "label": audit.images.labels[list(unit.indices)],
            "predicted": np.concatenate(predicted),
            "confidence": np.concatenate(sure),
        }

    def part_form(self, audit: AuditContext, unit: Unit) -> dict[str, Array]:
        sure = {"confidence": Array("float", (len(unit.indices),), 0, 1)}
        return columns_form(audit, unit, "predicted") | sure

    def conclude(self, audit: AuditContext, parts: Sequence[Part]) -> Evidence:
        columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        table = pd.DataFrame(columns).set_index("index")
        label, predicted = columns["label"], columns["predicted"]
        declared = self.declared_metrics(reference=False)
        classes = by_class(label, predicted, len(audit.classes))
        found = scores(label, predicted) | {"recall_worst": lowest_recall(classes)}
        told = f"The model names {found['accuracy'].value:.1%} of {len(table)} images right"
        told += f"{told_worst(classes, audit.classes)}."
        tables = {"classes": classes_table(classes, label, predicted, audit.classes)}
        if self.slices:
            slices = self._slices(audit, table)
            found |= slices.metrics()
            told += f" {slices.sentence()}"
            tables["slices"] = slices.table()
        return Evidence(
            check=self.name,
            sentence=told,
            metrics={name: declared[name].measured(e) for name, e in found.items()},
            images=table,
            tables=tables,
            examples=(*self._examples(audit, table), *mistakes(audit, self.name, table)),
            passes=len(table),
        )

    def _slices(self, audit: AuditContext, table: pd.DataFrame) -> Slices:
        values = {name: audit.images.column(name) for name in self.slices}
        of_images = {name: [own[i] for i in table.index] for name, own in values.items()}
        label, predicted = table["label"].to_numpy(), table["predicted"].to_numpy()
        return Slices.of(of_images, label, predicted, self.slice_images)

    def _examples(self, audit: AuditContext, table: pd.DataFrame) -> tuple[Picture, ...]:
        """An image of each class that pictures show, with the class that the model predicts."""
        found = []
        for index in self._first_of_classes(audit):
            label, predicted = int(audit.images.labels[index]), class_in(table, index, "predicted")
            image = picture(audit.images.tensor([index])[0])
            seen = Seen("image", index, label, predicted)
            found.append(Picture(f"{self.name}/{label}", 0, image, "image", seen=seen))
        return tuple(found)
