"""Calls of the operators that are held to be exact on any machine, and digests of their answers."""

import random

import torch
from kernels_by_chance import _REFUSED, _call, _digest, _overloads
from torch.utils._pytree import tree_map

from audits.execution.other_rounding import _EXACT, _Call
from audits.models.pt2.raw_kernels import mistake

_UNFILLED = ("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided")


def exact_answers(tries):
    """The digest of each call, by the operator and the number of the attempt."""
    names = sorted({*_EXACT} - {*_UNFILLED})
    return dict(one for name in names for one in _of(name, tries))


def _of(name, tries):
    overloads = [*_overloads(name), *_overloads(f"{name}_")]
    for attempt in range(tries if overloads else 0):
        draw = random.Random(f"{name} {attempt}")
        overload = draw.choice(overloads)
        given = _call(overload, draw)
        if not _Call(overload._schema, (), given).is_exact:
            continue
        torch.manual_seed(0)
        try:
            if mistake(overload, given):
                continue
            with torch.no_grad():
                answer = overload(**given)
        except (*_REFUSED, NotImplementedError, MemoryError):
            continue
        yield f"{overload} {attempt}", _digest(tree_map(_one_nan, answer))


def _one_nan(value):
    """Numbers with NaN of one sign: processors give either, which counts as rounding."""
    if not isinstance(value, torch.Tensor) or not value.is_floating_point():
        return value
    return torch.where(value.isnan(), torch.nan, value)
