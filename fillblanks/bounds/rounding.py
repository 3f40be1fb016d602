"""How far rounding may move a sum, so that bounds hold for the network as it is run.

With unit roundoff u, a sum of n products, added in any order, differs from the exact one by at most
gamma_n = n u / (1 - n u) times the sum of their absolute values (Higham 2002, Accuracy and
Stability of Numerical Algorithms, section 3.1). Bounds are computed in float64 and widened by
gamma_n of the network's own dtype, which covers the network's rounding as well as theirs. What is
nearer to 0 than the smallest normal number may be taken for 0, which adds an absolute error to each
term; if a value may be larger than the largest number, nothing is bounded. Not covered are dtypes
below the network's own, as TF32 on a GPU, and fast convolutions that are no sums of products
(Winograd, FFT).
"""

import torch

_SPARE = 16  # operations beside the sum: centres, radii, biases
_BOTH = 2  # the network's rounding, and that of the bounds
_SINGLE = torch.finfo(torch.float64).eps / 2


def gamma(terms: int, dtype: torch.dtype) -> float:
    """The largest relative error of a sum of `terms` products in `dtype`; inf if there is none."""
    return _gamma(_BOTH * (terms + _SPARE), torch.finfo(dtype).eps / 2)


def gamma64(terms: int) -> float:
    """The same for the bounds' own sums, in float64."""
    return _gamma(terms + _SPARE, _SINGLE)


def _gamma(count: int, unit: float) -> float:
    share = count * unit
    return share / (1 - share) if share < 1 else float("inf")


def tiny(dtype: torch.dtype) -> float:
    """The smallest normal number: processors may take what is nearer to 0 for 0."""
    return torch.finfo(dtype).tiny


def flushable(terms: int) -> int:
    """How many results of a sum of `terms` products may be taken for 0."""
    return _BOTH * (terms + _SPARE)
