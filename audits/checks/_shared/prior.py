"""The spectrum of an audit's images, which is the prior of fills that natural images resemble."""

import math
from dataclasses import replace

import numpy as np

from audits.checks.context import AuditContext, Unit
from audits.errors import AuditError
from fillblanks import Spectrum

_VALUES = 10_000_000  # in all images of a spectrum, unless these are too few
_LEAST, _MOST = 64, 500
_FEW = 10  # a spectrum of fewer images is too much that of each of them
_NAME = "spectrum"
_DIGITS = 16
_KEPT = 2

_kept: dict[str, Spectrum] = {}


def images_beside(audit: AuditContext, filled: np.ndarray) -> np.ndarray:
    """Indices of the images that give the spectrum, int64 (n,): others than those `filled`.

    The next in the audit's balanced order, up to 500, are taken. If fewer than 10 are left, the
    filled ones are taken too.
    """
    most = max(_LEAST, min(_MOST, _VALUES // math.prod(audit.shape)))
    order = audit.images.sampled_order(audit.seed)
    others = order[~np.isin(order, filled)]
    return np.sort((others if len(others) >= _FEW else order)[:most])


def told_beside(audit: AuditContext, filled: np.ndarray) -> str:
    """A sentence about the images that give the spectrum."""
    beside = images_beside(audit, filled)
    among = " Those that are filled are among them: the data set has few others."
    told = f"The spectrum is that of {len(beside)} images."
    return told + (among if np.isin(filled, beside).any() else "")


def with_spectrum(audit: AuditContext, units: list[Unit], beside: np.ndarray) -> list[Unit]:
    """The units, which now name the digest of the images `beside` that give the spectrum.

    The figures of a unit depend on those images, so the key of its part must.
    """
    digest = audit.images.digest(beside)[:_DIGITS]
    return [replace(unit, cell=((_NAME, digest), *unit.cell)) for unit in units]


def spectrum_of(audit: AuditContext, unit: Unit, beside: np.ndarray) -> Spectrum:
    """The spectrum of the images `beside`. Raises AuditError if the unit names others."""
    digest = audit.images.digest(beside)[:_DIGITS]
    if dict(unit.cell).get(_NAME) != digest:
        raise AuditError(
            f"Expected {audit.images.name} to stay as it was when the audit began, but the images "
            "of the spectrum have changed. Run the audit again."
        )
    if digest not in _kept:
        if len(_kept) >= _KEPT:
            _kept.clear()
        _kept[digest] = Spectrum.of(audit.images.tensor(beside))
    return _kept[digest]
