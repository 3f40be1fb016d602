"""A metric against several nulls at once."""

import numpy as np

from audits.evidence.estimate import Estimate
from audits.evidence.intervals import bounded_mean, paired_mean_difference
from audits.evidence.metric import Metric


def against_all(metric: Metric, values: np.ndarray, low: float) -> Metric:
    """The metric of (n, 1 + m) values in [low, 1]: the maps, and m nulls.

    The lift is the smallest of m, with the smallest of their limits: it is above 0 if all are,
    which needs no correction for m tests (Berger 1982, Technometrics 24:295).
    """
    own, *nulls = values.T
    lifts = [metric.oriented(paired_mean_difference(own, null, low)) for null in nulls]
    lift = Estimate(
        min(one.value for one in lifts),
        min(one.low for one in lifts),
        min(one.high for one in lifts),
        len(own),
    )
    better = nulls[int(np.argmin([one.value for one in lifts]))]
    return metric.measured(bounded_mean(own, low), bounded_mean(better, low), lift)
