"""Probabilities of images of which a part is hidden."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from fillblanks.classifier import Classifier

Probabilities = Callable[[Tensor], Tensor]
"""Images (n, C, H, W) in [0, 1] -> probabilities of the classes, float (n, K)."""

Keep = Callable[[Tensor, Tensor], Tensor]
"""Which pixels are kept: images by number (m,), views by number (m,) -> float (m, 1, H, W).

1 keeps a pixel, 0 hides it, and a value between mixes it with the baseline.
"""


def probabilities_of(classifier: Classifier) -> Probabilities:
    """A function that gives the classifier's probabilities, without a gradient.

    An image with a logit that is not finite gets 0 for every class: it is taken for no class.
    """

    def ask(images: Tensor) -> Tensor:
        with torch.no_grad():
            logits = classifier(images.to(classifier.device, classifier.dtype))
            logits = logits if logits.dtype == torch.float64 else logits.float()
            known = logits.isfinite().all(1, keepdim=True)
            return logits.softmax(1).where(known, 0)

    return ask


def answers(
    ask: Probabilities,
    images: Tensor,
    labels: Tensor,
    *,
    views: int,
    keep: Keep,
    baseline: Tensor | None = None,
    chunk: int = 64,
) -> Tensor:
    """The probability of each image's label in each of its `views`, float64 (n, views).

    `images` are float (n, C, H, W) in [0, 1], `labels` int64 (n,). Where `keep` hides pixels of a
    view, those of `baseline` stand, float (n or 1, C, H or 1, W or 1), by default black.
    """
    found = [
        given.gather(1, labels.to(given.device)[rows.to(given.device), None])[:, 0]
        for rows, given in _asked(ask, images, views, keep, baseline, chunk)
    ]
    return torch.cat(found).to(images.device, torch.float64).view(len(images), views)


def all_answers(
    ask: Probabilities,
    images: Tensor,
    *,
    views: int,
    keep: Keep,
    baseline: Tensor | None = None,
    chunk: int = 64,
) -> Tensor:
    """As `answers`, for all K classes: float64 (n, views, K)."""
    found = [given for _, given in _asked(ask, images, views, keep, baseline, chunk)]
    return torch.cat(found).to(images.device, torch.float64).view(len(images), views, -1)


def _asked(
    ask: Probabilities,
    images: Tensor,
    views: int,
    keep: Keep,
    baseline: Tensor | None,
    chunk: int,
) -> Iterator[tuple[Tensor, Tensor]]:
    """The numbers of some images, (m,), and the probabilities of one view of each, (m, K)."""
    behind = images.new_zeros(1, 1, 1, 1) if baseline is None else baseline.to(images)
    for some in torch.arange(len(images) * views, device=images.device).split(chunk):
        rows, numbers = some // views, some % views
        hidden = behind if len(behind) == 1 else behind[rows]
        kept = keep(rows, numbers).to(images)
        yield rows, ask(torch.lerp(hidden.expand_as(images[rows]), images[rows], kept))


def blurred(images: Tensor) -> Tensor:
    """The images, (n, C, H, W), with each pixel the mean of a square around it: a soft baseline.

    The square has a quarter of the shorter side and one pixel more; behind an edge stands the
    image's reflection.
    """
    reach = min(images.shape[2:]) // 8
    around = torch.nn.functional.pad(images, (reach,) * 4, mode="reflect")
    return torch.nn.functional.avg_pool2d(around, 2 * reach + 1, stride=1)
