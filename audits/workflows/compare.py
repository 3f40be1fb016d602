"""Two audits side by side, paired image by image if both measured the same images."""

import mlflow
import pandas as pd
from mlflow.exceptions import MlflowException

from audits.config.audit import EXPERIMENT
from audits.errors import AuditError, quoted
from audits.evidence.estimate import Estimate
from audits.evidence.pairing import can_be_paired, with_drops, without_drops
from audits.models import registry, server
from audits.tracking import reader
from audits.tracking.reader import NotVerified, PastAudit


def audit_of(name: str, experiment: str = EXPERIMENT) -> PastAudit:
    """The verified audit of a run id, or the standing audit of a model's URI in an experiment.

    Raises AuditError if there is none.
    """
    if not reader.RUN_ID.fullmatch(name):
        found = reader.standing(registry.resolve(name), experiment)
        if found is None:
            raise AuditError(
                f"Expected an audit of {name} in the experiment {quoted(experiment)} that can be "
                "verified, found none."
            )
        return found
    server.expect_registry()
    try:
        return reader.read(mlflow.get_run(name))
    except (MlflowException, NotVerified) as error:
        raise AuditError(f"Expected the run of a whole audit, got {name}: {error}") from error


def compare(a: PastAudit, b: PastAudit) -> pd.DataFrame:
    """A row for each metric, with text in `metric`, `a`, `b`, and, if it can be paired, `b - a`."""
    drops = _drops(a, b)
    of_a, of_b = _estimates(a), _estimates(b)
    rows = [
        {
            "metric": name,
            "a": _told(of_a.get(name)),
            "b": _told(of_b.get(name)),
            "b - a, paired": _told(drops.get(name), sign="+"),
        }
        for name in dict.fromkeys([*of_a, *of_b])
    ]
    return pd.DataFrame(rows)


def _estimates(audit: PastAudit) -> dict[str, Estimate]:
    alone = [without_drops(one) for one in audit.evidence]
    return {name: e for one in alone for name, e in one.named_estimates.items()}


def _drops(a: PastAudit, b: PastAudit) -> dict[str, Estimate]:
    """b minus a by metric, if both audits have the same check on the same images."""
    ours, others = a.content, b.content
    if (ours.data.digest, ours.config.seed) != (others.data.digest, others.config.seed):
        return {}
    other_checks = others.config.known_checks
    theirs = {one.check: one for one in b.evidence}
    checks = ours.config.known_checks
    found: dict[str, Estimate] = {}
    for own in a.evidence:
        other, check = theirs.get(own.check), checks.get(own.check)
        if other is None or not can_be_paired(own) or other_checks.get(own.check) != check:
            continue
        try:
            paired = with_drops(own, other, a.classes, b.classes)
        except AuditError:
            continue  # without pairs there are only the two columns
        found |= {
            # A drop above 0 is worse, whichever way is better.
            f"{own.check}/{name}": metric.oriented(metric.drop)
            for name, metric in paired.metrics.items()
            if metric.drop is not None
        }
    return found


def _told(estimate: Estimate | None, sign: str = "") -> str:
    if estimate is None:
        return ""
    return (
        f"{estimate.value:{sign}.3f} [{estimate.low:{sign}.3f}, {estimate.high:{sign}.3f}]"
        if estimate.finite
        else "not finite"
    )
