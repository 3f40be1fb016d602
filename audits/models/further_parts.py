"""The parts of a network's output besides the audited one, of which some name a class too.

Whoever loads the network may take the label or the probabilities that it gives beside its logits.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from audits.errors import quoted

# Names of parts by which people take the class. Others, such as `aux_logits`, name none for sure.
_NAMING = frozenset(
    {"label", "labels", "class", "classes", "class_id", "class_ids", "predicted", "prediction"}
    | {"predictions", "preds", "prob", "probs", "probability", "probabilities", "score", "scores"}
)


def expect_same_classes(output: Any, audited: Tensor) -> None:
    """Raises ValueError if a part of `output` names other classes than `audited`, (N, K).

    Looked at are parts with a name of `_NAMING`, and whole numbers (N,) in a tuple. Of equal
    numbers each may be the class.
    """
    if isinstance(output, Tensor) or torch.compiler.is_compiling() or audited.ndim != 2:
        return
    for name, part in _parts(output):
        if part is audited or part.shape[:1] != audited.shape[:1]:
            continue
        if not _agrees(part, audited):
            raise ValueError(
                f"Expected the same class from all parts of the network's output, got another one "
                f"from {quoted(name)} than from the part that is audited. Take that part out."
            )


def _parts(output: Any) -> Iterator[tuple[str, Tensor]]:
    if isinstance(output, tuple | list):
        for place, part in enumerate(output):
            if isinstance(part, Tensor) and part.ndim == 1 and not part.is_floating_point():
                yield f"[{place}]", part
        return
    named = output if isinstance(output, Mapping) else getattr(output, "__dict__", {})
    for name, part in named.items():
        if isinstance(part, Tensor) and str(name).strip().casefold() in _NAMING:
            yield str(name), part


def _agrees(part: Tensor, audited: Tensor) -> bool:
    part = part.detach().to(audited.device)
    if part.shape == audited.shape:
        of_class = part.gather(1, audited.detach().argmax(1, keepdim=True))
        return bool((of_class == part.amax(1, keepdim=True)).all())
    if part.is_floating_point() or part.numel() != len(audited):
        return True  # no class
    places = part.reshape(-1, 1).long()
    if ((places < 0) | (places >= audited.shape[1])).any():
        return False
    given = audited.detach()
    return bool((given.gather(1, places) == given.amax(1, keepdim=True)).all())
