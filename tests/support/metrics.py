"""Metrics for tests, made of estimates alone."""

from collections.abc import Mapping
from typing import Any

from audits.evidence.estimate import Estimate
from audits.evidence.metric import DefaultBounds, Metric, Null, Pairing

ENDS = ("null", "lift", "drop")


def metrics_of(
    figures: Mapping[str, Estimate],
    rests_on: Mapping[str, str] | None = None,
    bounds: DefaultBounds | None = None,
) -> dict[str, Metric]:
    """Metrics from estimates by name; `accuracy_lift` is the lift of `accuracy`, and so on."""
    ends = {f"{name}_{end}": (name, end) for name in figures for end in ENDS}
    metrics = {}
    for name, estimate in figures.items():
        if name in ends:
            continue
        own: dict[str, Any] = {
            end: figures[f"{name}_{end}"] for end in ENDS if f"{name}_{end}" in figures
        }
        if "null" in own or "lift" in own:
            own["null"] = Null("chance", own.get("null"))
        metrics[name] = Metric(
            name,
            estimate,
            is_coverage=name == "coverage",
            rests_on=(rests_on or {}).get(name),
            bounds=bounds,
            pairing=None if name == "coverage" else Pairing(name, "accuracy"),
            **own,
        )
    return metrics
