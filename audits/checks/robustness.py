"""Robustness: is the model still right if images are corrupted?"""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import numpy as np
import pandas as pd
import torch
from pydantic import field_validator

from audits.checks._robustness.corruptions import (
    KINDS,
    Corruption,
    Images,
    Strength,
    amount_told,
    corrupted,
)
from audits.checks._robustness.figures import (
    COLUMN_WORDS,
    corruptions_table,
    declared,
    images_table,
    measured,
    sentence,
)
from audits.checks._shared.fill import recognise
from audits.checks._shared.forms import columns_form, shown_form
from audits.checks._shared.images import class_in, picture, sliders
from audits.checks._shared.moves import room
from audits.checks.base import Check, Needs
from audits.checks.context import AuditContext, Unit
from audits.checks.part_form import Array
from audits.evidence.codec import Part
from audits.evidence.evidence import Evidence, Seen
from audits.evidence.metric import Metric

_UNIT_IMAGES = 200


class Robustness(Check):
    """Accuracy on corrupted images, in pairs with the same images as they are.

    Images are corrupted in pixel space, after they were fitted to the model's size and before its
    normalisation: Gaussian noise, Gaussian blur, brightness, contrast, JPEG, shifts and rotations.
    Strengths are the severities 1 to 5 of CIFAR-10-C (Hendrycks and Dietterich 2019, arXiv
    1903.12261). Noise, signs and directions are drawn by seed and image, so that the baseline
    sees the same corrupted images.

    The worst corruption is a selection: its interval is that of the largest fall, from intervals
    that hold for all corruptions at once (Bonferroni).
    """

    kind: Literal["robustness"] = "robustness"
    version: ClassVar[int] = 1
    asks_reference: ClassVar[bool] = False
    needs: ClassVar[Needs] = "predictions"
    plain_name: ClassVar[str] = "Corrupted images"
    how_to_read: ClassVar[tuple[str, ...]] = (
        "Each image is corrupted in several ways, at several strengths, and named again.",
        "The accuracy of a corruption is the mean over its strengths. The table has each strength.",
        "Fall is the accuracy on the images as they are minus that on the same images corrupted.",
    )
    legend: ClassVar[tuple[str, ...]] = (
        "An image of each class, and the same image under each corruption at its largest strength.",
    )
    column_words: ClassVar[Mapping[str, str]] = COLUMN_WORDS
    corruptions: tuple[Corruption, ...] = tuple(KINDS)
    strengths: tuple[Strength, ...] = (1, 3, 5)

    @field_validator("corruptions", "strengths")
    @classmethod
    def _each_once(cls, values: tuple[object, ...]) -> tuple[object, ...]:
        if not values or len(set(values)) < len(values):
            raise ValueError(f"expected one or more values, each once, got {list(values)}")
        return values

    def declared_metrics(self, reference: bool) -> dict[str, Metric]:
        return declared(self.corruptions)

    def captions(self) -> tuple[str, ...]:
        return ("image", *(KINDS[corruption].noun for corruption in self.corruptions))

    def impossible(self, shape: tuple[int, int, int]) -> str:
        if "shift" in self.corruptions and not room(*shape[1:]):
            return f"{self.name}: expected images of more than one pixel, which can move"
        return ""

    def unit_images(self, audit: AuditContext) -> int:
        return _UNIT_IMAGES

    def passes(self, images: int) -> int:
        return images * (1 + len(self.corruptions) * len(self.strengths))

    def measure(self, audit: AuditContext, unit: Unit) -> Part:
        clean, read = [], []
        for at in range(0, len(unit.indices), audit.plan.chunk):
            indices = unit.indices[at : at + audit.plan.chunk]
            given = Images(audit.images.tensor(indices), audit.seed, indices)
            everywhere = torch.ones(len(indices), dtype=torch.bool)
            clean.append(recognise(audit, given.pixels, everywhere))
            read.append(
                np.stack(
                    [
                        recognise(audit, corrupted(given, corruption, amount), everywhere)
                        for corruption in self.corruptions
                        for amount in self._amounts(corruption)
                    ],
                    axis=1,
                )
            )
        return {
            "index": np.array(unit.indices),
            "label": audit.images.labels[list(unit.indices)],
            "clean": np.concatenate(clean),
            "read": np.concatenate(read).reshape(len(unit.indices), *self._cells),
            **self._shown(audit, unit),
        }

    def _amounts(self, corruption: Corruption) -> list[float]:
        return [KINDS[corruption].amounts[strength - 1] for strength in self.strengths]

    @property
    def _cells(self) -> tuple[int, int]:
        return len(self.corruptions), len(self.strengths)

    def _shown(self, audit: AuditContext, unit: Unit) -> Part:
        """The shown images and their corruptions, uint8 (n, steps, H, W, 3)."""
        shape = audit.shape
        steps = np.zeros((len(unit.shown), len(self.captions()), *shape[1:], 3), np.uint8)
        for row, index in enumerate(unit.shown):
            given = Images(audit.images.tensor([index]), audit.seed, [index])
            steps[row, 0] = picture(given.pixels[0])
            for step, corruption in enumerate(self.corruptions, start=1):
                amount = KINDS[corruption].amounts[max(self.strengths) - 1]
                steps[row, step] = picture(corrupted(given, corruption, amount)[0])
        return {"shown_label": audit.images.labels[list(unit.shown)], "shown": steps}

    def part_form(self, audit: AuditContext, unit: Unit) -> dict[str, Array]:
        n, last = len(unit.indices), len(audit.classes) - 1
        return {
            **columns_form(audit, unit, "clean"),
            "read": Array("int", (n, *self._cells), -1, last),
            **shown_form(audit, unit, len(self.captions())),
        }

    def conclude(self, audit: AuditContext, parts: Sequence[Part]) -> Evidence:
        table = images_table(parts, self.corruptions)
        metrics = measured(table, self.corruptions)
        amounts = {
            (corruption, strength): amount_told(corruption, strength, audit.shape)
            for corruption in self.corruptions
            for strength in self.strengths
        }
        return Evidence(
            check=self.name,
            sentence=sentence(table, metrics, self.corruptions),
            metrics=metrics,
            images=table,
            tables={"corruptions": corruptions_table(parts, amounts)},
            pictures=sliders(
                parts,
                self.name,
                "",
                audit.classes,
                self.captions(),
                lambda label: self._seen(audit, parts, table, label),
            ),
            legend=self.legend,
            passes=self.passes(len(table)),
        )

    def _seen(
        self, audit: AuditContext, parts: Sequence[Part], table: pd.DataFrame, label: int
    ) -> list[Seen]:
        """What each step of a class's slider shows, and the class that the model predicts."""
        index = self.shown_image(audit, label)
        assert index is not None  # the pictures are those of this image
        strongest = self.strengths.index(max(self.strengths))
        part = next(part for part in parts if index in part["index"])
        answers = part["read"][part["index"].tolist().index(index), :, strongest]
        return [
            Seen("image", index, label, class_in(table, index, "clean")),
            *(Seen("corrupted", index, label, int(answer)) for answer in answers),
        ]
