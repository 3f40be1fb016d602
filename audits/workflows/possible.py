"""Finds out whether an audit can be made at all, before anything of it is recorded."""

from collections.abc import Sequence
from dataclasses import replace

from audits.config.audit import AuditConfig, Limits
from audits.data.fit import Fit
from audits.data.imageset import ImageSet
from audits.errors import AuditError, ModelRefused
from audits.execution import bubblewrap, child, docker, environments
from audits.execution.inputs import AuditInputs
from audits.execution.store import Store
from audits.execution.worker import Worker, WorkerFailure
from audits.models import registry
from audits.models.class_map import expect_keys_of
from audits.models.foreign import expect_auditable
from audits.models.mlmodel import described
from audits.models.registry import Resolved

_LOOKED_AT = 16  # images, before the audit begins
_ANY = Fit(alpha=(0.0, 0.0, 0.0))  # takes images of all sizes, with alpha or without


def expect_possible(config: AuditConfig, model: Resolved, images: ImageSet) -> None:
    """Raises AuditError if no audit takes the model, or isolation, store or a check cannot be had.

    An image classifier that must not or cannot be opened raises nothing: that is a finding, and
    recorded.
    """
    _expect_auditable(model, config.served)
    expect_keys_of(config.preprocessing.class_map or {}, images.classes, images.name)
    _expect_others(config, model)
    _expect_images(config, images)
    _expect_columns(config, images)
    _expect_checks_suit(config, model, images)
    expect_place(config)


def expect_place(config: AuditConfig) -> None:
    """Raises AuditError if this machine has not what the config asks for.

    That is isolation, a GPU, a store that can be written, and memory in which a process can start.
    """
    expect_isolation(config)
    if config.device == "cuda" or config.engine.captured:
        child.expect_device(config.device, captured=bool(config.engine.captured))
    if config.environment is not None:
        environments.expect_installer(config.environment)
    if config.limits.memory_gib is not None:
        _expect_memory(config.limits)
    Store(config.store).expect_writable()  # last, since it makes the folder


def expect_isolation(config: AuditConfig) -> None:
    """Raises AuditError if this machine does not have the isolation that the config asks for."""
    if config.isolation == "bubblewrap":
        bubblewrap.expect_available()
    elif config.docker_image is not None:
        docker.expect_available(config.docker_image)


def _expect_auditable(model: Resolved, served: Sequence[str]) -> None:
    """Raises AuditError if MLmodel alone says that the model is no image classifier.

    No other file is copied for that: they may be those of a large language model.
    """
    try:
        conf = described(model)
    except ModelRefused:  # the audit meets it again, and records it
        return
    expect_auditable(conf, served)


def _expect_images(config: AuditConfig, images: ImageSet) -> None:
    """Raises AuditError if one of the first images that are audited is none that a model takes."""
    as_they_are = replace(images, fit=_ANY)
    for index in images.sampled_order(config.seed)[:_LOOKED_AT].tolist():
        as_they_are.tensor([index])


def _expect_columns(config: AuditConfig, images: ImageSet) -> None:
    """Raises AuditError if the data have no such column as a check looks at."""
    for name in {name: None for check in config.checks for name in check.data_columns()}:
        images.column(name)


def _expect_others(config: AuditConfig, model: Resolved) -> None:
    """Raises AuditError if the model is its own reference, or is compared with itself alone."""
    if config.reference is not None and registry.resolve(config.reference).uri == model.uri:
        raise _own_reference(model)
    versions = {registry.resolve(uri).uri for uri in config.versions}
    asking = [check.name for check in config.checks if check.asks_versions]
    if asking and versions == {model.uri}:
        raise AuditError(
            f"Expected other versions of the model under versions, since {asking[0]} compares them "
            f"with it, got {model} alone. Name versions that were trained apart."
        )


def _own_reference(model: Resolved) -> AuditError:
    return AuditError(
        f"Expected another model under reference, got {model}, which is audited itself. Name one "
        "that was trained apart, or leave reference out."
    )


def _expect_memory(limits: Limits) -> None:
    """Raises AuditError if a process without a model has no room in the memory of the limits."""
    try:
        with Worker(limits.memory_gib) as worker:
            worker.call(child.expect_room, seconds=limits.load_seconds)
    except WorkerFailure as error:
        raise AuditError(
            "Expected limits.memory_gib with room for the process that holds the model, got "
            f"{limits.memory_gib:g}: {error.reason.rstrip('.')}. Set at least 1 or 2."
        ) from error


def _expect_checks_suit(config: AuditConfig, model: Resolved, images: ImageSet) -> None:
    try:
        with AuditInputs(config, model, images) as inputs:
            checks, shape = inputs.config.checks, inputs.shape
            own, reference = inputs.files.digest, inputs.reference_digest
            fitted = inputs.images
    except AuditError:  # the audit meets it again, and records it
        return
    if own == reference:
        raise _own_reference(model)
    if reasons := [reason for check in checks if (reason := check.impossible(shape))]:
        raise AuditError(*reasons)
    for check in checks:
        check.outside(fitted)  # raises AuditError if files that a check names are not there
