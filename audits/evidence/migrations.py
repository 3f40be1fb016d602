"""Upgrades older evidence.json files to the schema of today, one step for each version."""

from collections.abc import Callable
from typing import Any

from audits.evidence.codec import SCHEMA_VERSION, metrics_to_json
from audits.evidence.estimate import Estimate
from audits.evidence.metric import Metric, Null

Content = dict[str, Any]


def upgraded(content: Content) -> Content:
    """The content of an evidence.json in the schema of today.

    Raises ValueError for a schema that is newer than this release or older than the oldest step.
    """
    version = content["schema_version"]
    while version != SCHEMA_VERSION:
        if version not in _STEPS:
            raise ValueError(
                f"expected evidence of schema {min(_STEPS)} to {SCHEMA_VERSION}, got {version}"
            )
        content = _STEPS[version](content)
        version = content["schema_version"]
    return content


def _from_2(content: Content) -> Content:
    """Schema 2 had a flat list of figures, whose names ended in _null, _lift or _drop."""
    baseline = content["baseline"]
    return {
        **content,
        "schema_version": 3,
        "checks": [_check_from_2(check) | {"legend": []} for check in content["checks"]],
        "baseline": {**baseline, "checks": [_check_from_2(c) for c in baseline["checks"]]},
    }


def _check_from_2(check: Content) -> Content:
    return {**check, "metrics": metrics_to_json(_metrics_from_2(check["metrics"]))}


def _metrics_from_2(flat: Content) -> dict[str, Metric]:
    """Metrics made from names alone; `Metric.described_as` adds their description later."""
    estimates = {
        name: Estimate(_number(e["value"]), _number(e["low"]), _number(e["high"]), e["n"])
        for name, e in flat.items()
    }
    ends = ("_null", "_lift", "_drop")
    owned = {f"{name}{end}" for name in estimates for end in ends}
    metrics = {}
    for name in estimates:
        if name in owned:
            continue
        null, lift, drop = (estimates.get(f"{name}{end}") for end in ends)
        metrics[name] = Metric(
            title=name,
            estimate=estimates[name],
            null=Null("its null", null) if lift or null else None,
            lift=lift,
            drop=drop,
            is_coverage=name == "coverage",
        )
    return metrics


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _from_3(content: Content) -> Content:
    """Schema 3 had no questions, and did not say how images are fed or which were left out."""
    return {
        **content,
        "schema_version": 4,
        "input": [],
        "data": {**content["data"], "skipped": []},
        "questions": [],
        "checks": [check | {"questions": []} for check in content["checks"]],
    }


_STEPS: dict[int, Callable[[Content], Content]] = {2: _from_2, 3: _from_3}
