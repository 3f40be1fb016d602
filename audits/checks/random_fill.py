"""RandomFill: expected fill over random masks (section 4.1) and its recognition (4.3)."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar, Literal, Self

import numpy as np
import pandas as pd
import torch
from pydantic import Field, model_validator
from torch import Tensor

from audits.checks._random_fill.nearest import nearest_examples
from audits.checks._random_fill.pictures import CAPTIONS, class_sliders
from audits.checks._shared.fill import (
    FILL_BOUNDS,
    MOST_SAMPLES,
    FillCheck,
    Samples,
    consistency,
    consistency_metrics,
    least_passes,
    most_passes,
    recognised,
    reference_columns,
    table_of,
    told_against_null,
)
from audits.checks._shared.forms import columns_form, recognised_form, shown_form
from audits.checks._shared.images import fill_pictures
from audits.checks._shared.trials import (
    PrototypeTrials,
    noise_form,
    noise_samples,
    recognised_in_noise,
    recognised_moved,
)
from audits.checks.context import AuditContext, Unit
from audits.checks.part_form import Array, UpTo
from audits.evidence.codec import Part
from audits.evidence.evidence import Evidence
from audits.evidence.intervals import bounded_mean, mean, proportion
from audits.evidence.metric import Metric
from audits.strict import Count, Ratio, Share
from fillblanks import expected_fill, shuffled, threshold
from fillblanks.fills.averages import Average
from fillblanks.fills.expected import draw_limit
from fillblanks.fills.sampling import FIRST_LOOK
from fillblanks.masks import blank_count

# A unit takes some seconds to a few minutes: a killed audit loses the unfinished ones, and a
# scheduler spends some tenths of a second on each.
_UNIT_VALUES = 100_000_000  # in all masked images of a unit
_UNIT_IMAGES = 256
_COLUMNS = (
    "label",
    "accepted",
    "drawn",
    "prototype",
    "prototype_null",
    *PrototypeTrials.columns,
    "composite",
    "composite_null",
    "stability",
)


class RandomFill(FillCheck):
    """Consistency of prototypes and composites of the expected update over random masks.

    Judge composites by their lift over the null: a composite is mostly the original image, and with
    the same number of white pixels at random places it is often recognised as well.
    """

    kind: Literal["random_fill"] = "random_fill"
    version: ClassVar[int] = 6
    plain_name: ClassVar[str] = "The model's own drawings"
    how_to_read: ClassVar[tuple[str, ...]] = (
        "Random parts of the image are blanked many times. The drawing is what the model, on "
        "average, would put into the blanks; it is then asked to name its own drawing.",
        "Draws count only if the model names the masked image right. An image of which no draw "
        "counts has no drawing and is a miss.",
        "The null is the same pixels shuffled: a model that names these as often has not "
        "learnt a shape. An image with its blanks filled is mostly the original and proves little.",
    )
    legend: ClassVar[tuple[str, ...]] = (
        "One image a class.",
        "In updates, red pixels should become brighter and blue ones darker for the class to "
        "become likelier.",
    )
    mask_ratio: Ratio = 0.25
    samples: Samples = 10_000
    max_draws: Count | None = Field(
        default=None, le=4 * MOST_SAMPLES, description="most draws an image; default 4 x samples"
    )
    tolerance: Share | None = Field(
        default=None,
        lt=1,
        description="stop an image earlier, when the prototypes of two halves of its draws overlap "
        "by 1 - tolerance; `samples` is then the ceiling",
    )
    average: Average = "per_blank"

    @model_validator(mode="after")
    def _enough_draws(self) -> Self:
        if self.max_draws is not None and self.max_draws < self.samples:
            raise ValueError(
                f"expected max_draws >= samples ({self.samples}), got {self.max_draws}"
            )
        return self

    def declared_metrics(self, reference: bool) -> dict[str, Metric]:
        return {
            **consistency_metrics(
                "own drawing recognised",
                "prototype",
                "prototype_",
                reference=reference,
                bounds=FILL_BOUNDS,
                clause="recognises {} of its own drawings",
            ),
            **PrototypeTrials.declared(),
            # The composite is mostly the original image and proves little: it has no default bound,
            # and does not tell what the model has learnt.
            **consistency_metrics(
                "image with its blanks filled recognised",
                "composite",
                "composite_",
                reference=reference,
                about_learning=False,
            ),
            "coverage": Metric("images that have a drawing", is_coverage=True),
            "complete": Metric("images whose draws were not cut short"),
            "acceptance_rate": Metric("masked images named right", better=None),
            "accepted_draws": Metric("accepted draws an image", better=None, unit="count"),
            "stability": Metric("agreement of drawings from two halves of the draws"),
            "relative_standard_error": Metric(
                "noise of an update, as a share of its largest value", better="lower", unit="ratio"
            ),
        }

    def captions(self) -> tuple[str, ...]:
        return CAPTIONS

    def impossible(self, shape: tuple[int, int, int]) -> str:
        return self.no_masks(shape, lambda patches: blank_count(self.mask_ratio, patches))

    def fill_options(self) -> dict[str, Any] | None:
        return self._options() if self.update == "first_order" else None

    def _options(self) -> dict[str, Any]:
        return {
            "mask_ratio": self.mask_ratio,
            "patch_size": self.patch_size,
            "samples": self.samples,
            "max_draws": self.max_draws,
            "tolerance": self.tolerance,
            "average": self.average,
            "normalise": self.normalise,
            "binarise": self.binarise,
            "blank_value": self.blank_value,
            "update": self.update,
        }

    def unit_images(self, audit: AuditContext) -> int:
        draws = _UNIT_VALUES // (math.prod(audit.shape) * least_passes(self.update))
        return max(1, min(_UNIT_IMAGES, draws // self.samples))

    def passes(self, images: int) -> int:
        least = self.samples if self.tolerance is None else min(self.samples, FIRST_LOOK)
        return images * (least + noise_samples(self.samples)) * least_passes(self.update)

    def most_passes(self, images: int) -> int:
        most = draw_limit(self.samples, self.max_draws)
        most += draw_limit(noise_samples(self.samples), None)
        return images * most * most_passes(self.update)

    def measure(self, audit: AuditContext, unit: Unit) -> Part:
        indices = torch.tensor(unit.indices)
        images = audit.images.tensor(unit.indices)
        labels = torch.from_numpy(audit.images.labels[list(unit.indices)])
        fill = expected_fill(
            audit.classifier,
            images,
            labels,
            seed=audit.seed,
            indices=indices,
            plan=audit.plan,
            **self._options(),
        )
        everywhere = torch.ones_like(fill.blank)
        null = partial(shuffled, seed=audit.seed, indices=indices)
        prototype_null = null(fill.prototype, everywhere)
        composite_null = null(fill.composite, fill.blank)
        composite_null = torch.where(fill.blank, composite_null, fill.masked)
        classes = labels[fill.found].unique()
        shown = np.flatnonzero(np.isin(unit.indices, unit.shown))
        largest = fill.update.abs().amax(dim=(1, 2, 3))
        return {
            "index": indices.numpy(),
            "label": labels.numpy(),
            "accepted": fill.accepted.numpy(),
            "drawn": fill.drawn.numpy(),
            **recognised(
                audit,
                {
                    "prototype": (fill.prototype, prototype_null),
                    "composite": (fill.composite, composite_null),
                },
                fill.found,
            ),
            "prototype_moved": recognised_moved(audit, fill.prototype, fill.found, unit.indices),
            **recognised_in_noise(audit, images, labels, unit, self._options()),
            "stability": fill.stability.numpy(),
            "standard_error": (fill.standard_error.nanmean(dim=(1, 2, 3)) / largest).numpy(),
            "class": classes.numpy(),
            "class_update": np.stack(
                [fill.update[fill.found & (labels == c)].double().sum(0).numpy() for c in classes]
            )
            if len(classes)
            else np.zeros((0, *images.shape[1:])),
            "shown_label": labels.numpy()[shown],
            "shown": np.stack([fill_pictures(images[i], fill, i) for i in shown.tolist()])
            if len(shown)
            else np.zeros((0, 0, 0, 0, 3), np.uint8),
        }

    def part_form(self, audit: AuditContext, unit: Unit) -> dict[str, Array]:
        n = len(unit.indices)
        classes = UpTo(len(audit.classes), "classes")
        return {
            **columns_form(audit, unit, "prototype_moved"),
            **noise_form(unit, self.samples, len(audit.classes)),
            "accepted": Array("int", (n,), 0, self.samples),
            "drawn": Array("int", (n,), 0, draw_limit(self.samples, self.max_draws)),
            **recognised_form(audit, unit, "prototype", "composite"),
            "stability": Array("float", (n,), 0, 1),
            "standard_error": Array("float", (n,), 0),
            "class": Array("int", (classes,), 0, len(audit.classes) - 1),
            "class_update": Array("float", (classes, *audit.shape)),
            **shown_form(audit, unit, len(self.captions()) - 1),
        }

    def conclude(self, audit: AuditContext, parts: Sequence[Part]) -> Evidence:
        table = table_of(parts, (*_COLUMNS, *reference_columns(parts, "prototype", "composite")))
        found = (table["accepted"] > 0).to_numpy()
        errors = np.concatenate([part["standard_error"] for part in parts])
        declared = self.declared_metrics(reference="prototype_reference" in table)
        others = {
            "coverage": proportion(found),
            "complete": proportion(self._complete(table)),
            "acceptance_rate": bounded_mean((table["accepted"] / table["drawn"]).to_numpy()),
            "accepted_draws": mean(table["accepted"].to_numpy(dtype=float)),
            # An image with fewer than two accepted draws is not stable.
            "stability": bounded_mean(table["stability"].fillna(0.0).to_numpy()),
            # Images with too few accepted draws have no standard error.
            "relative_standard_error": mean(errors[np.isfinite(errors)]),
        }
        metrics = {
            **consistency(declared, table, "prototype", "prototype_"),
            **consistency(declared, table, "composite", "composite_"),
            **PrototypeTrials.measured(table),
            **{name: declared[name].measured(estimate) for name, estimate in others.items()},
        }
        pictures = class_sliders(
            self.name, audit, parts, table, partial(self.shown_image, audit), self._prototype
        )
        return Evidence(
            check=self.name,
            sentence=(
                "What the model fills in is recognised as the class of the image for "
                f"{told_against_null(metrics['prototype_accuracy'])}."
            ),
            metrics=metrics,
            images=table,
            pictures=pictures,
            examples=nearest_examples(audit, self.name, self.chosen(audit), pictures),
            legend=self.legend,
            passes=int(table[["drawn", "noise_drawn"]].to_numpy().sum())
            * least_passes(self.update),
        )

    def _complete(self, table: pd.DataFrame) -> np.ndarray:
        """Images whose draws were not cut short by `max_draws`."""
        complete = table["accepted"] == self.samples
        if self.tolerance is not None:
            complete |= table["stability"] >= 1 - self.tolerance
        return complete.to_numpy()

    def _prototype(self, update: Tensor) -> Tensor:
        everywhere = torch.ones_like(update[:, :1], dtype=torch.bool)
        return threshold(update, everywhere, normalise=self.normalise, binarise=self.binarise)
