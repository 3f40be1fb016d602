"""Duplicates: are images of the audit copies of each other, or of images of the training?"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, Literal

import numpy as np
import torch
from pydantic import Field, field_validator

from audits.checks._duplicates.figures import (
    COLUMN_WORDS,
    Found,
    declared,
    images_table,
    measured,
    pairs_of,
    pairs_table,
    sentence,
)
from audits.checks._duplicates.pictures import pictures
from audits.checks._shared.fill import recognise, table_of
from audits.checks._shared.forms import columns_form
from audits.checks.base import Check, Needs
from audits.checks.context import AuditContext, Unit
from audits.checks.part_form import Array
from audits.data.imageset import ImageSet
from audits.data.sources import AnyData
from audits.data.twins import neighbours, thumbnails
from audits.errors import AuditError
from audits.evidence.codec import Part
from audits.evidence.evidence import Evidence
from audits.evidence.metric import Metric

_UNIT_IMAGES = 1000


class Duplicates(Check):
    """Images of the audit that are copies of each other, or of images that the model has learnt.

    Copies make intervals too narrow, since the same image counts more than once. A copy with
    another label shows that a label is wrong. A copy in the training set is a leak: the model may
    know its answer by heart.

    Copies are found by thumbnails, also if they were stored as JPEG again, resized, brighter,
    darker, moved a little or mirrored; two images that merely look alike may be taken for copies.
    The auditing process looks for them, not the model's, which would not have to tell the truth.
    """

    kind: Literal["duplicates"] = "duplicates"
    version: ClassVar[int] = 2
    asks_reference: ClassVar[bool] = False
    needs: ClassVar[Needs] = "predictions"
    plain_name: ClassVar[str] = "Copies among the images"
    how_to_read: ClassVar[tuple[str, ...]] = (
        "Each image is compared with all others, and with the training set if the config names "
        "it. Copies are images that are the same but for compression, size, brightness, a small "
        "shift or a mirror.",
        "Copies within the data make intervals too narrow. Copies with different labels cannot "
        "both be labelled right. Copies in the training set are a leak.",
    )
    legend: ClassVar[tuple[str, ...]] = (
        "Pairs of copies, those with different labels first, then those of the training set.",
    )
    column_words: ClassVar[Mapping[str, str]] = COLUMN_WORDS
    training: AnyData | None = Field(
        default=None,
        description="the data that the model was trained on, described as `data` is; images of the "
        "audit that are among them are leaked",
    )

    @field_validator("training")
    @classmethod
    def _whole(cls, training: AnyData | None) -> AnyData | None:
        if training is not None and training.secret:
            raise ValueError("expected all of the training set, got a secret sample of it")
        return training

    def declared_metrics(self, reference: bool) -> dict[str, Metric]:
        return declared(self.training is not None)

    def impossible(self, shape: tuple[int, int, int]) -> str:
        try:
            self._training()
        except AuditError as error:
            return f"{self.name}, training: {error}"
        return ""

    def _training(self) -> ImageSet | None:
        return None if self.training is None else self.training.load()

    def unit_images(self, audit: AuditContext) -> int:
        return _UNIT_IMAGES

    def units(self, audit: AuditContext) -> list[Unit]:
        """The units, which name the digest of the training set: other images give other figures."""
        units, training = super().units(audit), self._training()
        if training is None:
            return units
        digest = training.digest(range(len(training)))
        return [replace(unit, cell=(("training", digest),)) for unit in units]

    def passes(self, images: int) -> int:
        return images

    def measure(self, audit: AuditContext, unit: Unit) -> Part:
        predicted = []
        for at in range(0, len(unit.indices), audit.plan.chunk):
            images = audit.images.tensor(unit.indices[at : at + audit.plan.chunk])
            predicted.append(recognise(audit, images, torch.ones(len(images), dtype=torch.bool)))
        return {
            "index": np.array(unit.indices),
            "label": audit.images.labels[list(unit.indices)],
            "predicted": np.concatenate(predicted),
        }

    def part_form(self, audit: AuditContext, unit: Unit) -> dict[str, Array]:
        return columns_form(audit, unit, "predicted")

    def conclude(self, audit: AuditContext, parts: Sequence[Part]) -> Evidence:
        answers = table_of(parts, ("label", "predicted"))
        found = self._found(audit, answers.index.to_numpy())
        table = images_table(answers, found)
        metrics = measured(table, self.training is not None)
        return Evidence(
            check=self.name,
            sentence=sentence(table, metrics),
            metrics=metrics,
            images=table,
            tables={"pairs": pairs_table(found)},
            pictures=pictures(self.name, found),
            legend=self.legend,
            passes=len(table),
        )

    def _found(self, audit: AuditContext, indices: np.ndarray) -> Found:
        """All pairs of copies among the images with these indices, and with the training set."""
        channels, rows = audit.shape[0], indices.tolist()
        thumbs = thumbnails(audit.images, rows, channels)
        near = neighbours(thumbs)
        within, training = pairs_of(near, indices), self._training()
        if training is None:
            return Found(audit.images, indices, within)
        fitted = training.for_model(None, audit.images.fit)
        others = thumbnails(fitted, range(len(fitted)), channels)
        # In a small training set all other images are far; those of the audit are nearer then.
        leaked = neighbours(thumbs, others).at_most(near.limit)
        leaks = pairs_of(leaked, indices, np.arange(len(fitted)))
        return Found(audit.images, indices, within, fitted, leaks)
