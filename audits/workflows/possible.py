"""Finds out whether an audit can be made at all, before anything of it is recorded."""

from audits.config.audit import AuditConfig
from audits.data.imageset import ImageSet
from audits.errors import AuditError
from audits.execution.inputs import AuditInputs
from audits.execution.store import Store
from audits.models.registry import Resolved


def expect_possible(config: AuditConfig, model: Resolved, images: ImageSet) -> None:
    """Raises AuditError if a check does not suit the images' size, or the store takes nothing.

    A model that must not or cannot be opened raises nothing: that is a finding, and recorded.
    """
    _expect_checks_suit(config, model, images)
    expect_store(config)


def expect_store(config: AuditConfig) -> None:
    """Raises AuditError if the store is somebody else's, or cannot be had or written."""
    Store(config.store).expect_writable()


def _expect_checks_suit(config: AuditConfig, model: Resolved, images: ImageSet) -> None:
    try:
        with AuditInputs(config, model, images) as inputs:
            checks, shape = inputs.config.checks, inputs.shape
    except AuditError:  # the audit meets it again, and records it
        return
    if reasons := [reason for check in checks if (reason := check.impossible(shape))]:
        raise AuditError(*reasons)
