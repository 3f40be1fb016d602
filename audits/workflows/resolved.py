"""Resolves a config: URIs of versions, the baseline's config, the digest, and today's date."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

from audits.config.audit import AuditConfig
from audits.config.policy import Policy
from audits.data.sample import drawn
from audits.execution.keys import key_of
from audits.models import registry
from audits.models.class_names import names_of_config


def today() -> date:
    """The day in UTC that decides whether a waiver has ended."""
    return datetime.now(UTC).date()


MODELS = ("model", "reference", "baseline")


def pinned(config: AuditConfig, names: Sequence[str] = MODELS) -> AuditConfig:
    """The config with aliases resolved and class names read from their file.

    Raises AuditError if a model is not found, or if the file cannot be read.
    """
    uris = {name: uri for name in names if (uri := getattr(config, name)) is not None}
    update: dict[str, Any] = {k: registry.resolve(uri).uri for k, uri in uris.items()}
    # An alias and a number may name one version.
    update["versions"] = tuple(dict.fromkeys(registry.resolve(v).uri for v in config.versions))
    own = config.preprocessing
    if own.classes_file is not None:  # the config that is recorded has the names themselves
        named = {"classes": names_of_config(own), "classes_file": None}
        update["preprocessing"] = own.model_copy(update=named)
    return config.model_copy(update=update)


def with_sample(config: AuditConfig) -> AuditConfig:
    """The config with the seed of a secret sample, drawn now unless the config names it."""
    return config.model_copy(update={"data": drawn(config.data)})


def baseline_config(config: AuditConfig) -> AuditConfig:
    """The config with which the baseline is measured.

    Normalisation and classes of the baseline's own metadata come before the config's: every model
    looks good beside a baseline whose inputs are prepared wrongly.
    """
    preprocessing = config.preprocessing.model_copy(update={"overrides": False})
    # A model cannot be its own reference, and figures do not depend on the policy.
    reference = None if config.reference == config.baseline else config.reference
    return config.model_copy(
        update={
            "model": config.baseline,
            "baseline": None,
            "reference": reference,
            "preprocessing": preprocessing,
            "policy": Policy(),
        }
    )


def audit_digest(config: AuditConfig, figures: str | None, baseline: str | None) -> str | None:
    """sha256 of everything that decides the verdict; None without `figures`.

    `figures` and `baseline` are digests of everything that decides the figures of either model.
    """
    if figures is None:
        return None
    policy = config.policy.model_dump(mode="json")
    return key_of(figures=figures, baseline=baseline, policy=policy)
