"""The checks that a config can name: ours, and those of other packages.

A new check of ours is one import and one name in `_OURS`.
"""

import os
import sys
from functools import lru_cache
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from typing import Literal, get_args, get_origin

from audits.checks.ablation import Ablation
from audits.checks.agreement import Agreement
from audits.checks.base import Check, Needs
from audits.checks.blank_attack import BlankAttack
from audits.checks.blank_proof import BlankProof
from audits.checks.calibration import Calibration
from audits.checks.class_pictures import ClassPictures
from audits.checks.completion import Completion
from audits.checks.concepts import Concepts
from audits.checks.duplicates import Duplicates
from audits.checks.evidence import EvidenceMaps
from audits.checks.human_maps import HumanMapsCheck
from audits.checks.input_doctor import InputDoctor
from audits.checks.performance import Performance
from audits.checks.planted_defect import PlantedDefect
from audits.checks.progressive_fill import ProgressiveFill
from audits.checks.random_fill import RandomFill
from audits.checks.robustness import Robustness
from audits.checks.shifts import Shifts
from audits.checks.sufficient_patches import SufficientPatches
from audits.checks.swap import Swap
from audits.errors import AuditError

_GROUP = "fillblanks.checks"
_OURS: tuple[type[Check], ...] = (
    InputDoctor,
    Performance,
    Calibration,
    Shifts,
    Robustness,
    Duplicates,
    RandomFill,
    ProgressiveFill,
    Ablation,
    Completion,
    ClassPictures,
    Swap,
    EvidenceMaps,
    Agreement,
    HumanMapsCheck,
    PlantedDefect,
    Concepts,
    SufficientPatches,
    BlankProof,
    BlankAttack,
)


def check_classes() -> tuple[type[Check], ...]:
    """Our checks and those that other packages name in the entry-point group fillblanks.checks.

    Raises AuditError, in one line that names the entry point and its package, if a check of another
    package cannot be imported, is not a `Check`, has no `kind`, or has the kind of another check.
    """
    owners = {kind: "fillblanks" for check in _OURS for kind in _kinds(check)}
    found = []
    for point in _points(tuple((folder, _changed(folder)) for folder in sys.path)):
        check = _loaded(point)
        for kind in _kinds(check):
            if kind in owners:
                raise AuditError(
                    f"Expected {_named(point)} to have a kind of its own, got {kind!r}, which is "
                    f"taken by {owners[kind]}. Rename the kind, or uninstall one of the packages."
                )
            owners[kind] = _named(point)
        found.append(check)
    return _OURS + tuple(found)


def is_ours(kind: object) -> bool:
    """Whether a check of this kind is one of this package."""
    return any(kind in _kinds(check) for check in _OURS)


def places_of_kind(kind: object) -> tuple[str, ...]:
    """The fields in which a check of ours names a place whose files are read."""
    found = (check.places + check.own_places for check in _OURS if kind in _kinds(check))
    return next(found, ())


@lru_cache(maxsize=1)
def _points(_folders: tuple[tuple[str, int], ...]) -> EntryPoints:
    """The entry points of all installed packages; a config is read faster than they are looked up.

    They are looked up again if `sys.path` or one of its folders has changed.
    """
    return entry_points(group=_GROUP)


def _changed(folder: str) -> int:
    """When a folder of `sys.path` was changed, in nanoseconds; 0 if there is none."""
    try:
        return os.stat(folder or os.curdir).st_mtime_ns
    except OSError:
        return 0


def _loaded(point: EntryPoint) -> type[Check]:
    try:
        check = point.load()
    except (Exception, SystemExit) as error:  # code of another package may raise anything
        said = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise AuditError(
            f"Expected {_named(point)} to be importable, got {said}. Mend or uninstall the package."
        ) from error
    if not (isinstance(check, type) and issubclass(check, Check)):
        raise AuditError(
            f"Expected {_named(point)} to be a subclass of Check, got {check!r}. Name the class of "
            f"the check in the entry-point group {_GROUP}."
        )
    kinds = _kinds(check)
    if not kinds or check.model_fields["kind"].default not in kinds:
        raise AuditError(
            f'Expected {_named(point)} to have a field `kind: Literal["..."] = "..."`, got '
            f"{check.model_fields['kind']}. Add the field."
        )
    if check.needs not in get_args(Needs):
        raise AuditError(
            f"Expected {_named(point)} to need one of {', '.join(get_args(Needs))}, got needs "
            f"{check.needs!r}. Mend the class."
        )
    if missing := sorted(getattr(check, "__abstractmethods__", ())):
        raise AuditError(
            f"Expected {_named(point)} to have all methods of a check, it lacks "
            f"{', '.join(missing)}. Update the package, see docs/adding_a_check.md."
        )
    return check


def _kinds(check: type[Check]) -> tuple[str, ...]:
    """The values that `kind` may have in the config of this check; none without a Literal."""
    annotation = check.model_fields["kind"].annotation
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def _named(point: EntryPoint) -> str:
    package = f"{point.dist.name!r} {point.dist.version}" if point.dist else "unknown"
    return f"the check {point.name!r} of package {package} ({point.value})"
