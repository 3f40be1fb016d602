"""Whether the metrics that a check declares make sense, and whether it gave what it declared."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping

from audits.evidence.metric import Figure, Metric, MetricUnit, named_figures

_RANGES: dict[MetricUnit, tuple[float, float]] = {
    "share": (0, 1),
    "difference": (-1, 1),
    "ratio": (0, math.inf),
    "count": (0, math.inf),
    "nats": (-math.inf, math.inf),
}


def faults_in(declared: Mapping[str, Metric]) -> list[str]:
    """One sentence for each fault of a declaration; empty if it makes sense."""
    faults = [fault for name, metric in declared.items() for fault in _faults(name, metric)]
    faults += [
        f"{name!r} rests on {metric.rests_on!r}, which is no metric with a null"
        for name, metric in declared.items()
        if metric.rests_on is not None and not _has_null(declared.get(metric.rests_on))
    ]
    faults += [
        f"{name!r} guards {metric.guards!r}, which is no metric with a null"
        for name, metric in declared.items()
        if metric.guards is not None and not _has_null(declared.get(metric.guards))
    ]
    names = Counter(name for n, m in declared.items() for name in named_figures({n: m}))
    faults += [f"two figures are called {name!r}" for name, count in names.items() if count > 1]
    if sum(metric.is_coverage for metric in declared.values()) > 1:
        faults.append("more than one metric is the coverage")
    return faults


def range_of(metric: Metric, figure: Figure) -> tuple[float, float]:
    """The least and the largest value that a figure of the metric can have; infinite for no limit.

    A share is in [0, 1], the lift or drop of a share in [-1, 1].
    """
    low, high = _RANGES[metric.unit]
    return (low - high, high - low) if figure in ("lift", "drop") else (low, high)


def differences(declared: Mapping[str, Metric], measured: Mapping[str, Metric]) -> list[str]:
    """One sentence for each metric that was not measured as it was declared."""
    found = [f"{name!r} was declared and is missing" for name in declared.keys() - measured.keys()]
    found += [f"{name!r} was not declared" for name in measured.keys() - declared.keys()]
    for name in declared.keys() & measured.keys():
        metric = measured[name]
        if metric.unmeasured() != declared[name]:
            found.append(f"{name!r} is not described as it was declared")
        elif not _in_range(metric):
            found.append(f"{name!r} is a {metric.unit} and has the value {metric.estimate.value:g}")
        elif metric.null is not None and metric.lift is None:
            found.append(f"{name!r} has a null and no lift")
        elif metric.null is not None and metric.null.single and metric.null.estimate is None:
            found.append(f"{name!r} has a lift and no figure of its null")
    return sorted(found)


def _faults(name: str, metric: Metric) -> Iterator[str]:
    if "/" in name or not name:
        yield f"{name!r} is no name: expected at least one character, and no slash"
    if metric.better is None and (metric.null is not None or metric.pairing is not None):
        yield f"{name!r} has a null or a pairing, but neither way is better"
    if metric.clause and (metric.clause.count("{}"), len(metric.clause.split("{"))) != (1, 2):
        yield f"{name!r} has the clause {metric.clause!r}: expected the value's place, {{}}, once"
    bounds = metric.bounds
    if bounds is None:
        return
    if bounds.min_lift is not None and metric.null is None:
        yield f"{name!r} has a default bound on its lift, but no null"
    if bounds.max_drop is not None and metric.pairing is None:
        yield f"{name!r} has a default bound on its drop, but no pairing"


def _in_range(metric: Metric) -> bool:
    """Whether the value is one that the unit can have; NaN, which is never judged, is."""
    low, high = range_of(metric, "value")
    return not (metric.estimate.value < low or metric.estimate.value > high)


def _has_null(metric: Metric | None) -> bool:
    return metric is not None and metric.null is not None
