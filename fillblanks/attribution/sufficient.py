"""Sufficient patches: how few patches of an image bring the same answer as the whole image."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from fillblanks import masks
from fillblanks.classifier import Classifier

LogProbabilities = Callable[[Tensor], Tensor]
"""Images (n, C, H, W) in [0, 1] -> logarithms of the classes' probabilities, float64 (n, K)."""

_BLOCK = 8  # numbers of patches that are tried at a time


class Sufficient(NamedTuple):
    """The patches of n images that suffice."""

    fewest: Tensor  # how many patches, int64 (n,) in [0, P]
    kept: Tensor  # which, bool (n, P)
    divergence: Tensor  # of the answer with them from that to the image, in nats, float64 (n,)
    passes: int  # images that were run


def log_probabilities_of(classifier: Classifier) -> LogProbabilities:
    """A function that gives the logarithms of the classifier's probabilities, without a gradient.

    An image with a logit that is not finite gets NaN for every class.
    """

    def ask(images: Tensor) -> Tensor:
        with torch.no_grad():
            logits = classifier(images.to(classifier.device, classifier.dtype)).double()
            known = logits.isfinite().all(1, keepdim=True)
            return logits.log_softmax(1).where(known, torch.nan)

    return ask


def divergence(told: Tensor, given: Tensor) -> Tensor:
    """The Kullback-Leibler divergence of `given` from `told`, in nats: float64 (n,).

    Both are logarithms of probabilities, (n, K). It is the sum of p (log p - log q) with p of
    `told`; NaN if a logarithm is.
    """
    return (told.exp() * (told - given)).sum(1)


def fewest_patches(
    ask: LogProbabilities,
    images: Tensor,
    values: Tensor,
    *,
    blank: Tensor,
    patch_size: int,
    most_divergence: float,
    chunk: int = 64,
) -> Sufficient:
    """How few patches suffice, if they are taken in the order of `values`, the highest first.

    `images` are float (n, C, H, W) in [0, 1], `values` float (n, P). Patches of `patch_size` pixels
    suffice if the image with all others replaced by `blank`, float (1, C or 1, 1, 1) or the images'
    shape, has the predicted class of the image and a `divergence` from it of at most
    `most_divergence` nats. 0, 1, 2, ... patches are tried; the first number that suffices is taken,
    so the result is verified: it is the answer to an image that hides the others wholly. All
    patches are the image itself and always suffice. Of equal patches the first comes first. An
    answer that is not finite does not suffice.
    """
    patches = values.shape[1]
    place = values.argsort(dim=1, descending=True, stable=True).argsort(1)
    told = _asked(ask, images, chunk)
    count = torch.full((len(images),), patches, device=images.device)
    reached = torch.zeros(len(images), dtype=torch.float64, device=images.device)
    left = torch.arange(len(images), device=images.device)
    passes = len(images)
    for first in range(0, patches, _BLOCK):
        tried = torch.arange(first, min(first + _BLOCK, patches), device=images.device)
        shown = place[left, None] < tried[:, None]
        given = _shown(ask, images[left], shown, blank, patch_size, chunk)
        passes += len(left) * len(tried)
        far = _distances(told[left], given)
        enough = (far <= most_divergence) & (given.argmax(2) == told[left].argmax(1, keepdim=True))
        found, at = enough.any(1), enough.int().argmax(1)
        count[left[found]] = tried[at[found]]
        reached[left[found]] = far[found, at[found]]
        left = left[~found]
        if not len(left):
            break
    return Sufficient(count, place < count[:, None], reached, passes)


def patch_costs(
    ask: LogProbabilities,
    images: Tensor,
    *,
    blank: Tensor,
    patch_size: int,
    chunk: int = 64,
) -> Tensor:
    """The `divergence` of the answer if one patch is blank, for each patch: float64 (n, P).

    Occlusion (Zeiler and Fergus 2014, arXiv 1311.2901) of all classes instead of one. No gradient
    is needed. Arguments are those of `fewest_patches`. An answer that is not finite costs nothing.
    """
    height, width = images.shape[2:]
    rows, columns = masks.grid_shape(height, width, patch_size)
    others = ~torch.eye(rows * columns, dtype=torch.bool, device=images.device)
    told = _asked(ask, images, chunk)
    shown = others.expand(len(images), -1, -1)
    return _distances(told, _shown(ask, images, shown, blank, patch_size, chunk)).nan_to_num(0)


def _distances(told: Tensor, given: Tensor) -> Tensor:
    """The divergence of each view's answer, (n, views, K), from `told`, (n, K): (n, views)."""
    views = given.shape[1]
    far = divergence(told.repeat_interleave(views, 0), given.flatten(0, 1))
    return far.clamp(min=0).view(-1, views)  # rounding may give less than 0


def _shown(
    ask: LogProbabilities,
    images: Tensor,
    shown: Tensor,
    blank: Tensor,
    patch_size: int,
    chunk: int,
) -> Tensor:
    """The answers to views of images in which only some patches, bool (n, views, P), are shown."""
    height, width = images.shape[2:]
    views = shown.shape[1]
    found = []
    for some in torch.arange(len(images) * views, device=images.device).split(chunk):
        rows = some // views
        seen = masks.to_pixels(shown[rows, some % views], height, width, patch_size)
        found.append(ask(torch.where(seen, images[rows], _behind(blank, rows))))
    return torch.cat(found).view(len(images), views, -1)


def _behind(blank: Tensor, rows: Tensor) -> Tensor:
    return blank if len(blank) == 1 else blank[rows]


def _asked(ask: LogProbabilities, images: Tensor, chunk: int) -> Tensor:
    return torch.cat([ask(some) for some in images.split(chunk)])
