"""Does the model recognise its own fills? What both fill checks share (section 4.3)."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
import torch
from pydantic import PositiveInt
from torch import Tensor

from audits.checks.base import AuditContext, Check
from audits.statistics import Estimate, difference, proportion, scores
from audits.store import Part
from audits.strict import Share
from fillblanks.second_order import LEAST_PASSES
from fillblanks.threshold import Normalise
from fillblanks.update import Update


class FillCheck(Check):
    """The parameters that every fill has; the paper leaves them open."""

    patch_size: PositiveInt = 2
    normalise: Normalise = "positive"
    binarise: Share | Literal["otsu"] | None = 0.1
    blank_value: Share | Literal["mean"] = 0.0
    update: Update = "first_order"

    @property
    def passes_an_update(self) -> int:
        """How many passes an update takes, at the least."""
        return 1 if self.update == "first_order" else LEAST_PASSES


def recognise(audit: AuditContext, pictures: Tensor, found: Tensor) -> np.ndarray:
    """The class the model sees in each picture, int64 (n,); -1, a miss, where not `found`."""
    classifier = audit.classifier
    result = torch.full((len(pictures),), -1)
    rows = found.nonzero()[:, 0]
    with classifier.steady():
        for chunk in rows.split(audit.plan.chunk):
            images = pictures[chunk].to(classifier.device, classifier.dtype)
            result[chunk] = classifier.predict(images).cpu()
    return result.numpy()


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
    values at random places; the lift is accuracy minus that null's.
    """
    label = table["label"].to_numpy()
    result = scores(label, table[column].to_numpy(), classes)
    result["accuracy_null"] = proportion(label == table[f"{column}_null"].to_numpy())
    result["accuracy_lift"] = difference(result["accuracy"], result["accuracy_null"])
    return {prefix + name: estimate for name, estimate in result.items()}
