"""Shared by the checks of fills: parameters, recognition of fills, and metrics (section 4.3)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
import pandas as pd
import torch
from pydantic import BeforeValidator, Field
from torch import Tensor

from audits.checks.base import Check
from audits.checks.context import AuditContext
from audits.evidence.codec import Part
from audits.evidence.estimate import Estimate
from audits.evidence.f1 import scores
from audits.evidence.intervals import paired_difference, proportion
from audits.evidence.metric import DefaultBounds, Metric, Null, Pairing, Statistic
from audits.strict import Count, Share
from fillblanks import Classifier
from fillblanks.fills.second_order import LEAST_PASSES, MOST_PASSES
from fillblanks.fills.threshold import Normalise
from fillblanks.fills.update import Update
from fillblanks.masks import default_patch_size, grid_shape


def _expect_cut(value: Any) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
    if not (number or value in ("otsu", None)):
        raise ValueError(f"expected a number in [0, 1], otsu or null, got {value!r}")
    return value


Cut = Annotated[Share | Literal["otsu"] | None, BeforeValidator(_expect_cut)]
"""How T is binarised: white above a share of its maximum, above Otsu's threshold, or not."""


NULL = Null("the same pixels shuffled")
FILL_BOUNDS = DefaultBounds(max_drop=0.05)


def least_passes(update: Update) -> int:
    """The least number of passes that one update of this order takes."""
    return 1 if update == "first_order" else LEAST_PASSES


def most_passes(update: Update) -> int:
    """The largest number of passes that one update of this order takes."""
    return 1 if update == "first_order" else MOST_PASSES


MOST_SAMPLES = 10_000_000
"""Most draws that a config may ask for, an image: even a GPU takes hours for so many."""

Samples = Annotated[int, Field(ge=1, le=MOST_SAMPLES)]


class FillCheck(Check):
    """Base of the fill checks: parameters of every fill, which the paper leaves open."""

    shows_fills: ClassVar[bool] = True
    patch_size: Count | None = Field(
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

    def no_masks(self, shape: tuple[int, int, int], wanted: Callable[[int], object]) -> str:
        """Why `wanted(patches)` raises ValueError on images of this shape; empty if it does not."""
        height, width = shape[1:]
        size = self.patch_size or default_patch_size(height, width)
        rows, columns = grid_shape(height, width, size)
        try:
            wanted(rows * columns)
        except ValueError as error:
            return f"{self.name}, patch_size {size} on images of {height}x{width}: {error}"
        return ""


def recognise(
    audit: AuditContext, pictures: Tensor, found: Tensor, by: Classifier | None = None
) -> np.ndarray:
    """The predicted class of each picture, int64 (n,); -1 is no class and counts as a miss.

    `pictures` are float (n, C, H, W) in [0, 1]. `found`, bool (n,), says which of them exist; the
    others get -1, and so do pictures with a logit that is not finite. `by` predicts, by default the
    audited model, which only the worker has (else RuntimeError).
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
    """Predicted classes of fills and of their nulls, in columns `<name>` and `<name>_null`.

    `fills` maps a name to fills and nulls, float (n, C, H, W) each; `found` and the columns are as
    in `recognise`. An audit with a reference gets its predictions in `<name>_reference` and
    `<name>_reference_null`.
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
    """The columns that a reference adds in `recognised`; empty if there was no reference."""
    found = [f"{name}_reference" for name in names if f"{name}_reference" in parts[0]]
    return tuple(column for name in found for column in (name, f"{name}_null"))


def table_of(parts: Sequence[Part], columns: Sequence[str]) -> pd.DataFrame:
    """One table of all parts: a row for each image, indexed and sorted by the image's index.

    Each part holds `index` and `columns`, arrays (n,) for its n images. Raises KeyError for a
    column that a part lacks, ValueError if there are no parts or lengths differ.
    """
    data = {name: np.concatenate([part[name] for part in parts]) for name in ("index", *columns)}
    return pd.DataFrame(data).set_index("index").sort_index()


def consistency_metrics(
    title: str,
    column: str,
    prefix: str = "",
    *,
    reference: bool = False,
    bounds: DefaultBounds | None = None,
    about_learning: bool = True,
    clause: str = "",
) -> dict[str, Metric]:
    """Declares accuracy, macro and weighted F1 of fills whose predicted classes are in `column`.

    `title` names the accuracy for people, `prefix` begins the metrics' names, and `bounds` are the
    accuracy's. With `reference` the same metrics by the reference model are declared as well; these
    are not compared with a baseline. `about_learning` is that of all these metrics, `clause` the
    accuracy's.
    """
    metrics = _consistency_metrics(title, prefix, column, bounds)
    accuracy = f"{prefix}accuracy"
    metrics[accuracy] = replace(metrics[accuracy], clause=clause)
    if reference:
        by_reference = f"{title}, by the reference"
        metrics |= _consistency_metrics(by_reference, f"{prefix}reference_", None, None)
    return {name: replace(m, about_learning=about_learning) for name, m in metrics.items()}


def _consistency_metrics(
    title: str, prefix: str, column: str | None, bounds: DefaultBounds | None
) -> dict[str, Metric]:
    def pairing(statistic: Statistic) -> Pairing | None:
        # Fills are equally difficult only with the same masks, hence on images of one size.
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
    declared: Mapping[str, Metric], table: pd.DataFrame, column: str, prefix: str = ""
) -> dict[str, Metric]:
    """The metrics that `consistency_metrics` declares, measured over all images (section 4.3).

    `table` has a row for each image and int columns of classes: `label`; `column`, the predicted
    class of the fill, or -1, a miss, if no masked image was predicted right; `<column>_null`, the
    predicted class of the same values at random places. Accuracy is the share of fills that are
    recognised as their label; its lift is paired image by image (Newcombe 1998). If the table has
    `<column>_reference`, the reference's metrics are added. Raises KeyError for metrics that are
    not in `declared`.
    """
    found = recognition_scores(table, column)
    metrics = {}
    for name, estimate in found.scores.items():
        null, lift = (found.null, found.lift) if name == "accuracy" else (None, None)
        metrics[f"{prefix}{name}"] = declared[f"{prefix}{name}"].measured(estimate, null, lift)
    if f"{column}_reference" in table:
        metrics |= consistency(declared, table, f"{column}_reference", f"{prefix}reference_")
    return metrics


def told_against_null(accuracy: Metric) -> str:
    """Words for a sentence: the share of images, their number, and the null."""
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


def recognition_scores(table: pd.DataFrame, column: str) -> RecognitionScores:
    """Scores, null and paired lift of `column`; it, `label` and `<column>_null` hold classes."""
    label, seen, null = (table[name].to_numpy() for name in ("label", column, f"{column}_null"))
    lift = paired_difference(label == seen, label == null)
    return RecognitionScores(scores(label, seen), proportion(label == null), lift)
