"""Real parts of every check, small ones, and parts in which one thing is forged."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, NamedTuple

import measured
import numpy as np
from fixed_net import fixed_classifier
from golden import CHECKS as GOLDEN
from golden import context_of
from hypothesis import strategies as st

from audits.checks.base import Check
from audits.checks.context import AuditContext, Unit
from audits.evidence.codec import Part

_SMALL: Mapping[str, dict[str, Any]] = {
    "performance": {"images": 120},
    "calibration": {"images": 120},
    "shifts": {"images": 120},
    "robustness": {"images": 20},
    "duplicates": {"images": 60},
    "random_fill": {"images": 10, "samples": 6},
    "progressive_fill": {"images": 20},
    "ablation": {"images": 4, "samples": 4},
    "evidence": {"images": 6, "draws": 16},
    "agreement": {"images": 6, "draws": 16},
    "human_maps": {"images": 8, "draws": 16},
    "planted_defect": {"classes": 2, "confirm": 8},
    "concepts": {"concepts": 4, "donors": 8, "others": 6, "confirm": 12},
    "blank_proof": {"images": 2, "blanks": 2, "steps": 2, "restarts": 1},
}
# The first of each kind.
CHECKS = {
    check.name: check.model_copy(update=_SMALL.get(check.name, {}))
    for check in reversed(GOLDEN)
    if check.name == check.kind
}
QUICK = ("performance", "shifts", "input_doctor", "progressive_fill", "swap", "evidence")
"""Names of checks whose parts are measured and judged fast."""


class Measured(NamedTuple):
    """A check, its context in the auditing process, and what the model's process sent."""

    check: Check
    audit: AuditContext
    units: list[Unit]
    parts: list[Part]  # of the units, and then of `ask`, if the check asks


@cache
def measured_parts(name: str) -> Measured:
    """The parts of a check of `CHECKS` on digits, with the fixed network."""
    check, audit = context_of(CHECKS[name], fixed_classifier(), fixed_classifier(60))
    audit = measured.with_contract(audit)
    units = check.units(audit)
    parts = [check.measure(audit, unit) for unit in units]
    if check.asks_at_the_end:
        parts.append(check.ask(audit, parts))
    alone = replace(audit, model=None, reference=None, versions=(), expects_reference=True)
    return Measured(check, alone, units, parts)


@dataclass(frozen=True)
class Forgery:
    """One change of one array of one part."""

    kind: str  # "one value", "all values", "shape", "dtype", "missing", "another"
    part: int
    array: str
    value: Any = None
    place: int = 0


_VALUES = (
    np.nan,
    np.inf,
    -np.inf,
    1e308,
    -1e30,
    1e-320,
    -1,
    0,
    1,
    2,
    255,
    2**31,
    -(2**31),
    2**62,
    -(2**63),
    "x\n",
    "\u202e",
    "x" * 2000,
)
_DTYPES = ("int8", "uint8", "int64", "uint64", "float16", "float32", "float64", "bool", "U9", "c16")
_SHAPES = ("flat", "transposed", "deeper", "empty", "shorter", "longer", "scalar")


@st.composite
def forgeries(draw: st.DrawFn, parts: list[Part]) -> Forgery:
    """A change of the parts."""
    number = draw(st.integers(0, len(parts) - 1))
    array = draw(st.sampled_from(sorted(parts[number])))
    value_kinds = ["one value", "one value", "all values", "all values"]
    kind = draw(st.sampled_from([*value_kinds, "shape", "dtype", "missing", "another"]))
    values = {"shape": _SHAPES, "dtype": _DTYPES}.get(kind, _VALUES)
    value = draw(st.sampled_from(values))
    return Forgery(kind, number, array, value, draw(st.integers(0, 1 << 30)))


def forged(parts: list[Part], forgery: Forgery) -> list[Part]:
    """Copies of the parts, one of them changed."""
    found = [dict(part) for part in parts]
    part, name = found[forgery.part], forgery.array
    array = part[name]
    if forgery.kind == "missing":
        del part[name]
    elif forgery.kind == "another":
        part[f"{name}_2"] = array
    elif forgery.kind == "dtype":
        with np.errstate(all="ignore"):
            try:
                part[name] = array.astype(forgery.value)
            except ValueError:  # text that is no number
                part[name] = np.zeros(array.shape, forgery.value)
    elif forgery.kind == "shape":
        part[name] = _reshaped(array, forgery.value)
    else:
        part[name] = _valued(array, forgery)
    return found


def _reshaped(array: np.ndarray, shape: str) -> np.ndarray:
    if shape == "flat":
        return array.reshape(-1)
    if shape == "transposed":
        return array.T.copy()
    if shape == "deeper":
        return array[None]
    if shape == "scalar":
        return array.reshape(-1)[0] if array.size else np.zeros((), array.dtype)
    rows = np.atleast_1d(array)
    if shape == "empty":
        return rows[:0]
    return rows[:-1] if shape == "shorter" else np.concatenate([rows, rows[-1:]])


def _valued(array: np.ndarray, forgery: Forgery) -> np.ndarray:
    """The value in one place or in all, as the array's dtype holds it, or as its own."""
    value = forgery.value
    is_text = array.dtype.kind == "U"
    if isinstance(value, str) != is_text or not array.size:
        return array  # the other kind is "dtype"
    if is_text:
        array = array.astype(f"U{max(len(value), array.dtype.itemsize // 4)}")
    with np.errstate(all="ignore"):
        put = np.asarray(value).astype(array.dtype)
    changed = array.copy()
    if forgery.kind == "all values":
        changed[...] = put
    else:
        changed.reshape(-1)[forgery.place % changed.size] = put
    return changed
