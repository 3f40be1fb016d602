"""Pictures of RandomFill: a slider for each class, and what each of its steps shows."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from audits.checks._shared.images import class_in, picture, sliders
from audits.checks.context import AuditContext
from audits.evidence.codec import Part
from audits.evidence.evidence import Picture, Seen

CAPTIONS = ("image", "masked", "update", "prototype", "composite", "class mean")


def class_sliders(
    check: str,
    audit: AuditContext,
    parts: Sequence[Part],
    table: pd.DataFrame,
    image_of: Callable[[int], int | None],
    prototype: Callable[[Tensor], Tensor],
) -> tuple[Picture, ...]:
    """One slider for each class; its last step is the prototype of the class's mean update.

    `image_of` gives the index of the image that is shown of a class, and `prototype` makes T of
    updates (1, C, H, W).
    """
    sums: dict[int, np.ndarray] = {}
    for part in parts:
        for label, update in zip(part["class"].tolist(), part["class_update"], strict=True):
            sums[label] = sums.get(label, 0) + update
    result = []
    for part in parts:
        last = [_class_mean(sums.get(c), part, prototype) for c in part["shown_label"].tolist()]
        if last:
            shown = np.concatenate([part["shown"], np.stack(last)[:, None]], axis=1)
            result.append({"shown_label": part["shown_label"], "shown": shown})
    seen = partial(_seen, table, image_of, frozenset(sums))
    return sliders(result, check, "class_", audit.classes, CAPTIONS, seen)


def _seen(
    table: pd.DataFrame,
    image_of: Callable[[int], int | None],
    drawn: frozenset[int],
    label: int,
) -> list[Seen | None]:
    """What each step of a class's slider shows, in the order of `CAPTIONS`."""
    index = image_of(label)
    if index is None or index not in table.index:
        return [None] * len(CAPTIONS)
    none = "" if class_in(table, index, "accepted") > 0 else "no draw accepted"
    return [
        Seen("image", index, label),
        Seen("masked", index, label, missing=none),
        Seen("update", index, label, missing=none),
        Seen("drawing", index, label, class_in(table, index, "prototype"), none),
        Seen("blanks", index, label, class_in(table, index, "composite"), none),
        Seen("class", None, label, missing="" if label in drawn else "no draw accepted"),
    ]


def _class_mean(
    update: np.ndarray | None, part: Part, prototype: Callable[[Tensor], Tensor]
) -> np.ndarray:
    if update is None:
        return picture(torch.full((1, *part["shown"].shape[2:4]), torch.nan))
    return picture(prototype(torch.from_numpy(update)[None])[0])
