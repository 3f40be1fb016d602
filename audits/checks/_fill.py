"""Does the model recognise its own fills? What both fill checks share (section 4.3)."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import pandas as pd
import torch
from pydantic import BeforeValidator, Field, PositiveInt
from torch import Tensor

from audits.checks.base import AuditContext, Check
from audits.evidence.codec import Part
from audits.evidence.intervals import Estimate, difference, proportion, scores
from audits.strict import Share
from fillblanks import Classifier
from fillblanks.masks import default_patch_size
from fillblanks.second_order import LEAST_PASSES, MOST_PASSES
from fillblanks.threshold import Normalise
from fillblanks.update import Update


def _expect_cut(value: Any) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
    if not (number or value in ("otsu", None)):
        raise ValueError(f"expected a number in [0, 1], otsu or null, got {value!r}")
    return value


Cut = Annotated[Share | Literal["otsu"] | None, BeforeValidator(_expect_cut)]
"""Where T is white: above a share of its maximum, above Otsu's threshold, or left grey."""


def least_passes(update: Update) -> int:
    """How many passes an update of this order takes, at the least."""
    return 1 if update == "first_order" else LEAST_PASSES


def most_passes(update: Update) -> int:
    """The same at the most."""
    return 1 if update == "first_order" else MOST_PASSES


class FillCheck(Check):
    """The parameters that every fill has; the paper leaves them open."""

    has_nulls: ClassVar[bool] = True

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


def consistency(
    table: pd.DataFrame, column: str, classes: int, prefix: str = ""
) -> dict[str, Estimate]:
    """Accuracy and F1 of the recognised fills in `column` over all images, with null and lift.

    An image counts as right when its fill is recognised as its label; where no masked image was
    predicted right, `column` is -1, a miss. `<column>_null` holds what the model sees in the same
    values at random places; the lift is accuracy minus that null's. The same for the reference,
    where the table has its columns.
    """
    label = table["label"].to_numpy()
    result = scores(label, table[column].to_numpy(), classes)
    result["accuracy_null"] = proportion(label == table[f"{column}_null"].to_numpy())
    result["accuracy_lift"] = difference(result["accuracy"], result["accuracy_null"])
    metrics = {prefix + name: estimate for name, estimate in result.items()}
    if f"{column}_reference" in table:
        metrics |= consistency(table, f"{column}_reference", classes, f"{prefix}reference_")
    return metrics
