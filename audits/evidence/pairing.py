"""Compares a model with its baseline image by image: the drop of every metric with a pairing."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from audits.errors import AuditError, few, quoted
from audits.evidence.estimate import Estimate
from audits.evidence.evidence import Evidence
from audits.evidence.f1 import paired_f1_difference
from audits.evidence.intervals import mean, paired_difference, paired_mean_difference
from audits.evidence.metric import Pairing

_MEANS = ("mean", "unbounded_mean")  # of values; the other statistics are of classes
_MOST_CLASSES = 1 << 31  # a network may predict classes that have no name


def with_drops(
    evidence: Evidence,
    baseline: Evidence,
    classes: Sequence[str],
    baseline_classes: Sequence[str],
) -> Evidence:
    """The evidence with drops, baseline minus model, for every metric that has a pairing.

    `classes` are in the order of the model's labels, `baseline_classes` in that of the baseline's.
    A metric that the baseline was not asked for, since its audit had no reference, gets no drop.
    Metrics with a null also get the lift of the baseline.
    Raises AuditError if the two did not measure the same images with the same labels.
    """
    ours, theirs = evidence.images, baseline.images
    if ours is None or theirs is None:
        missing = evidence if ours is None else baseline
        raise AuditError(
            f"Expected {evidence.check} of both models to have figures for each image, got none: "
            f"{missing.reason or missing.sentence}"
        )
    pairings = {
        name: metric.pairing
        for name, metric in evidence.metrics.items()
        if metric.pairing is not None
        and (name in baseline.metrics or metric.pairing.column in theirs)
    }
    for pairing in pairings.values():
        _expect_values(evidence.check, pairing, ours, theirs)
    for table, names in ((ours, classes), (theirs, baseline_classes)):
        _expect_classes(evidence.check, "label", table, len(names))
        for column in _class_columns(evidence):
            _expect_classes(evidence.check, column, table, _MOST_CLASSES)
    theirs = _in_order(theirs, _class_columns(evidence), baseline_classes, classes)
    # In a table of all checks, columns of a check that saw a sample are of floats.
    ours = ours.astype(dict.fromkeys(("label", *_class_columns(evidence)), int))
    if not (ours.index.equals(theirs.index) and ours["label"].equals(theirs["label"])):
        raise AuditError(
            f"Expected {evidence.check} of both models on the same images and labels, got "
            f"{len(ours)} images and {len(theirs)} others."
        )
    metrics = {
        name: replace(metric, baseline_lift=baseline.metrics[name].lift)
        if name in baseline.metrics
        else metric
        for name, metric in evidence.metrics.items()
    }
    for name, pairing in pairings.items():
        below = metrics[name].oriented(_below(pairing, ours, theirs))
        metrics[name] = replace(metrics[name], drop=below)
    return evidence.model_copy(update={"metrics": metrics})


def without_drops(evidence: Evidence) -> Evidence:
    """The evidence without drops, as it was before any comparison."""
    alone = {
        name: replace(metric, drop=None, baseline_lift=None)
        for name, metric in evidence.metrics.items()
    }
    return evidence.model_copy(update={"metrics": alone})


def needs_same_size(evidence: Evidence) -> bool:
    """Whether a metric can be compared only on images of one size, with the same masks."""
    pairings = [metric.pairing for metric in evidence.metrics.values()]
    return any(pairing is not None and pairing.same_size for pairing in pairings)


def can_be_paired(evidence: Evidence) -> bool:
    """Whether any metric has a pairing with a baseline."""
    return any(metric.pairing is not None for metric in evidence.metrics.values())


def _expect_values(check: str, pairing: Pairing, *tables: pd.DataFrame) -> None:
    """Raises AuditError unless each image has a value that the pairing can use."""
    for table in tables:
        _expect_column(check, pairing.column, table)
        values = _numbers(table, pairing.column)
        usable = np.isfinite(values)
        if pairing.statistic == "mean":
            usable &= (values >= pairing.low) & (values <= pairing.high)
        if not usable.all():
            wanted = "a class"
            if pairing.statistic == "mean":
                wanted = f"a value in [{pairing.low:g}, {pairing.high:g}]"
            elif pairing.statistic == "unbounded_mean":
                wanted = "a number"
            raise AuditError(
                f"Expected {wanted} for each image in column {pairing.column!r} of {check}, got "
                f"{values[~usable][0]:g}."
            )


def _expect_classes(check: str, column: str, table: pd.DataFrame, classes: int) -> None:
    """Raises AuditError unless the column holds numbers of classes, or -1 for none."""
    _expect_column(check, column, table)
    values = _numbers(table, column)
    usable = (values >= -1) & (values < classes) & (values == np.floor(values))
    if not usable.all():
        raise AuditError(
            f"Expected numbers of classes from -1 to {classes - 1} in column {column!r} of "
            f"{check}, got {values[~usable][0]:g}."
        )


def _expect_column(check: str, column: str, table: pd.DataFrame) -> None:
    if column not in table:
        raise AuditError(
            f"Expected a column {column!r} for each image in {check}, found {few(table.columns)}."
        )


def _numbers(table: pd.DataFrame, column: str) -> np.ndarray:
    """The column as floats; NaN for what is no number."""
    values = pd.to_numeric(table[column], errors="coerce")
    return values.to_numpy(dtype=float, na_value=np.nan)


def _below(pairing: Pairing, ours: pd.DataFrame, theirs: pd.DataFrame) -> Estimate:
    """The baseline's figure minus the model's."""
    before, after = theirs[pairing.column].to_numpy(), ours[pairing.column].to_numpy()
    truth = ours["label"].to_numpy()
    if pairing.statistic == "unbounded_mean":
        return mean(before.astype(float) - after.astype(float))
    if pairing.statistic == "mean":
        return paired_mean_difference(before, after, pairing.low, pairing.high)
    if pairing.statistic == "accuracy":
        return paired_difference(truth == before, truth == after)
    average = pairing.statistic.removeprefix("f1_")
    return paired_f1_difference(truth, before, after, average)


def _class_columns(evidence: Evidence) -> list[str]:
    """Columns of `Evidence.images` that hold a class."""
    pairings = [metric.pairing for metric in evidence.metrics.values()]
    return [p.column for p in pairings if p is not None and p.statistic not in _MEANS]


def _in_order(
    table: pd.DataFrame, columns: Sequence[str], have: Sequence[str], want: Sequence[str]
) -> pd.DataFrame:
    """The table with class numbers in the order of `want` instead of `have`.

    A prediction of a class that is not in `want`, or has no name, becomes -1: no image is of it.
    """
    places = {name: i for i, name in enumerate(want)}
    numbers = np.array([places.get(name, -1) for name in have] + [-1])

    def renumbered(column: str) -> np.ndarray:
        given = table[column].to_numpy(int)
        return numbers[np.where(given < len(have), given, -1)]

    labels = renumbered("label")
    if (labels < 0).any():
        given = int(table["label"].to_numpy(int)[labels < 0][0])
        missing = have[given] if given >= 0 else "-1"
        raise AuditError(
            f"Expected a baseline of the classes {few(want)}, got one that calls a class of the "
            f"images {quoted(missing)}."
        )
    return table.assign(**{name: renumbered(name) for name in {"label", *columns}})
