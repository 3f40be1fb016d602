"""How far a model is below its baseline, image by image: the metrics `<metric>_drop`."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from audits.checks.base import Check
from audits.errors import AuditError
from audits.evidence.evidence import Evidence
from audits.evidence.intervals import Estimate, paired_difference, paired_f1_difference


def with_drops(
    check: Check,
    evidence: Evidence,
    baseline: Evidence,
    classes: Sequence[str],
    baseline_classes: Sequence[str],
) -> Evidence:
    """The evidence with `<metric>_drop`, baseline minus model, for accuracy and F1 of the check.

    `classes` are in the order of the model's labels, `baseline_classes` in that of the baseline's.
    Raises AuditError where the two did not measure the same images with the same labels.
    """
    ours, theirs = evidence.images, baseline.images
    if ours is None or theirs is None:
        missing = evidence if ours is None else baseline
        raise AuditError(
            f"Expected {check.name} of both models to have figures for each image, got none: "
            f"{missing.reason or missing.sentence}"
        )
    theirs = _in_order(theirs, check, baseline_classes, classes)
    ours = ours.astype({"label": int})
    if not (ours.index.equals(theirs.index) and ours["label"].equals(theirs["label"])):
        raise AuditError(
            f"Expected {check.name} of both models on the same images and labels, got "
            f"{len(ours)} images and {len(theirs)} others."
        )
    drops: dict[str, Estimate] = {}
    truth = ours["label"].to_numpy()
    for prefix, column in check.scored.items():
        before, after = theirs[column].to_numpy(), ours[column].to_numpy()
        drops[f"{prefix}accuracy_drop"] = paired_difference(truth == before, truth == after)
        for average in ("macro", "weighted"):
            drops[f"{prefix}f1_{average}_drop"] = paired_f1_difference(
                truth, before, after, len(classes), average
            )
    return replace(evidence, metrics={**evidence.metrics, **drops})


def _in_order(
    table: pd.DataFrame, check: Check, have: Sequence[str], want: Sequence[str]
) -> pd.DataFrame:
    """The table's classes as numbers of `want` instead of `have`; -1 stays, a miss."""
    if set(have) != set(want):
        raise AuditError(f"Expected a baseline of the classes {list(want)}, got {list(have)}.")
    numbers = np.array([list(want).index(name) for name in have] + [-1])
    columns = ["label", *check.scored.values()]
    return table.assign(**{name: numbers[table[name].to_numpy(int)] for name in columns})
