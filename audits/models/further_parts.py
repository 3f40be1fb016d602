"""The parts of a network's output besides the audited one, of which some name a class too.

Whoever loads the network may take the label or the probabilities that it gives beside its logits.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from audits.errors import quoted

# Beginnings of names under which networks give further heads and features, which name no class.
_NO_CLASS = ("aux", "hidden", "attention", "feature", "embedding")
_DEEPEST = 8  # levels of an output
_LEAST_NUMBER = 2  # a float that is a class and surely no probability


def expect_same_classes(output: Any, audited: Tensor) -> None:
    """Raises ValueError if a part of `output` names other classes than `audited`, (N, K).

    Looked at are all tensors of an output at any depth, whatever their name, but `aux_logits`,
    `hidden_states` and their like: a number for each class, a class number of each image, and the
    first of several whole numbers, as of top 5. Of equal numbers each may be the class.
    """
    if isinstance(output, Tensor) or torch.compiler.is_compiling() or audited.ndim != 2:
        return
    for name, part in _parts(output):
        if part is not audited and not _agrees(part.detach(), audited.detach()):
            raise ValueError(
                f"Expected the same class from all parts of the network's output, got another one "
                f"from {quoted(name)} than from the part that is audited. Take that part out."
            )


def _parts(output: Any, place: str = "", depth: int = 0) -> Iterator[tuple[str, Tensor]]:
    if isinstance(output, Tensor):
        yield place, output
        return
    if isinstance(output, tuple | list):
        inside = {f"{place}[{i}]": part for i, part in enumerate(output)}
    else:
        named = output if isinstance(output, Mapping) else getattr(output, "__dict__", {})
        inside = {
            f"{place}.{name}" if place else str(name): part
            for name, part in named.items()
            if not str(name).strip().casefold().startswith(_NO_CLASS)
        }
    for name, part in inside.items() if depth < _DEEPEST else ():
        yield from _parts(part, name, depth + 1)


def _agrees(part: Tensor, audited: Tensor) -> bool:
    count, classes = audited.shape
    if part.shape[:1] != (count,):
        return True  # of no image
    part = part.to(audited.device).reshape(count, -1)
    whole = not part.is_floating_point() and not part.is_complex()
    if part.shape[1] == classes and not part.is_complex():
        part = part.long() if whole else part
        of_class = part.gather(1, audited.argmax(1, keepdim=True))
        return bool((of_class == part.amax(1, keepdim=True)).all())
    if not _are_numbers(part, whole, classes):
        return True
    first = part[:, :1].long()
    if ((first < 0) | (first >= classes)).any():
        return False
    return bool((audited.gather(1, first) == audited.amax(1, keepdim=True)).all())


def _are_numbers(part: Tensor, whole: bool, classes: int) -> bool:
    """Whether rows (n, k) begin with the number of a class, as a label and top 5 do."""
    if part.shape[1] == 1:
        if whole:
            return part.dtype != torch.bool
        numbers = part.isfinite() & (part == part.round()) & (part.abs() < classes)
        return bool(numbers.all()) and bool((part >= _LEAST_NUMBER).any())
    if not whole or not 1 < part.shape[1] < classes:
        return False
    in_order = part.sort(1).values
    return bool(((part >= 0) & (part < classes)).all() and (in_order.diff(dim=1) > 0).all())
