"""The checks that a config can name: ours, and those of other packages.

A new check of ours is one import and one name in `_OURS`.
"""

from importlib.metadata import entry_points

from audits.checks.ablation import Ablation
from audits.checks.base import Check
from audits.checks.performance import Performance
from audits.checks.progressive_fill import ProgressiveFill
from audits.checks.random_fill import RandomFill

_OURS: tuple[type[Check], ...] = (Performance, RandomFill, ProgressiveFill, Ablation)


def check_classes() -> tuple[type[Check], ...]:
    """Our checks and those that other packages name in the entry-point group fillblanks.checks."""
    found = [point.load() for point in entry_points(group="fillblanks.checks")]
    for check in found:
        if not (isinstance(check, type) and issubclass(check, Check)):
            raise TypeError(
                f"Expected a Check in entry-point group fillblanks.checks, got {check}."
            )
    return _OURS + tuple(found)
