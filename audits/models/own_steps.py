"""Compares a model's metadata with the preprocessing that its own files serve it with."""

import math
from typing import Any

from audits.errors import ModelRefused, quoted
from audits.models.contract import Said


def without_decided(told: Said, own: Said) -> Said:
    """`told` without the fields that the model's `own` files decide.

    Raises ModelRefused if `told` names another value of one: whoever loads the model preprocesses
    images by its own files and not by its metadata.
    """
    for name in sorted(own.decides & told.values.keys()):
        value, served = told.values[name], own.values.get(name)
        if value is not None and not _same(value, served):
            has = "which has none" if served is None else f"which has {quoted(served)}"
            raise ModelRefused(
                f"Expected {name} as in {own.by}, by which the model is served and {has}, got "
                f"{quoted(value)} from {told.by}. Correct one of them, or leave it out."
            )
    kept = {name: value for name, value in told.values.items() if name not in own.decides}
    return Said(told.by, kept, told.decides)


def expect_one_value(told: Said, other: Said) -> None:
    """Raises ModelRefused if two sources that come with the model name different values of a field.

    Names of classes are compared elsewhere.
    """
    for name in sorted((told.values.keys() & other.values.keys()) - {"classes"}):
        value, second = told.values[name], other.values[name]
        if value is not None and second is not None and not _same(value, second):
            raise ModelRefused(
                f"Expected one value of {name}, got {quoted(value)} from {told.by} and "
                f"{quoted(second)} from {other.by}. Correct one of them, or leave it out: servers "
                "may read either."
            )


def _same(one: Any, other: Any) -> bool:
    if not (isinstance(one, tuple) and isinstance(other, tuple)):
        return bool(one == other)
    count = max(len(one), len(other))
    a, b = (values * count if len(values) == 1 else values for values in (one, other))
    return len(a) == len(b) and all(map(_close, a, b))


def _close(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-3, abs_tol=1e-6)
