"""What others do: Neural Cleanse, and the mean saliency of a class."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from fillblanks import Classifier

# Neural Cleanse, as its authors set it but for fewer steps: see docs/truth.md.
STEPS, RATE, COST = 300, 0.1, 0.01
_BATCH, _LARGE_BATCH, _LARGE = 32, 8, 64  # images of a class in a step; pixels of large images
_UP, _DOWN, _PATIENCE, _REACHED = 1.5, 1.5**1.5, 5, 0.99
_MAD = 1.4826  # the median absolute deviation of normal numbers is 1 / 1.4826 of their deviation
_IMAGES = 50  # of a class, for its saliency
_PEAK = 5  # pixels of the square in which saliency is summed


class Cleansed(NamedTuple):
    """The smallest masks found: of each of K classes its L1 norm, and where it is."""

    norms: Tensor  # float (K,)
    masks: Tensor  # float (K, H, W) in [0, 1]

    @property
    def label(self) -> int:
        """The class with the smallest mask."""
        return int(self.norms.argmin())

    @property
    def index(self) -> float:
        """The anomaly index of the smallest norm: its distance from the median in deviations."""
        middle = self.norms.median()
        deviation = _MAD * (self.norms - middle).abs().median()
        return float((middle - self.norms.min()) / deviation.clamp(min=1e-9))

    def place(self, size: int) -> Tensor:
        """The square of `size` pixels that holds most of the smallest mask, int64 (1, 2)."""
        return heaviest(self.masks[self.label], size)


def neural_cleanse(
    classifier: Classifier,
    images: Tensor,
    classes: int,
    seed: int,
    steps: int = STEPS,
    cost: float = COST,
) -> Cleansed:
    """For each class the smallest mask and pattern that turn images into it.

    Wang et al. 2019 (IEEE S&P, "Neural Cleanse"): masks and patterns of all classes are optimised
    at once, by Adam, for the cross entropy plus a cost times the L1 norm of the mask. The cost of a
    class rises while at least 99 % of a batch turn, and falls if they do not. The smallest mask
    with which they turn is kept; of a class without one, the last.
    """
    drawn = torch.Generator().manual_seed(seed)
    device, (channels, height, width) = classifier.device, images.shape[1:]
    given = classifier.to_input(images)
    batch = _LARGE_BATCH if min(height, width) > _LARGE else _BATCH
    shapes = (classes, 1, height, width), (classes, channels, height, width)
    free = [torch.rand(shape, generator=drawn).sub(0.5).to(device) for shape in shapes]
    free = [one.requires_grad_(True) for one in free]
    optimiser = torch.optim.Adam(free, lr=RATE, betas=(0.5, 0.9))
    labels = torch.arange(classes, device=device).repeat_interleave(batch)
    costs = torch.full((classes,), cost, device=device)
    above, below = (torch.zeros(classes, device=device) for _ in range(2))
    best = torch.full((classes,), float("inf"), device=device)
    kept = torch.zeros(classes, height, width, device=device)
    with classifier.steady():
        for _ in range(steps):
            rows = torch.randint(len(given), (batch,), generator=drawn).to(device)
            mask, pattern = (one.tanh() / 2 + 0.5 for one in free)
            some = given[rows][None]
            seen = some + mask[:, None] * (pattern[:, None] - some)
            logits = classifier(seen.flatten(0, 1))
            norms = mask.sum((1, 2, 3))
            loss = functional.cross_entropy(logits, labels, reduction="none")
            loss = loss.view(classes, batch).mean(1) + costs * norms
            optimiser.zero_grad()
            loss.sum().backward()
            optimiser.step()
            with torch.no_grad():
                hits = (logits.argmax(1) == labels).view(classes, batch).float().mean(1)
                reached = hits >= _REACHED
                smaller = reached & (norms < best)
                best = torch.where(smaller, norms, best)
                kept = torch.where(smaller[:, None, None], mask[:, 0], kept)
                above = torch.where(reached, above + 1, 0)
                below = torch.where(reached, 0, below + 1)
                rises, falls = above >= _PATIENCE, below >= _PATIENCE
                costs = torch.where(rises, costs * _UP, torch.where(falls, costs / _DOWN, costs))
                above, below = above.masked_fill(rises, 0), below.masked_fill(falls, 0)
    lost = best.isinf()
    best = torch.where(lost, norms.detach(), best)
    kept = torch.where(lost[:, None, None], mask.detach()[:, 0], kept)
    return Cleansed(best.cpu(), kept.cpu())


class Salient(NamedTuple):
    """The class whose mean map of saliency has the highest peak beyond the median class."""

    score: float
    label: int
    place: Tensor  # int64 (1, 2), of a square of 5 pixels


def class_saliency(classifier: Classifier, images: Tensor, labels: Tensor) -> Salient:
    """The peaks of mean saliency (Simonyan 2014): |gradient of the log-probability|, summed to 1.

    The peak of a class is the square of 5 pixels with the largest share of its map.
    """
    maps, known = [], labels.unique()
    with classifier.steady():
        for label in known.tolist():
            some = classifier.to_input(images[labels == label][:_IMAGES]).requires_grad_(True)
            chosen = classifier(some).log_softmax(1)[:, label].sum()
            (slope,) = torch.autograd.grad(chosen, some)
            mean = slope.abs().mean((0, 1)).cpu()
            maps.append(mean / mean.sum().clamp(min=1e-12))
    peaks = torch.stack([_sums(one, _PEAK).max() for one in maps])
    first = int(peaks.argmax())
    return Salient(
        float(peaks[first] - peaks.median()), int(known[first]), heaviest(maps[first], _PEAK)
    )


def heaviest(weights: Tensor, size: int) -> Tensor:
    """The top left pixel of the square of `size` with the largest sum, int64 (1, 2)."""
    sums = _sums(weights, size)
    at = int(sums.argmax())
    return torch.tensor([[at // sums.shape[1], at % sums.shape[1]]])


def _sums(weights: Tensor, size: int) -> Tensor:
    return functional.avg_pool2d(weights[None, None], size, 1)[0, 0] * size * size
