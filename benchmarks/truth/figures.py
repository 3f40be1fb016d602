"""Figures of a group of networks, with intervals: areas under the ROC curve, and shares."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.metrics import roc_auc_score

from audits.evidence.estimate import Estimate
from audits.evidence.intervals import proportion
from truth.table import Networks

REAL = "EfficientNet"


class Group(NamedTuple):
    """One check on the networks that have learnt some kinds of mark, beside those without."""

    check: str
    label: str
    planted: pd.DataFrame
    clean: pd.DataFrame

    @property
    def auroc(self) -> Estimate:
        return auroc(self.planted["score"].to_numpy(), self.clean["score"].to_numpy())

    def share(self, column: str) -> Estimate:
        """The share of True among the networks of which the column says anything."""
        return share(self.planted[column])

    def told(self) -> dict[str, str]:
        columns = ("accused", "class_right", "place_right", "beside_right")
        return {
            "check": self.check,
            "kind": self.label,
            "n": f"{len(self.planted)} / {len(self.clean)}",
            "auroc": told(self.auroc),
            **{column: counted(self.share(column)) for column in columns},
        }


def group(networks: Networks, check: str, kinds: Sequence[str], *, real: bool = False) -> Group:
    """Networks of all data sets together; those at 224 pixels (`real`) apart from small ones."""
    planted, clean = (
        one[(one["check"] == check) & ((one["network"] == REAL) == real)]
        for one in (networks.learnt, networks.clean)
    )
    planted = planted[planted["kind"].isin(kinds)]
    label = ", ".join(kinds) if len(kinds) < 3 else "all of these"
    return Group(check, label + (" at 224 pixels" if real else ""), planted, clean)


def share(flags: pd.Series) -> Estimate:
    """The share of True among flags that are not missing, with Wilson's interval."""
    return proportion(flags.dropna().to_numpy(dtype=bool))


def auroc(planted: np.ndarray, clean: np.ndarray) -> Estimate:
    """The area under the ROC curve of two sets of scores, with DeLong's interval (1988).

    The interval is on the scale of log odds, as Pepe 2003 (section 5.2) has it, so that it stays in
    [0, 1]. An area of 1, whose variance DeLong takes for 0, gets Wilson's lower limit of as many
    hits as there are networks in the smaller set. Of one network any other area tells nothing: its
    interval is [0, 1]. NaN for an empty set.
    """
    n = min(len(planted), len(clean))
    if n == 0:
        return Estimate(np.nan, np.nan, np.nan, 0)
    scores, labels = np.concatenate([planted, clean]), np.repeat([1, 0], [len(planted), len(clean)])
    area = float(roc_auc_score(labels, scores))
    if n == 1 and 0 < area < 1:
        return Estimate(area, 0.0, 1.0, len(labels))
    if area in (0.0, 1.0):
        edge = proportion(np.full(n, area == 1.0))
        return Estimate(area, min(edge.low, area), max(edge.high, area), len(labels))
    above = (planted[:, None] > clean) + 0.5 * (planted[:, None] == clean)
    spread = above.mean(1).var(ddof=1) / len(planted) + above.mean(0).var(ddof=1) / len(clean)
    reach = float(stats.norm.ppf(0.975)) * np.sqrt(spread) / (area * (1 - area))
    odds = np.log(area / (1 - area))
    low, high = (1 / (1 + np.exp(-(odds + sign * reach))) for sign in (-1, 1))
    return Estimate(area, float(low), float(high), len(labels))


def told(estimate: Estimate) -> str:
    if estimate.n == 0:
        return "-"
    return f"{estimate.value:.2f} ({estimate.low:.2f}-{estimate.high:.2f})"


def counted(estimate: Estimate) -> str:
    """A share as a count, with its interval."""
    if estimate.n == 0:
        return "-"
    hits = round(estimate.value * estimate.n)
    return f"{hits} of {estimate.n} ({estimate.low:.2f}-{estimate.high:.2f})"
