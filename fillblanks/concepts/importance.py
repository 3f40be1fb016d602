"""The importance of concepts: which share of a logit's variance each takes part in."""

import numpy as np
import torch
from torch import Tensor

from fillblanks.attribution.sobol import designs, total_indices
from fillblanks.concepts.cut import Cut
from fillblanks.concepts.dictionary import Dictionary

DRAWS = 64
"""The worst of ten indices of a linear model is off by .02 on average, with 32 draws by .07."""

_RESAMPLES = 1000


def importances(
    found: Cut,
    values: Tensor,
    codes: Tensor,
    dictionary: Dictionary,
    label: int,
    *,
    draws: int = DRAWS,
    seed: int = 0,
    chunk: int = 64,
) -> Tensor:
    """Sobol's total index of each concept in each image, float64 (n, r), 0 or more.

    `values` (n, ...) are those of `found.encode` and `codes` (n, places, r) their codes. The codes
    of a concept are multiplied, at all places of an image alike, by a share drawn from [0, 1]; the
    figure is the logit of the class `label`. The index says how much of its variance goes if this
    share is known for all other concepts. It takes draws * (r + 1) passes of the second half an
    image. Fel et al. 2023 (arXiv 2211.10154), with the estimator of Jansen 1999.

    Raises ValueError unless `draws` is a power of two from 2 on; ImportError without scipy.
    """
    count = codes.shape[2]
    one = torch.eye(count, dtype=torch.bool)[:, None]
    rows = []
    with torch.no_grad():
        for number, (image, code) in enumerate(zip(values.split(1), codes.to(values), strict=True)):
            # Another design for each image, or the mean over images would keep its error.
            shares, others = designs(draws, count, seed + number)
            drawn = torch.cat([shares[None], others.where(one, shares)]).flatten(0, 1).to(values)
            logits = []
            for some in drawn.split(chunk):
                vectors = dictionary.vectors(code * some[:, None])
                given = image.expand(len(some), *image.shape[1:])
                logits.append(found.decode(found.with_vectors(given, vectors))[:, label])
            answers = torch.cat(logits).double().cpu().view(1, count + 1, draws)
            rows.append(total_indices(answers[:, 0], answers[:, 1:]))
    return torch.cat(rows)


def mean_importances(indices: Tensor) -> np.ndarray:
    """The mean over images of each concept with a 95 % interval: value, low, high, float64 (r, 3).

    `indices` are float64 (n, r). The interval is the percentile interval of 1,000 bootstrap samples
    of images, the same for the same indices; NaN for fewer than two images.
    """
    given = indices.numpy()
    value = given.mean(0)
    if len(given) < 2:
        return np.stack([value, *np.full((2, len(value)), np.nan)], 1)
    picked = np.random.default_rng(0).integers(len(given), size=(_RESAMPLES, len(given)))
    low, high = np.quantile(given[picked].mean(1), (0.025, 0.975), axis=0)
    return np.stack([value, np.minimum(low, value), np.maximum(high, value)], 1)
