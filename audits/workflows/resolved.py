"""What exactly is asked: aliases resolved, the baseline's own config, a digest, the day."""

from collections.abc import Sequence
from datetime import UTC, date, datetime

from audits.config.audit import AuditConfig
from audits.config.policy import Policy
from audits.execution.keys import key_of
from audits.models import registry


def today() -> date:
    """The day in UTC, which waivers end by."""
    return datetime.now(UTC).date()


MODELS = ("model", "reference", "baseline")


def pinned(config: AuditConfig, names: Sequence[str] = MODELS) -> AuditConfig:
    """The config with aliases resolved. Raises AuditError where there is no such model."""
    uris = {name: uri for name in names if (uri := getattr(config, name)) is not None}
    return config.model_copy(update={k: registry.resolve(uri).uri for k, uri in uris.items()})


def baseline_config(config: AuditConfig) -> AuditConfig:
    """The config with which the baseline is measured.

    What the baseline's own metadata say of normalisation and classes goes before the config: a
    baseline that is fed wrongly would make every model look as good.
    """
    preprocessing = config.preprocessing.model_copy(update={"overrides": False})
    # It cannot be its own reference, and figures do not depend on the policy.
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
    """sha256 of all that decides the verdict; `figures` and `baseline` are digests of subjects."""
    if figures is None:
        return None
    policy = config.policy.model_dump(mode="json")
    return key_of(figures=figures, baseline=baseline, policy=policy)
