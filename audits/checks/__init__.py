"""The checks. A new one is a file here, a line in `_OURS`, and a test: docs/adding_a_check.md."""

from importlib.metadata import entry_points

from audits.checks.ablation import Ablation
from audits.checks.base import AuditContext, Check, Unit
from audits.checks.performance import Performance
from audits.checks.progressive_fill import ProgressiveFill
from audits.checks.random_fill import RandomFill

_OURS = (Performance, RandomFill, ProgressiveFill, Ablation)

__all__ = [
    "Ablation",
    "AuditContext",
    "Check",
    "Performance",
    "ProgressiveFill",
    "RandomFill",
    "Unit",
    "check_classes",
]


def check_classes() -> tuple[type[Check], ...]:
    """Our checks and those that other packages name in the entry-point group fillblanks.checks."""
    found = [point.load() for point in entry_points(group="fillblanks.checks")]
    for check in found:
        if not (isinstance(check, type) and issubclass(check, Check)):
            raise TypeError(
                f"Expected a Check in entry-point group fillblanks.checks, got {check}."
            )
    return _OURS + tuple(found)
