"""The form of a part. The process of a model sends parts, and what it sends is not trusted."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from audits.checks.context import AuditContext, Unit
from audits.evidence.codec import Part

_KINDS = {"int": "iu", "float": "f", "bool": "b", "text": "U"}
_MOST_ARRAYS = 1000
_LONGEST_TEXT = 1000  # characters


@dataclass(frozen=True)
class UpTo:
    """A side of `most` at most. Sides of one `name` are equally long everywhere in the part.

    A side without a bound would let the process of a model send more than there is to measure, and
    fill the memory of the auditing process.
    """

    most: int
    name: str = ""


@dataclass(frozen=True)
class Array:
    """The form of one array of a part.

    `shape` has a side's length, or the most that it may have; an array without rows may have 0 for
    all other sides. Numbers are in [`low`,
    `high`]; NaN is allowed among floats. With `optional` the part may be without the array.
    """

    kind: Literal["int", "float", "bool", "text"]
    shape: tuple[int | UpTo, ...] = ()
    low: float = -math.inf
    high: float = math.inf
    optional: bool = False


def mistake(part: Part, forms: Mapping[str, Array] | None, audit: AuditContext, unit: Unit) -> str:
    """What is wrong with the part of a unit, in a few words; "" if it is as it should be.

    Without `forms` only what holds for every part is looked at: `index` and `label`, if the part
    has them, are those of the unit's images, and text can be printed.
    """
    if len(part) > _MOST_ARRAYS:
        return f"{len(part)} arrays"
    known = {"index": np.array(unit.indices), "label": audit.images.labels[list(unit.indices)]}
    for name, array in part.items():
        if not name.isprintable():
            return "an array whose name cannot be printed"
        if array.dtype.kind == "U" and not _is_plain(array):
            return f"text in {name} that cannot be printed, or is too long"
        if name in known and not np.array_equal(array, known[name]):
            return f"another {name} than that of the unit's images"
    return "" if forms is None else unlike(part, forms)


def unlike(part: Part, forms: Mapping[str, Array]) -> str:
    """How the arrays differ from `forms`, in a few words; "" if they do not."""
    if odd := part.keys() - forms.keys():
        return f"an array {min(odd)} that the check does not have"
    sides: dict[str, int] = {}
    for name, form in forms.items():
        if name not in part:
            if form.optional:
                continue
            return f"no array {name}"
        if reason := _unlike_array(part[name], form, sides):
            return f"{name} {reason}"
    return ""


def _unlike_array(array: np.ndarray, form: Array, sides: dict[str, int]) -> str:
    if array.dtype.kind not in _KINDS[form.kind]:
        return f"of {array.dtype} instead of {form.kind}"
    if array.ndim != len(form.shape):
        return f"with {array.ndim} dimensions instead of {len(form.shape)}"
    empty = array.shape[:1] == (0,) and form.shape[0] == 0
    for found, side in zip(array.shape, form.shape, strict=True):
        if isinstance(side, UpTo):
            wanted = sides.setdefault(side.name, found) if side.name else found
            if found > side.most:
                return f"of shape {array.shape}, with more than {side.most} in a row"
        else:
            wanted = side
        if found != wanted and not (empty and found == 0):
            return f"of shape {array.shape}"
    if form.kind in ("int", "float"):
        known = array[~np.isnan(array)]
        if known.size and (known.min() < form.low or known.max() > form.high):
            return f"with values from {known.min():g} to {known.max():g}"
    return ""


def _is_plain(array: np.ndarray) -> bool:
    texts = array.reshape(-1).tolist()
    return all(len(text) <= _LONGEST_TEXT and text.isprintable() for text in texts)
