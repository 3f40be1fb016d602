"""The real image that is nearest to the drawing of a class, for the report."""

import math
from collections.abc import Iterable, Sequence

import numpy as np

from audits.checks._shared.images import picture
from audits.checks.context import AuditContext
from audits.evidence.evidence import Picture, Seen

_MOST_VALUES = 30_000_000  # in all images that are looked at
_AT_ONCE = 64  # images in memory


def nearest_examples(
    audit: AuditContext, check: str, chosen: np.ndarray, pictures: Iterable[Picture]
) -> tuple[Picture, ...]:
    """For each drawing of a class, the image whose grey values correlate most with it.

    `chosen` are indices of the images that the check measured; if they are very many, a part of
    them, evenly taken, is looked at. In `seen`, `label` is the class of the drawing and `read_as`
    the true class of the image.
    """
    wanted = [p for p in pictures if p.seen and p.seen.shows == "class" and not p.seen.missing]
    if not wanted:
        return ()
    step = math.ceil(len(chosen) * math.prod(audit.shape) / _MOST_VALUES)
    indices = chosen[:: max(step, 1)].tolist()
    drawn = _standardised(np.stack([p.image.mean(axis=2) for p in wanted]))
    likeness = np.concatenate(
        [
            drawn @ _standardised(_grey(audit, indices[at : at + _AT_ONCE])).T
            for at in range(0, len(indices), _AT_ONCE)
        ],
        axis=1,
    )
    nearest = [indices[column] for column in likeness.argmax(axis=1)]
    return tuple(
        _example(audit, check, drawing, index)
        for drawing, index in zip(wanted, nearest, strict=True)
    )


def _example(audit: AuditContext, check: str, drawing: Picture, index: int) -> Picture:
    assert drawing.seen is not None
    label, true = drawing.seen.label, int(audit.images.labels[index])
    image = picture(audit.images.tensor([index])[0])
    seen = Seen("nearest", index, label, true)
    return Picture(f"{check}/nearest_{label}", 0, image, "nearest real image", seen=seen)


def _grey(audit: AuditContext, indices: Sequence[int]) -> np.ndarray:
    return audit.images.tensor(indices).mean(dim=1).numpy()


def _standardised(images: np.ndarray) -> np.ndarray:
    """Rows of mean 0 and length 1, so that products are correlations; 0 for a flat image."""
    flat = images.reshape(len(images), -1).astype(np.float64)
    flat -= flat.mean(axis=1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    return np.divide(flat, length, out=np.zeros_like(flat), where=length > 0)
