"""Whether a network answers each image alike: alone, in batches of several sizes and orders."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from fillblanks.loss_sums import loss_weights

_MOST = 32  # images at most
_FEW = 12  # images at most, if half of them do not fit in a batch: then the network is large
_LEAST = 4  # with negatives, if there are fewer images
_ORDER = 0  # seed of the other order
# A class may change by rounding if two logits are nearly equal: for one image in so many at most.
_NEARLY_EQUAL = 8
_STEPS = 2  # of its own number by which a term of a sum may be rounded
_ADDED = 32  # roundings to float32 of a number that was added to all logits
_TYPICAL = 0.25  # the quantile of images that stands for an image near 0


class Rounding(NamedTuple):
    """By how much answers of an image may differ with its batch.

    `share` of a value, and a few times `step`, that of the numbers in use, of each term of a sum.
    """

    share: float
    step: float


def distinct(images: Tensor, rows: int) -> Tensor:
    """The first images (N, C, H, W) in [0, 1] that are tried by a network in batches of `rows`.

    They are 32 at most, 12 if a batch is small, and come with their negatives if they are few.
    """
    some = images[: min(_MOST, max(_FEW, 2 * rows))]
    return some if len(some) >= _LEAST else torch.cat([some, 1 - some])


def repeated(images: Tensor, rows: int) -> Tensor:
    """A batch of `rows` images: these one after the other, again and again."""
    return images.repeat(-(-rows // len(images)), 1, 1, 1)[:rows]


def differing(
    run: Callable[[Tensor], Tensor],
    images: Tensor,
    batch: Tensor,
    rounding: Rounding,
    *,
    only_classes: bool = False,
) -> int:
    """How many of the distinct `images` (N, C, H, W) are answered in another way by their batch.

    `batch` are the logits (rows, K) of `repeated(images, rows)`. The images are run again without
    repetitions, in another order and size of the batch, no more than `rows` at a time, and each of
    them alone, as a model that is served may be asked. See `changed` for what counts.
    """
    count, rows = len(images), len(batch)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(_ORDER))
    order = order.to(images.device)
    most = min(count, rows)
    reference = _answers(run, images, 1)
    shuffled = torch.empty_like(reference)
    shuffled[order] = _answers(run, images[order], -(-most * 2 // 3))
    every = torch.arange(count, device=images.device)
    found = [(torch.arange(rows, device=images.device) % count, batch), (every, shuffled)]
    if rows > count:
        found.append((every, _answers(run, images, count)))
    elif rows < count:
        found.append((every[rows:], _answers(run, images[rows:], rows)))
    which = torch.cat([rows_of for rows_of, _ in found])
    logits = torch.cat([answers for _, answers in found])
    return changed(reference, logits, which, rounding, only_classes=only_classes)


def changed(
    reference: Tensor,
    logits: Tensor,
    which: Tensor,
    rounding: Rounding,
    *,
    only_classes: bool,
    renamed: float = 1 / _NEARLY_EQUAL,
    among: Tensor | None = None,
) -> int:
    """How many of n images are answered otherwise; `reference` (n, K) are their logits.

    Row i of `logits` (m, K) is of the image `which[i]`. An image counts if a logit differs, or a
    sum of logits from which the loss gets its direction, by more than its `rounding`. Each image
    is measured by itself, and its logits less the largest: very large logits, an offset of all, or
    other images with larger ones would hide other answers. If it is nearly 0, it is measured by the
    lower quartile of the images whose logits are `among` (N, K), or `reference`. If logits stand
    for a class alone (`only_classes`), or if a share `renamed` of the images is one or more,
    predicted classes are compared too: those of up to that share may change by rounding.
    """
    count, wanted = len(reference), reference[which]
    # Logits that are not finite are no class, and alike if they are not finite again.
    broken, again = (~values.isfinite().all(1) for values in (wanted, logits))
    far = torch.zeros_like(broken)
    if not only_classes:
        far = _apart(reference, logits, which, rounding, reference if among is None else among)
    far = torch.where(broken | again, broken != again, far)
    moved = set() if only_classes else set(which[far].tolist())
    named, renamed_to = (
        torch.where(none, -1, values.argmax(1))
        for none, values in ((broken, wanted), (again, logits))
    )
    others = set(which[named != renamed_to].tolist())
    judged = only_classes or count * renamed >= 1
    if judged and len(others) > math.floor(count * renamed):
        moved |= others
    return len(moved)


def _apart(
    reference: Tensor, logits: Tensor, which: Tensor, rounding: Rounding, among: Tensor
) -> Tensor:
    among = among[among.isfinite().all(1)]
    if not len(among):
        return torch.zeros_like(which, dtype=torch.bool)
    known, typical = _sizes(reference.nan_to_num()), _sizes(among)
    relative = _relative(logits)
    others = (known.weights[:, which] * relative).sum(-1)
    own, terms = known.sums[:, which], known.terms[:, which]
    floor = typical.sums.abs().quantile(_TYPICAL, 1, keepdim=True, interpolation="higher")
    # Rounding to float32 by a number that was added to all logits, which no class depends on.
    added = _ADDED * torch.finfo(torch.float32).eps * known.added[which]
    # A class that is surely not the answer has no weight, however large its logit.
    most = rounding.share * own.abs().clamp(min=floor) + _STEPS * rounding.step * terms + added
    far = ~((others - own).abs() <= most).all(0)
    floor = typical.largest.quantile(_TYPICAL, interpolation="higher").clamp(min=1)
    most = rounding.share * known.largest[which].clamp(min=floor) + added
    return far | ~((relative - _relative(reference[which])).abs().amax(1) <= most)


class _Sizes(NamedTuple):
    weights: Tensor  # (2, N, K) of two sums of logits
    sums: Tensor  # (2, N)
    terms: Tensor  # (2, N), of the sizes of their terms
    largest: Tensor  # (N,), of all logits
    added: Tensor  # (N,), the size of a number that may have been added to all logits


def _sizes(logits: Tensor) -> _Sizes:
    weights = loss_weights(logits, torch.Generator().manual_seed(_ORDER))
    relative, plain = _relative(logits), logits.double()
    terms = (weights * relative).abs().sum(-1).minimum((weights * plain).abs().sum(-1))
    largest = relative.abs().amax(1).minimum(plain.abs().amax(1))
    return _Sizes(weights, (weights * relative).sum(-1), terms, largest, plain.amax(1).abs())


def _relative(logits: Tensor) -> Tensor:
    """Logits less the largest of each image, float64, as a softmax takes them; a single one stays.

    A number that is added to all logits would make any difference look small.
    """
    values = logits.double()
    return values if values.shape[1] == 1 else values - values.amax(1, keepdim=True)


def _answers(run: Callable[[Tensor], Tensor], images: Tensor, size: int) -> Tensor:
    return torch.cat([run(piece) for piece in images.split(size)])
