"""Forced choices by chance: the reference's classes in other orders.

A network that knows nothing still fills the blanks of two classes in two ways, and the reference
finds one of them liker to the one class in all images alike. So the images are no sample of chance:
with two classes, half of the networks with random weights are right for all images. The chance is
whether the outputs of the network happen to be in the order of the reference's classes.
"""

import numpy as np
from torch import Tensor

from audits.checks._shared.readings import Readings
from audits.evidence.estimate import Estimate
from audits.evidence.intervals import TAIL

ORDERS = 2000
_EVEN = 0.5


def told_apart(fill: Readings, other: Readings, labels: Tensor, foils: Tensor) -> np.ndarray:
    """How many of n images are told apart with the reference's classes in other orders.

    `fill` reads the images asked for `labels`, `other` those asked for `foils`, int64 (n,). The
    result is float64 (ORDERS,), each for a random order, the same for all images; ties count half.
    """
    shift = (fill.log_probability - other.log_probability).numpy()
    rows, count = np.arange(len(shift)), shift.shape[1]
    generator = np.random.default_rng(0)
    found = np.empty(ORDERS)
    for number in range(ORDERS):
        order = generator.permutation(count)
        gap = shift[rows, order[labels.numpy()]] - shift[rows, order[foils.numpy()]]
        found[number] = (gap > 0).sum() + 0.5 * (gap == 0).sum()
    return found


def chance(shares: np.ndarray, n: int) -> Estimate:
    """The share by chance: .5 over all orders, and where 95 % of them lie.

    `shares` are those of `n` images in random orders. Of fewer than five classes each order is so
    frequent that no share is outside.
    """
    low = min(float(np.quantile(shares, TAIL, method="lower")), _EVEN)
    high = max(float(np.quantile(shares, 1 - TAIL, method="higher")), _EVEN)
    return Estimate(_EVEN, low, high, n)


def above_chance(share: Estimate, by_chance: Estimate) -> Estimate:
    """By how much a share of the same images is above chance.

    The lower limit holds both for other images and for networks whose outputs are in any order: it
    is the lower of the two.
    """
    low = min(share.low - by_chance.value, share.value - by_chance.high)
    return Estimate(share.value - by_chance.value, low, share.high - by_chance.value, share.n)
