"""A check whose evidence is wrong, as that of another package may be."""

from typing import Literal

import numpy as np

from audits.checks.performance import Performance
from audits.evidence.estimate import Estimate
from audits.evidence.evidence import Picture
from audits.evidence.metric import Metric


class Bad(Performance):
    """Performance, with a fault in what `conclude` returns."""

    kind: Literal["bad"] = "bad"
    fault: str

    def conclude(self, audit, parts):
        evidence = super().conclude(audit, parts)
        return FAULTS[self.fault](evidence)


def _with_value(evidence, value):
    metric = Metric("a figure", Estimate(value, 0.0, 1.0, 3))
    return evidence.model_copy(update={"metrics": {"accuracy": metric}})


def _with_image(evidence, image):
    return evidence.model_copy(update={"pictures": (Picture("a", 0, image, "step"),)})


FAULTS = {
    "none": lambda evidence: None,
    "a dict": lambda evidence: {"accuracy": 0.5},
    "numpy number": lambda evidence: _with_value(evidence, np.float32(0.5)),
    "text for a number": lambda evidence: _with_value(evidence, "half"),
    "no metric": lambda evidence: evidence.model_copy(update={"metrics": {"accuracy": 0.5}}),
    "picture is a list": lambda evidence: _with_image(evidence, [[0, 1], [1, 0]]),
    "picture of floats": lambda evidence: _with_image(evidence, np.zeros((2, 2))),
    "picture of five colours": lambda evidence: _with_image(evidence, np.zeros((2, 2, 5), "u1")),
    "pictures are none": lambda evidence: evidence.model_copy(update={"pictures": None}),
    "table is a list": lambda evidence: evidence.model_copy(update={"tables": {"a": [1, 2]}}),
    "sentence is none": lambda evidence: evidence.model_copy(update={"sentence": None}),
}
