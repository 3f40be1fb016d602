"""The public API for checks of other packages. Import from this module alone.

Names here keep their meaning from release to release; other modules of `audits` may change. See
docs/adding_a_check.md, and examples/own_check for a complete package.
"""

from audits.checks._shared.fill import recognise, table_of
from audits.checks._shared.images import picture, signed_picture, slugs
from audits.checks.base import Check, Needs
from audits.checks.context import AuditContext, Unit
from audits.checks.part_form import Array
from audits.errors import AuditError, NotApplicable
from audits.evidence.codec import Part
from audits.evidence.estimate import Estimate
from audits.evidence.evidence import Evidence, Picture, Seen
from audits.evidence.f1 import scores
from audits.evidence.intervals import (
    bounded_mean,
    difference,
    mean,
    paired_difference,
    paired_mean_difference,
    proportion,
)
from audits.evidence.metric import DefaultBounds, Metric, Null, Pairing
from audits.strict import Ratio, Share, Strict

__all__ = [
    "Array",
    "AuditContext",
    "AuditError",
    "Check",
    "DefaultBounds",
    "Estimate",
    "Evidence",
    "Metric",
    "Needs",
    "NotApplicable",
    "Null",
    "Pairing",
    "Part",
    "Picture",
    "Ratio",
    "Seen",
    "Share",
    "Strict",
    "Unit",
    "bounded_mean",
    "difference",
    "mean",
    "paired_difference",
    "paired_mean_difference",
    "picture",
    "proportion",
    "recognise",
    "scores",
    "signed_picture",
    "slugs",
    "table_of",
]
