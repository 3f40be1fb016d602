"""The parts of a network's output besides the audited one, of which some name a class too.

Whoever loads the network may take the label or the probabilities that it gives beside its logits.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from audits.errors import Contradicted, quoted

# Beginnings of names under which networks give further heads and features, which name no class.
# DeiT gives the logits of two heads beside their mean, which is its answer.
_NO_CLASS = ("aux", "hidden", "attention", "feature", "embedding", "cls_logits", "distillation_")
_DEEPEST = 8  # levels of an output
_LEAST_RANKED = 3  # two numbers 0 and 1 are rather a label in one-hot
_LEAST_NUMBER = 2  # a float that is a class and surely no probability


def expect_same_classes(output: Any, audited: Tensor) -> None:
    """Raises Contradicted if a part of `output` names other classes than `audited`, (N, K).

    Looked at are all tensors of an output to eight levels, whatever their name, but `aux_logits`,
    `hidden_states` and their like: a number for each class, a class number of each image, and the
    first of several whole numbers, as of top 5. Of equal numbers each may be the class.
    """
    for name, part in _parts(output):
        if part is not audited and not _agrees(part.detach(), audited.detach()):
            raise Contradicted(
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
    told = audited.isfinite().all(1)  # an image without an answer has no class
    if part.shape[:1] == audited.shape[:1]:
        part, audited = part.to(audited.device)[told], audited[told]
    count, classes = audited.shape
    if not count or part.shape[:1] != (count,):
        return True  # of no image
    part = part.reshape(count, -1)
    whole = not part.is_floating_point() and not part.is_complex()
    best = audited == audited.amax(1, keepdim=True)
    if part.shape[1] == classes and not part.is_complex() and not _are_ranked(part, whole):
        part = part.long() if whole else part
        return bool((best & (part == part.amax(1, keepdim=True))).any(1).all())
    if not _are_numbers(part, whole, classes):
        return True
    first = part[:, :1].long()
    if ((first < 0) | (first >= classes)).any():
        return False
    return bool(best.gather(1, first).all())


def _are_ranked(part: Tensor, whole: bool) -> bool:
    """Whether each row (n, K) has all class numbers, as a sorting gives them."""
    if not whole or part.dtype == torch.bool or part.shape[1] < _LEAST_RANKED:
        return False
    every = torch.arange(part.shape[1], device=part.device)
    return bool((part.long().sort(1).values == every).all())


def _are_numbers(part: Tensor, whole: bool, classes: int) -> bool:
    """Whether rows (n, k) begin with the number of a class, as a label and top 5 do."""
    if part.shape[1] == 1:
        if whole:
            return part.dtype != torch.bool
        numbers = part.isfinite() & (part == part.round()) & (part.abs() < classes)
        return bool(numbers.all()) and bool((part >= _LEAST_NUMBER).any())
    if not whole or not 1 < part.shape[1] <= classes:
        return False
    in_order = part.sort(1).values
    return bool(((part >= 0) & (part < classes)).all() and (in_order.diff(dim=1) > 0).all())
