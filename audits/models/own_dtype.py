"""Whether a network that is audited in float32 answers alike in the dtype in which it is served."""

from functools import partial

import torch
from torch import Tensor

from audits.errors import AuditError, Contradicted
from audits.models.adapter import NETWORK_ERRORS
from fillblanks import Classifier
from fillblanks.batches import changed, distinct, repeated
from fillblanks.memory import with_fewer_rows


def runs_alike(
    served: Classifier, audited: Classifier, images: Tensor, rows: int, name: str
) -> bool:
    """Whether the network runs here as it is `served`, in the dtype `name`.

    `images`, (N, C, H, W) in [0, 1], are on the device of `audited`. Some of them are given to
    `served` alone, as a server may ask it, and in a batch of `rows`, or of as many as memory has
    room for. At most 1/8 of them may have another class, see `fillblanks.batches.changed`, since
    rounding decides between two logits that are nearly equal.

    Raises Contradicted if more have another class than `audited` gives them.
    """
    some = distinct(images, rows)
    expected = _answers(audited, some, 1)
    try:
        alone = _answers(served, some, 1)
        batch = with_fewer_rows(partial(_answers, served, repeated(some, rows)), rows)
    except AuditError:  # of our own looks: a server answers there
        raise
    except (*NETWORK_ERRORS, MemoryError):
        return False  # the verdict says so, see Setting.doubts
    every = torch.arange(len(some), device=some.device)
    which = torch.cat([every, torch.arange(len(batch), device=some.device) % len(some)])
    got = torch.cat([alone, batch])
    others = (
        len(some)
        if got.shape[1:] != expected.shape[1:]
        else changed(expected, got, which, audited.rounding, only_classes=True)
    )
    if others:
        raise Contradicted(
            f"Expected the same classes from the model in {name}, as it is served, and in "
            f"{str(audited.dtype).removeprefix('torch.')}, as it is audited, got others for "
            f"{others} of {len(some)} images. Log the model in float32, with a signature of "
            "float32, so that it is audited as it is served."
        )
    return True


def _answers(net: Classifier, images: Tensor, size: int) -> Tensor:
    with net.steady(), torch.no_grad():
        return torch.cat([net(piece).float() for piece in images.split(size)])
