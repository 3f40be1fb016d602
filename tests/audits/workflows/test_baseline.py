"""A model is compared with its baseline only if both get their images in the same form."""

from dataclasses import replace

import pandas as pd
import pytest

from audits.checks.performance import Performance
from audits.checks.progressive_fill import ProgressiveFill
from audits.evidence.evidence import Evidence
from audits.execution.evaluation import Evaluation
from audits.models.preprocessing import Preprocessing
from audits.workflows.baseline import compared

CLASSES = ("a", "b")


def _examined(shape=(1, 28, 28), **preprocessing):
    labels = [0, 1] * 10
    checks = (Performance(), ProgressiveFill())
    evidence = []
    for check in checks:
        metrics = check.declared_metrics(reference=False)
        columns = {m.pairing.column: labels for m in metrics.values() if m.pairing}
        images = pd.DataFrame({"label": labels, **columns})
        evidence.append(Evidence(check=check.name, sentence="", images=images, metrics=metrics))
    fed = {"mean": (0.3,), "std": (0.4,), "classes": CLASSES, **preprocessing}
    return Evaluation(
        tuple(evidence), checks=checks, classes=CLASSES, preprocessing=fed, shape=shape
    )


def _drops(examined):
    return {
        one.check for one in examined.evidence if any("_drop" in name for name in one.estimates)
    }


def test_a_baseline_that_is_fed_as_the_config_says_is_compared():
    config = Preprocessing(mean=(0.3,), std=(0.4,), classes=CLASSES)
    result, reasons = compared(_examined(), _examined(), config)
    assert (_drops(result), reasons) == ({"performance", "progressive_fill"}, ())


@pytest.mark.parametrize(
    "corrected", [{"mean": (0.3,)}, {"std": (0.4,)}, {"classes": CLASSES}], ids=str
)
def test_a_baseline_whose_metadata_the_config_contradicts_is_not_compared(corrected):
    baseline = _examined(mean=(76.5,), std=(89.25,), classes=("b", "a"))
    result, (reason,) = compared(_examined(), baseline, Preprocessing(**corrected))
    assert _drops(result) == set()
    assert "set preprocessing.overrides: false" in reason
    first = Preprocessing(**corrected, overrides=False)  # both models' metadata go first
    assert _drops(compared(_examined(), baseline, first)[0])


def test_a_baseline_of_which_a_check_asks_something_is_not_compared():
    baseline = _examined()
    first, *others = baseline.evidence
    asking = first.model_copy(
        update={"questions": ("Accuracy is 0.09 as configured, 0.94 with range 0-255.",)}
    )
    baseline = replace(baseline, evidence=(asking, *others))
    result, (reason,) = compared(_examined(), baseline, Preprocessing())
    assert _drops(result) == set()
    assert reason.startswith("Not compared with the baseline, whose input is not known: Accuracy")


def test_fills_on_images_of_another_size_are_not_compared():
    result, (reason,) = compared(_examined(), _examined(shape=(1, 14, 14)), Preprocessing())
    assert _drops(result) == {"performance"}
    assert reason.startswith("progressive_fill was not compared with the baseline")


def test_one_number_means_the_same_as_one_for_each_channel():
    baseline = _examined(mean=(0.0, 0.0, 0.0), std=(1.0,))
    config = Preprocessing(mean=(0.0,), std=(1.0, 1.0, 1.0))
    assert _drops(compared(_examined(), baseline, config)[0])
    _, (reason,) = compared(_examined(), baseline, Preprocessing(mean=(0.0, 0.1, 0.0)))
    assert "metadata have mean" in reason


def test_a_model_that_has_to_be_served_otherwise_than_its_baseline_is_told(caplog):
    result, (reason,) = compared(_examined(mean=(0.0,)), _examined(), Preprocessing())
    assert _drops(result) == {"performance", "progressive_fill"}
    assert "mean (0.0,) instead of (0.3,)" in reason
    assert reason in caplog.text
    turned = replace(_examined(), classes=("b", "a"))
    reason, *_ = compared(turned, _examined(), Preprocessing())[1]
    assert "classes ('b', 'a') instead of ('a', 'b')" in reason
    assert compared(_examined(std=(0.4, 0.4)), _examined(), Preprocessing())[1] == ()
