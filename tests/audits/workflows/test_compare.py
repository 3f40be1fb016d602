"""Two audits are compared by figures, and in pairs if both saw the same images."""

from pathlib import Path

import pandas as pd
import pytest

from audits.evidence.estimate import Estimate
from audits.evidence.evidence import Evidence
from audits.evidence.metric import Metric, Pairing
from audits.tracking.content import content_of
from audits.tracking.reader import PastAudit
from audits.workflows.compare import compare

SCHEMA_2 = Path(__file__).parents[2] / "support" / "schema_2"


def _audit(error, better="lower", seed=0):
    """An audit whose one metric is the mean of `error`, one value an image."""
    metrics = {
        "error": Metric(
            "error",
            Estimate(sum(error) / len(error), 0.0, 1.0, len(error)),
            better=better,
            pairing=Pairing("error", "mean"),
        )
    }
    images = pd.DataFrame({"label": [0.0, 1.0, 0.0], "error": error})
    evidence = Evidence(check="performance", sentence="", metrics=metrics, images=images)
    content, _ = content_of((SCHEMA_2 / "evidence.json").read_bytes())
    config = content.config.model_copy(update={"seed": seed})
    model = content.model.model_copy(update={"classes": ("a", "b")})
    content = content.model_copy(update={"config": config, "model": model})
    return PastAudit("run", "0", content, (evidence,))


@pytest.mark.parametrize("better", ["higher", "lower"])
def test_the_difference_is_b_minus_a_whichever_way_is_better(better):
    table = compare(_audit([0.2, 0.2, 0.2], better), _audit([0.1, 0.1, 0.1], better))
    (row,) = table.to_dict("records")
    assert (row["metric"], row["a"][:5], row["b"][:5]) == ("performance/error", "0.200", "0.100")
    assert row["b - a, paired"].startswith("-0.100 [")


def test_audits_of_other_seeds_are_not_paired():
    table = compare(_audit([0.2, 0.2, 0.2]), _audit([0.1, 0.1, 0.1], seed=1))
    assert table["b - a, paired"].tolist() == [""]
