"""Does the model recognise its own fills? What both fill checks share (section 4.3)."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple, Self

import numpy as np
import pandas as pd
import torch
from pydantic import BeforeValidator, Field, PositiveInt
from torch import Tensor

from audits.checks.base import Check
from audits.checks.context import AuditContext
from audits.evidence.codec import Part
from audits.evidence.estimate import Estimate
from audits.evidence.f1 import scores
from audits.evidence.intervals import paired_difference, proportion
from audits.evidence.metric import DefaultBounds, Metric, Null, Pairing, Statistic
from audits.strict import Share
from fillblanks import Classifier
from fillblanks.fills.second_order import LEAST_PASSES, MOST_PASSES
from fillblanks.fills.threshold import Normalise
from fillblanks.fills.update import Update
from fillblanks.masks import default_patch_size


def _expect_cut(value: Any) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
    if not (number or value in ("otsu", None)):
        raise ValueError(f"expected a number in [0, 1], otsu or null, got {value!r}")
    return value


Cut = Annotated[Share | Literal["otsu"] | None, BeforeValidator(_expect_cut)]
"""Where T is white: above a share of its maximum, above Otsu's threshold, or left grey."""


NULL = Null("the same pixels at random places")
FILL_BOUNDS = DefaultBounds(max_drop=0.05, min_lift=0.1)


def least_passes(update: Update) -> int:
    """How many passes an update of this order takes, at the least."""
    return 1 if update == "first_order" else LEAST_PASSES


def most_passes(update: Update) -> int:
    """The same at the most."""
    return 1 if update == "first_order" else MOST_PASSES


class FillCheck(Check):
    """The parameters that every fill has; the paper leaves them open."""

    patch_size: PositiveInt | None = Field(
        default=None,
        description="pixels; default 2 up to 28x28, else a quarter of the shorter side",
    )
    normalise: Normalise = "positive"
    binarise: Cut = 0.1
    blank_value: Share | Literal["mean"] = 0.0
    update: Update = "first_order"

    def settled(self, shape: tuple[int, int, int]) -> Self:
        patch_size = self.patch_size or default_patch_size(*shape[1:])
        return self.model_copy(update={"patch_size": patch_size})


def recognise(
    audit: AuditContext, pictures: Tensor, found: Tensor, by: Classifier | None = None
) -> np.ndarray:
    """The class seen in each picture, int64 (n,); -1, a miss, where not `found`.

    `by` is the audited model, unless given.
    """
    classifier = by or audit.classifier
    result = torch.full((len(pictures),), -1)
    rows = found.nonzero()[:, 0]
    with classifier.steady():
        for chunk in rows.split(audit.plan.chunk):
            images = pictures[chunk].to(classifier.device, classifier.dtype)
            result[chunk] = classifier.predict(images).cpu()
    return result.numpy()


def recognised(audit: AuditContext, fills: dict[str, tuple[Tensor, Tensor]], found: Tensor) -> Part:
    """Columns `<name>` and `<name>_null` from the fills and nulls of each name.

    Where the audit has a reference, `<name>_reference` and `<name>_reference_null` as well.
    """
    columns: Part = {}
    models = {"": audit.classifier}
    if audit.reference is not None:
        models["_reference"] = audit.reference
    for name, (fill, null) in fills.items():
        for suffix, model in models.items():
            columns[f"{name}{suffix}"] = recognise(audit, fill, found, model)
            columns[f"{name}{suffix}_null"] = recognise(audit, null, found, model)
    return columns


def reference_columns(parts: Sequence[Part], *names: str) -> tuple[str, ...]:
    """Those of `recognised` that the reference adds; none where there was no reference."""
    found = [f"{name}_reference" for name in names if f"{name}_reference" in parts[0]]
    return tuple(column for name in found for column in (name, f"{name}_null"))


def table_of(parts: Sequence[Part], columns: Sequence[str]) -> pd.DataFrame:
    """Per-image columns of all parts, indexed by the image's index."""
    data = {name: np.concatenate([part[name] for part in parts]) for name in ("index", *columns)}
    return pd.DataFrame(data).set_index("index").sort_index()


def consistency_metrics(
    title: str,
    column: str,
    prefix: str = "",
    *,
    reference: bool = False,
    bounds: DefaultBounds | None = None,
) -> dict[str, Metric]:
    """Declares accuracy and F1 of the fills that stand recognised in `column`.

    `title` says for people what the accuracy is the share of. With `reference` the same figures by
    the reference model are declared as well; those are not compared with a baseline.
    """
    metrics = _consistency_metrics(title, prefix, column, bounds)
    if reference:
        by_reference = f"{title}, by the reference"
        metrics |= _consistency_metrics(by_reference, f"{prefix}reference_", None, None)
    return metrics


def _consistency_metrics(
    title: str, prefix: str, column: str | None, bounds: DefaultBounds | None
) -> dict[str, Metric]:
    def pairing(statistic: Statistic) -> Pairing | None:
        # Fills are of one difficulty only with the same masks, hence on images of one size.
        return None if column is None else Pairing(column, statistic, same_size=True)

    accuracy = f"{prefix}accuracy"
    return {
        accuracy: Metric(title, null=NULL, pairing=pairing("accuracy"), bounds=bounds),
        f"{prefix}f1_macro": Metric(
            f"{title}, macro F1", pairing=pairing("f1_macro"), rests_on=accuracy
        ),
        f"{prefix}f1_weighted": Metric(
            f"{title}, weighted F1", pairing=pairing("f1_weighted"), rests_on=accuracy
        ),
    }


def consistency(
    declared: Mapping[str, Metric], table: pd.DataFrame, column: str, classes: int, prefix: str = ""
) -> dict[str, Metric]:
    """Metrics of `consistency_metrics`, measured on the fills recognised in `column`.

    An image counts as right if its fill is recognised as its label; if no masked image was
    predicted right, `column` is -1, a miss. `<column>_null` holds what the model sees in the same
    values at random places; the lift is accuracy minus that null's. The same for the reference,
    if the table has its columns.
    """
    found = recognition_scores(table, column, classes)
    metrics = {}
    for name, estimate in found.scores.items():
        null, lift = (found.null, found.lift) if name == "accuracy" else (None, None)
        metrics[f"{prefix}{name}"] = declared[f"{prefix}{name}"].measured(estimate, null, lift)
    if f"{column}_reference" in table:
        metrics |= consistency(
            declared, table, f"{column}_reference", classes, f"{prefix}reference_"
        )
    return metrics


def told_against_null(accuracy: Metric) -> str:
    """The share of images, its number of images, and its null, in words."""
    share, null = accuracy.estimate, accuracy.null
    told = f"{share.value:.1%} of {share.n} images"
    if null is None or null.estimate is None:
        return told
    return f"{told}, against {null.estimate.value:.1%} with {null.title}"


class RecognitionScores(NamedTuple):
    """How well the fills of one column are recognised."""

    scores: dict[str, Estimate]  # accuracy, f1_macro, f1_weighted
    null: Estimate
    lift: Estimate


def recognition_scores(table: pd.DataFrame, column: str, classes: int) -> RecognitionScores:
    """Scores of `column` against `label`, and of `<column>_null`; all int columns of classes."""
    label, seen, null = (table[name].to_numpy() for name in ("label", column, f"{column}_null"))
    lift = paired_difference(label == seen, label == null)
    return RecognitionScores(scores(label, seen, classes), proportion(label == null), lift)
