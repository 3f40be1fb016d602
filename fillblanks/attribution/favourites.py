"""The window of each image on which a network relies most for a class."""

from typing import Literal

import torch
from torch import Tensor

from fillblanks.attribution.windows import inside, window_means, window_places
from fillblanks.classifier import Classifier

Chooser = Literal["gradient", "occlusion"]


def favourite_windows(
    classifier: Classifier,
    images: Tensor,
    labels: Tensor,
    *,
    size: int,
    stride: int,
    chooser: Chooser = "gradient",
    chunk: int = 64,
) -> Tensor:
    """The place of the window of each image on which its class rests most, int64 (n, 2).

    `images` are float (n, C, H, W) in [0, 1], `labels` int64 (n,). The score of a window is how
    much of the class's log odds, log p - log(1 - p), is lost with it. With `occlusion` the window
    is made black (Zeiler and Fergus 2014, arXiv 1311.2901): one pass for each window, without a
    gradient. With `gradient` the loss is estimated from one gradient, as the mean in the window of
    gradient times (image - mean colour of `images`), summed over channels (Shrikumar et al. 2016,
    arXiv 1605.01713, with another baseline than black). Log odds are taken since the
    log-probability of a class that the network is sure of has no gradient left. Of equal windows
    the first is taken; a score that is no number is the lowest.

    Raises ValueError as `window_places` and `Classifier.to_input` do.
    """
    places = window_places(images.shape[2], images.shape[3], size, stride)
    colour = images.mean((0, 2, 3), keepdim=True)
    with classifier.steady():
        found = [
            _by_gradient(classifier, some, own, places, size, colour)
            if chooser == "gradient"
            else _by_occlusion(classifier, some, own, places, size)
            for some, own in zip(images.split(chunk), labels.split(chunk), strict=True)
        ]
    scores = torch.cat(found)
    return places[scores.nan_to_num(nan=-torch.inf).argmax(1)]


def _by_gradient(
    classifier: Classifier,
    images: Tensor,
    labels: Tensor,
    places: Tensor,
    size: int,
    colour: Tensor,
) -> Tensor:
    given = classifier.to_input(images).requires_grad_(True)
    (gradient,) = torch.autograd.grad(_log_odds(classifier, given, labels).sum(), given)
    lost = gradient.cpu() * (images - colour)
    return window_means(lost.sum(1).float(), places, size)


def _by_occlusion(
    classifier: Classifier, images: Tensor, labels: Tensor, places: Tensor, size: int
) -> Tensor:
    given = classifier.to_input(images)
    lost = []
    with torch.no_grad():
        for window in inside(images.shape[2], images.shape[3], places, size):
            seen = given.masked_fill(window.to(given.device), 0)
            lost.append(-_log_odds(classifier, seen, labels).float().cpu())
    return torch.stack(lost, 1)


def _log_odds(classifier: Classifier, images: Tensor, labels: Tensor) -> Tensor:
    logits, wanted = classifier(images), labels.to(images.device)[:, None]
    others = logits.scatter(1, wanted, -torch.inf)
    return logits.gather(1, wanted)[:, 0] - others.logsumexp(1)
