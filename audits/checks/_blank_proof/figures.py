"""The figures of `blank_proof`: what is proven, what is broken, and what is neither."""

from collections.abc import Sequence

import numpy as np

from audits.checks._shared.blank_figures import (
    all_states,
    counted,
    declared_of_attacks,
    measured_of_attacks,
    silent_told,
)
from audits.checks._shared.blank_pictures import State
from audits.evidence.codec import Part
from audits.evidence.estimate import UNMEASURED
from audits.evidence.intervals import bounded_mean, mean
from audits.evidence.metric import Metric, Pairing


def declared() -> dict[str, Metric]:
    """The metrics of the check, not measured yet."""
    return {
        "proven": Metric(
            "blanks that are proven: whatever stands there, the answer stays",
            pairing=Pairing("proven", "mean", same_size=True),
            clause="is proven to keep its answer whatever stands in {} of the blanks tried",
        ),
        **declared_of_attacks(),
        "undecided": Metric("blanks of which neither is known", better="lower"),
        "proven_by_intervals": Metric("blanks that are proven by intervals alone"),
        "radius": Metric(
            "mean distance below which no other image has another answer (Euclidean, pixels of 0 "
            "to 1)",
            unit="ratio",
        ),
    }


def measured(parts: Sequence[Part]) -> dict[str, Metric]:
    """The metrics with their figures, over images."""
    metrics, states = declared(), all_states(parts)
    by_intervals = np.concatenate([part["ibp"] > 0 for part in parts]).mean(1)
    radii = np.concatenate([part["radius"] for part in parts])
    known = radii[np.isfinite(radii)]
    estimates = {
        "proven": bounded_mean((states == State.PROVEN).mean(1)),
        "undecided": bounded_mean((states == State.UNDECIDED).mean(1)),
        "proven_by_intervals": bounded_mean(by_intervals),
        "radius": mean(known) if len(known) else UNMEASURED,
    }
    shared = measured_of_attacks(parts)
    return {
        name: shared[name] if name in shared else metric.measured(estimates[name])
        for name, metric in metrics.items()
    }


def sentence(parts: Sequence[Part], size: int, tries: int) -> str:
    """The meaning of the figures, in plain words."""
    n = counted(parts)
    return (
        f"{n['proven']:,} of {n['cases']:,} cases ({n['images']:,} images, {n['blanks']} blanks of "
        f"{size}x{size} pixels in each) are proven: whatever stands there, the answer stays. "
        f"A fill that changes it was found in {n['broken']:,} (by {tries} random fills in "
        f"{n['random']:,}); undecided: {n['undecided']:,}.{silent_told(parts)}"
    )
