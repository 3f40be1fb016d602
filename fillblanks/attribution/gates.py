"""Gates: for each patch of an image, how much its answer needs the patch, found by descent."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from fillblanks import masks
from fillblanks.attribution.sufficient import divergence
from fillblanks.classifier import Classifier

STEPS = 100
_TEMPERATURE = 0.2
_LOW, _HIGH = -0.2, 1.0  # to which gates are stretched before they are cut at 0 and 1
_SHIFT = _TEMPERATURE * math.log(-_LOW / _HIGH)  # a gate of this logit is open half of the time
_RATE = 0.3  # of Adam, for gates and for the multiplier
_OPEN = 2.0  # logit with which all gates begin
_MULTIPLIER = 3.0  # the first one
MOST_MULTIPLIER = 200.0
"""Multipliers of the constraint are cut here, as those of De Cao et al. are."""

_NOISE = -(1 << 33)  # draws of the noise; masks use 0, 1, ..., other draws those from -1 down


def gate(logits: Tensor, noise: Tensor) -> Tensor:
    """Gates in [0, 1), hard concrete: 0 has a probability of its own.

    `logits` are of any shape, `noise` has uniform numbers in (0, 1) of that shape. Louizos et al.
    2018 (arXiv 1712.01312), equations 10 and 11; temperature and stretch are those of Nalmpantis et
    al. 2023 (arXiv 2304.06391).
    """
    concrete = torch.sigmoid((logits + noise.logit()) / _TEMPERATURE)
    return (concrete * (_HIGH - _LOW) + _LOW).clamp(0, 1)


def open_probability(logits: Tensor) -> Tensor:
    """The probability that a `gate` is above 0 (Louizos et al. 2018, equation 12)."""
    return torch.sigmoid(logits - _SHIFT)


def log_open_probability(logits: Tensor) -> Tensor:
    """The logarithm of `open_probability`, which does not become 0 for gates that are shut."""
    return functional.logsigmoid(logits - _SHIFT)


def sampled_gate(logits: Tensor, noise: Tensor) -> Tensor:
    """A `gate` with the slope of its probability of being open.

    Its own slope is 0 while it is closed, and a needed gate that closed early would stay closed. A
    slope that is not its own: Bengio et al. 2013 (arXiv 1308.3432).
    """
    chance = open_probability(logits)
    return chance + (gate(logits, noise) - chance).detach()


def lead(given: Tensor, classes: Tensor) -> Tensor:
    """By how much the likeliest other class is ahead of `classes`, int64 (n,), in nats: (n,).

    `given` are logarithms of probabilities, (n, K). Below 0 the class is the predicted one.
    """
    own = given.gather(1, classes[:, None])[:, 0]
    return given.scatter(1, classes[:, None], -torch.inf).amax(1) - own


def gate_values(
    classifier: Classifier,
    images: Tensor,
    *,
    blank: Tensor,
    patch_size: int,
    most_divergence: float,
    seed: int,
    indices: Tensor,
    steps: int = STEPS,
    chunk: int = 64,
) -> Tensor:
    """The probability that the gate of each patch is open, a mean over steps: float64 (n, P).

    Each image, float (n, C, H, W) in [0, 1], has gates of its own, one for each patch of
    `patch_size` pixels: a pixel is gate * image + (1 - gate) * `blank`, float (1, C or 1, 1, 1) or
    the images' shape. Adam takes `steps` steps towards the fewest open gates with which the answer
    has the same class and a divergence of at most `most_divergence` nats from that to the image:
    the larger of `lead` and the divergence's excess is to be 0 or less. This constraint has a
    Lagrange multiplier, which is raised while it is broken (De Cao et al. 2020, arXiv 2004.14992,
    section 3.2, for gates that a network gives, with the divergence alone). Gates are those of
    `sampled_gate`. They go on to open and close while the multiplier falls and rises, so the mean
    over the second half of the steps is taken. Which patches suffice is not told by this:
    `fewest_patches` verifies them. One pass with a gradient a step.

    `seed` and `indices`, int64 (n,), the images' identities, decide the noise; an image has the
    same gates in any batch. The network must be in evaluation mode and frozen, see
    `Classifier.steady`. An image without a finite gradient gets no order of its patches.
    """
    found = [
        _descended(
            classifier,
            images[some],
            blank if len(blank) == 1 else blank[some],
            patch_size,
            most_divergence,
            seed,
            indices[some],
            steps,
        )
        for some in torch.arange(len(images), device=images.device).split(chunk)
    ]
    return torch.cat(found)


def _descended(
    classifier: Classifier,
    images: Tensor,
    blank: Tensor,
    patch_size: int,
    most_divergence: float,
    seed: int,
    indices: Tensor,
    steps: int,
) -> Tensor:
    height, width = images.shape[2:]
    rows, columns = masks.grid_shape(height, width, patch_size)
    patches = rows * columns
    begin = torch.ones(len(images), patches, dtype=torch.float64, device=images.device)
    logits = (_OPEN * begin).requires_grad_(True)
    multiplier = (_MULTIPLIER * begin[:, 0]).requires_grad_(True)
    closing = torch.optim.Adam([logits], _RATE)
    rising = torch.optim.Adam([multiplier], _RATE, maximize=True)
    with torch.no_grad():
        told = classifier(images).double().log_softmax(1)
    classes = told.argmax(1)
    total = torch.zeros_like(begin)
    for step in range(steps):
        noise = masks.uniform(
            masks.keys(seed, indices, torch.full_like(indices, _NOISE - step), patches)
        )
        with torch.enable_grad():
            gates = sampled_gate(logits, noise)
            pixels = masks.to_pixels(gates, height, width, patch_size).to(images)
            mixed = torch.lerp(blank.expand_as(images), images, pixels)
            given = classifier(mixed).double().log_softmax(1)
            excess = torch.maximum(divergence(told, given) - most_divergence, lead(given, classes))
            loss = open_probability(logits).mean(1) + multiplier * excess
            gradients = torch.autograd.grad(loss.sum(), (logits, multiplier))
        logits.grad, multiplier.grad = (one.nan_to_num(0, 0, 0) for one in gradients)
        closing.step()
        rising.step()
        multiplier.data.clamp_(0, MOST_MULTIPLIER)
        if step >= steps // 2:
            total += open_probability(logits.detach())
    return total / (steps - steps // 2)
