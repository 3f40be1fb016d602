"""ProgressiveFill: fills images in steps (section 4.2), then asks the model for them (4.3)."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import pandas as pd
import torch
from pydantic import Field

from audits.checks._shared.fill import (
    FILL_BOUNDS,
    FillCheck,
    consistency,
    consistency_metrics,
    least_passes,
    most_passes,
    recognise,
    recognised,
    reference_columns,
    table_of,
    told_against_null,
)
from audits.checks._shared.forms import columns_form, recognised_form, shown_form
from audits.checks._shared.images import class_in, picture, sliders
from audits.checks._shared.trials import (
    MOVED,
    UNMOVED_NULL,
    recognised_moved,
    trial,
    trial_measured,
)
from audits.checks.context import AuditContext, Unit
from audits.checks.part_form import Array
from audits.evidence.codec import Part
from audits.evidence.evidence import Evidence, Seen
from audits.evidence.f1 import scores
from audits.evidence.intervals import proportion
from audits.evidence.metric import Metric, Pairing
from fillblanks import fill_regions, progressive_fill, shuffled
from fillblanks.fills.progressive import StepLabel
from fillblanks.masks import expect_groups

_UNIT_IMAGES = 256
_COLUMNS = ("label", "first", "filled", "recognised", "recognised_null", "recognised_moved")


class ProgressiveFill(FillCheck):
    """Consistency of images that the model fills in group by group, until it has drawn every pixel.

    `accuracy` takes the true label: an image whose first masked version is predicted wrong is a
    miss. `agreement` is the score of section 4.3, whose label is the model's own first prediction;
    a model that always gives one answer has an agreement of 1.

    `accuracy_moved` is the accuracy of the same pictures, moved by a pixel or a few; its null is
    that of the pictures where they are.
    """

    kind: Literal["progressive_fill"] = "progressive_fill"
    version: ClassVar[int] = 5
    plain_name: ClassVar[str] = "Images that the model fills in wholly"
    how_to_read: ClassVar[tuple[str, ...]] = (
        "A part of the image is blanked and filled in from the model's own update, then the next "
        "part, until the model has drawn every pixel. It is then asked to name the result.",
        "An image counts as a miss if it is not named as its true class, and also if its first "
        "masked version is not.",
        "The null is the same pixels shuffled: a model that names these as often has not "
        "learnt a shape.",
    )
    legend: ClassVar[tuple[str, ...]] = ("One image a class.",)
    groups: Annotated[int, Field(ge=2)] = 4
    step_label: StepLabel = "step"

    def declared_metrics(self, reference: bool) -> dict[str, Metric]:
        def beside(title: str, *, about_learning: bool = True, **fields: Any) -> Metric:
            return Metric(title, rests_on="accuracy", about_learning=about_learning, **fields)

        return {
            **consistency_metrics(
                "image wholly filled in recognised",
                "recognised",
                reference=reference,
                bounds=FILL_BOUNDS,
                clause="recognises {} of the images that it has wholly filled in",
            ),
            **trial(
                "accuracy_moved",
                f"image wholly filled in recognised, {MOVED}",
                "recognised_moved",
                UNMOVED_NULL,
                f"recognises {{}} of the images that it has wholly filled in, {MOVED}",
                "accuracy",
            ),
            "coverage": beside(
                "first masked images named right",
                about_learning=False,
                is_coverage=True,
                pairing=Pairing("first", "accuracy", same_size=True),
            ),
            "accuracy_covered": beside("image wholly filled in recognised, of those covered"),
            "agreement": beside("first prediction kept to the end"),
            "agreement_f1_macro": beside("first prediction kept to the end, macro F1"),
            "agreement_f1_weighted": beside("first prediction kept to the end, weighted F1"),
        }

    def captions(self) -> tuple[str, ...]:
        shares = ((group + 1) / self.groups for group in range(self.groups))
        return ("masked", *(f"filled {share:.0%}" for share in shares))

    def impossible(self, shape: tuple[int, int, int]) -> str:
        return self.no_masks(shape, lambda patches: expect_groups(self.groups, patches))

    def unit_images(self, audit: AuditContext) -> int:
        return _UNIT_IMAGES

    def passes(self, images: int) -> int:
        return images * self.groups * least_passes(self.update)

    def most_passes(self, images: int) -> int:
        return images * self.groups * most_passes(self.update)

    def measure(self, audit: AuditContext, unit: Unit) -> Part:
        indices = torch.tensor(unit.indices)
        images = audit.images.tensor(unit.indices)
        labels = torch.from_numpy(audit.images.labels[list(unit.indices)])
        fill = progressive_fill(
            audit.classifier,
            images,
            labels,
            groups=self.groups,
            patch_size=self.patch_size,
            seed=audit.seed,
            label=self.step_label,
            normalise=self.normalise,
            binarise=self.binarise,
            blank_value=self.blank_value,
            update=self.update,
            indices=indices,
            plan=audit.plan,
        )
        regions = fill_regions(
            images, groups=self.groups, patch_size=self.patch_size, seed=audit.seed, indices=indices
        )
        null = shuffled(fill.prototype, regions, seed=audit.seed, indices=indices)
        shown = np.flatnonzero(np.isin(unit.indices, unit.shown))
        return {
            "index": indices.numpy(),
            "label": labels.numpy(),
            "first": fill.label.numpy(),
            "filled": recognise(audit, fill.prototype, torch.ones_like(fill.found)),
            **recognised(audit, {"recognised": (fill.prototype, null)}, fill.found),
            "recognised_moved": recognised_moved(audit, fill.prototype, fill.found, unit.indices),
            "shown_label": labels.numpy()[shown],
            "shown": np.stack(
                [
                    np.stack([picture(fill.masked[i]), *(picture(step) for step in fill.steps[i])])
                    for i in shown
                ]
            )
            if len(shown)
            else np.zeros((0, self.groups + 1, 0, 0, 3), np.uint8),
        }

    def part_form(self, audit: AuditContext, unit: Unit) -> dict[str, Array]:
        return {
            **columns_form(audit, unit, "first", "filled", "recognised_moved"),
            **recognised_form(audit, unit, "recognised"),
            **shown_form(audit, unit, self.groups + 1),
        }

    def conclude(self, audit: AuditContext, parts: Sequence[Part]) -> Evidence:
        table = table_of(parts, (*_COLUMNS, *reference_columns(parts, "recognised")))
        covered = table[table["first"] == table["label"]]
        # A prediction of -1 (logits not finite) agrees with nothing, not even with another -1.
        filled = np.where(table["filled"] < 0, -2, table["filled"])
        # Classes that have images count even if the network never names them first: a network that
        # always gives the same answer would else agree with itself in every class.
        agreement = scores(table["first"].to_numpy(), filled, also=table["label"].to_numpy())
        declared = self.declared_metrics(reference="recognised_reference" in table)
        others = {
            "coverage": proportion((table["first"] == table["label"]).to_numpy()),
            "accuracy_covered": proportion((covered["recognised"] == covered["label"]).to_numpy()),
            "agreement": agreement["accuracy"],
            "agreement_f1_macro": agreement["f1_macro"],
            "agreement_f1_weighted": agreement["f1_weighted"],
        }
        metrics = {
            **consistency(declared, table, "recognised"),
            **trial_measured(
                declared,
                "accuracy_moved",
                table,
                ("recognised", "recognised_moved", "recognised_null"),
            ),
            **{name: declared[name].measured(estimate) for name, estimate in others.items()},
        }
        return Evidence(
            check=self.name,
            sentence=(
                "Images that the model has filled in wholly are recognised as their class for "
                f"{told_against_null(metrics['accuracy'])}."
            ),
            metrics=metrics,
            images=table,
            pictures=sliders(
                parts,
                self.name,
                "",
                audit.classes,
                self.captions(),
                partial(self._seen, audit, table),
            ),
            legend=self.legend,
            passes=self.passes(len(table)),
        )

    def _seen(self, audit: AuditContext, table: pd.DataFrame, label: int) -> list[Seen | None]:
        """What each step of a class's slider shows: first it masked, last it wholly filled."""
        index = self.shown_image(audit, label)
        if index is None or index not in table.index:
            return [None] * (self.groups + 1)
        read_as = class_in(table, index, "filled")
        between = [None] * (self.groups - 1)
        masked = Seen("masked", index, label, class_in(table, index, "first"))
        return [masked, *between, Seen("filled", index, label, read_as)]
