"""What the audit was asked and how it was run, as parameters of its run."""

import hashlib
import json
from typing import Any

from audits.errors import shortened
from audits.verdict.result import AuditResult

# MLflow writes all parameters into each card of pictures, above the picture: with more words than
# these, the cards show no picture.
_LONGEST = 28


def parameters(result: AuditResult) -> dict[str, str]:
    """Data, number of images, policy, seed and plan, in a few words; audit.yaml has all of them.

    The policy is told by its number of conditions and the beginning of its digest: audits with the
    same digest were judged by the same policy.
    """
    config = result.config
    count = len(config.policy.conditions)
    values: dict[str, object] = {
        "data": result.data_name,
        "n": result.image_count,
        "policy": f"{count} condition{'' if count == 1 else 's'}, {policy_digest(result)[:8]}",
        "seed": config.seed,
    }
    plans: Any = (result.evaluation.setting or {}).get("plans")
    if plans:
        plan = plans[-1]  # the one in use
        values["plan"] = f"{plan.get('precision')} precision, chunk {plan.get('chunk')}"
    return {name: shortened(value, _LONGEST) for name, value in values.items()}


def policy_digest(result: AuditResult) -> str:
    """sha256 of the policy: conditions, waivers and least coverage."""
    values = result.config.policy.model_dump(mode="json")
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
