"""Whether a network answers each image alike: alone, in batches of several sizes and orders."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from fillblanks.loss_sums import loss_weights

_MOST = 32  # images at most
_FEW = 12  # images at most, if half of them do not fit in a batch: then the network is large
_LEAST = 4  # with negatives, if there are fewer images
_ORDER = 0  # seed of the other order
# A class may change by rounding if two logits are nearly equal: for one image in so many at most.
_NEARLY_EQUAL = 8
_ROUNDING = 8 * torch.finfo(torch.float32).eps  # of a sum of logits, as a share of the largest


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
    tolerance: float,
    *,
    only_classes: bool = False,
    share: float = math.inf,
) -> int:
    """How many of the distinct `images` (N, C, H, W) are answered in another way by their batch.

    `batch` are the logits (rows, K) of `repeated(images, rows)`. The images are run again without
    repetitions, in another order and size of the batch, no more than `rows` at a time, and each of
    them alone, as a model that is served may be asked. An image counts if a logit differs by more
    than `tolerance`, or a sum of logits from which the loss gets its direction by more than `share`
    of the largest: very large logits, or an offset of all, would hide other answers. If logits
    stand for a class alone (`only_classes`), or if there are 8 images or more, predicted classes
    are compared too, of which up to one in 8 may change by rounding.
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
    return changed(reference, logits, which, tolerance, only_classes=only_classes, share=share)


def changed(
    reference: Tensor,
    logits: Tensor,
    which: Tensor,
    tolerance: float,
    *,
    only_classes: bool,
    share: float = math.inf,
) -> int:
    """How many of n images are answered otherwise; `reference` (n, K) are their logits.

    Row i of `logits` (m, K) is of the image `which[i]`. See `differing` for the rest.
    """
    count, wanted = len(reference), reference[which]
    # Logits that are not finite are no class, and alike if they are not finite again.
    broken, again = (~values.isfinite().all(1) for values in (wanted, logits))
    far = ~((logits - wanted).abs().amax(1) <= tolerance)
    if not only_classes:
        far |= _sums_differ(reference, logits, which, share)
    far = torch.where(broken | again, broken != again, far)
    moved = set() if only_classes else set(which[far].tolist())
    named, renamed_to = (
        torch.where(none, -1, values.argmax(1))
        for none, values in ((broken, wanted), (again, logits))
    )
    renamed = set(which[named != renamed_to].tolist())
    judged = only_classes or count >= _NEARLY_EQUAL
    if judged and len(renamed) > count // _NEARLY_EQUAL:
        moved |= renamed
    return len(moved)


def _sums_differ(reference: Tensor, logits: Tensor, which: Tensor, share: float) -> Tensor:
    finite = reference.isfinite().all(1)
    weights = loss_weights(reference.nan_to_num(), torch.Generator().manual_seed(_ORDER))
    sums = (weights * reference.double()).sum(-1)
    others = (weights[:, which] * logits.double()).sum(-1)
    if not finite.any():
        return torch.zeros_like(which, dtype=torch.bool)
    rounding = _ROUNDING * float(reference[finite].abs().max())
    most = share * sums[:, finite].abs().amax(1, keepdim=True) + rounding
    return ~((others - sums[:, which]).abs() <= most).all(0)


def _answers(run: Callable[[Tensor], Tensor], images: Tensor, size: int) -> Tensor:
    return torch.cat([run(piece) for piece in images.split(size)])
