"""Whether servers find the class of a model's answers, however they look for it."""

from torch import Tensor

from audits.errors import Contradicted

_TIED = 1 / 8  # the share of images whose class servers may lose
_TIED_BY_CHANCE = 2  # further ones: a network with steps of 8 bits has some


def expect_one_class(logits: Tensor) -> None:
    """Raises Contradicted if many rows of logits (N, K) have their largest number twice.

    Of equal numbers argmax takes the first, topk and sorting any, and a bound of a server one side.
    A network that answers the same for all classes of all images is let through: it has learnt
    nothing, which the audit is to measure.
    """
    known = logits[logits.isfinite().all(1)]
    tied = ~_has_one_best(known)
    flat = (known == known[:, :1]).all(1)
    if flat.all():
        return
    if int(tied.sum()) > len(logits) * _TIED + _TIED_BY_CHANCE:
        raise Contradicted(
            f"Expected one class an image, got several with the same largest number for "
            f"{int(tied.sum())} of {len(logits)} images, of which servers take different ones. "
            "Let the network give different numbers."
        )


def expect_told_apart(logits: Tensor) -> None:
    """Raises Contradicted if a softmax in float32, as servers take it, loses the class of (N, K).

    Some servers take exp of the logits as they are. If the same logits around 0 bear that, a number
    that was added to all of them hides the class.
    """
    known = logits[logits.isfinite().all(1)]
    best = _has_one_best(known)
    lost = int((best & ~_has_one_best(known.float().softmax(1))).sum())
    if lost > len(logits) * _TIED:
        raise Contradicted(
            f"Expected logits that a softmax in float32 tells apart, got {lost} of {len(logits)} "
            "images for which another class is as probable. Do not scale the logits down."
        )
    if (known[:, 0] == 0).all():  # of one logit, of which servers take a sigmoid
        return
    around_0 = _has_one_best(_naive_softmax(known - known.mean(1, keepdim=True)))
    lost = int((best & around_0 & ~_has_one_best(_naive_softmax(known))).sum())
    if lost > len(logits) * _TIED:
        raise Contradicted(
            f"Expected logits around 0, got {lost} of {len(logits)} images with logits so far from "
            "it that exp in float32 is 0 or infinite. Subtract the largest of each image's logits "
            "inside the network."
        )


def _naive_softmax(logits: Tensor) -> Tensor:
    of_each = logits.float().exp()
    return (of_each / of_each.sum(1, keepdim=True)).nan_to_num()


def _has_one_best(values: Tensor) -> Tensor:
    """Whether one value of each row is larger than all others, bool (n,)."""
    return (values == values.amax(1, keepdim=True)).sum(1) == 1
