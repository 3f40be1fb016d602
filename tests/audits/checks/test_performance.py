"""Performance by class and by slice: identities, the worst answers, and hostile columns."""

import json
from dataclasses import replace

import measured
import numpy as np
import pandas as pd
import pytest
import torch
from fixed_net import fixed_classifier
from sklearn.metrics import precision_recall_fscore_support
from torch import nn

from audits.checks._performance.slices import MOST_ROWS, Slices
from audits.checks.context import AuditContext
from audits.checks.performance import Performance
from audits.data.sources import Digits, load
from audits.data.table_columns import TableColumns
from audits.evidence.codec import from_part, to_json, to_part
from audits.evidence.estimate import UNMEASURED
from audits.evidence.evidence import Evidence
from fillblanks import default_plan

DIGITS = load(Digits())
PLAN = default_plan(1, 28, 28)


def _evidence(check=None, images=DIGITS, model=None):
    audit = AuditContext(images, seed=0, plan=PLAN, model=model or fixed_classifier())
    return measured.evidence_of(check or Performance(), audit)


def _with(columns):
    return replace(DIGITS, columns=TableColumns(tuple(columns), lambda name: columns[name]))


class _NamesAlone(nn.Module):
    """The fixed network as an adapted one that predicts classes: 0 for the class, -1 for others."""

    def forward(self, images):
        logits = fixed_classifier().net(images)
        return (logits == logits.amax(1, keepdim=True)).float() - 1


@pytest.fixture(scope="module")
def plain():
    return _evidence()


def test_the_table_of_classes_is_scikit_learns(plain):
    table = plain.tables["classes"].set_index("class")
    precision, recall, f1, support = precision_recall_fscore_support(
        plain.images["label"], plain.images["predicted"], labels=range(10)
    )
    for number in range(10):
        row = table.loc[str(number)]
        expected = recall[number], precision[number], f1[number], support[number]
        assert (row["recall"], row["precision"], row["f1"], row["images"]) == pytest.approx(
            expected
        )
    assert table["f1"].is_monotonic_increasing
    worst = plain.metrics["recall_worst"].estimate
    assert worst.value == pytest.approx(recall.min())
    assert worst.low < recall.min() < worst.high
    assert worst.n == 450
    assert "'8' least often (31 of 43)." in plain.sentence


def test_the_most_frequent_mistake_stands_beside_its_class(plain):
    table = plain.tables["classes"].set_index("class")
    label, predicted = (plain.images[name].to_numpy() for name in ("label", "predicted"))
    wrong = pd.Series(predicted[(label == 8) & (predicted != 8)]).value_counts()
    assert table.loc["8", "mistaken"] == wrong.max()
    assert wrong[int(table.loc["8", "mistaken_for"])] == wrong.max()
    assert (table.loc["0", "mistaken_for"], table.loc["0", "mistaken"]) == ("", 0)


def test_the_wrong_answers_that_are_shown_are_the_surest(plain):
    shown = [picture.seen for picture in plain.examples if picture.seen.shows == "mistaken"]
    images = plain.images
    wrong = images[images["label"] != images["predicted"]]["confidence"].sort_values()[::-1]
    assert [seen.probability for seen in shown] == wrong.tolist()[:10]
    for seen in shown:
        row = images.loc[seen.image]
        assert (row["label"], row["predicted"]) == (seen.label, seen.read_as)
        assert seen.label != seen.read_as


def test_a_model_of_predictions_alone_has_no_confidence_and_all_other_figures(plain):
    found = _evidence(model=fixed_classifier().with_net(_NamesAlone(), torch.float64))
    assert found.images["confidence"].isna().all()
    assert found.estimates == plain.estimates
    shown = [picture.seen for picture in found.examples if picture.seen.shows == "mistaken"]
    assert len(shown) == 10
    assert all(seen.probability is None for seen in shown)


def test_slices_are_groups_of_pandas():
    rng = np.random.default_rng(0)
    camera = rng.choice(["A", "B", None], 450, p=[0.6, 0.3, 0.1])
    found = _evidence(Performance(slices=("camera",)), _with({"camera": camera.tolist()}))
    right = found.images["label"] == found.images["predicted"]
    groups = right.groupby(pd.Series(camera).fillna("missing"))
    table = found.tables["slices"].set_index("value")
    assert set(table.index) == {"A", "B", "missing"}
    for value, own in groups:
        row = table.loc[value]
        assert (row["images"], row["accuracy"]) == (len(own), pytest.approx(own.mean()))
        others = right[~right.index.isin(own.index)]
        assert row["gap"] == pytest.approx(others.mean() - own.mean())
        assert row["low"] < row["accuracy"] < row["high"]
    worst = found.metrics["worst_slice_accuracy"].estimate
    assert worst.value == pytest.approx(groups.mean().min())
    assert found.metrics["worst_slice_gap"].estimate.value == pytest.approx(table["gap"].max())
    assert found.metrics["accuracy"].estimate.n == 450


def test_a_bad_camera_is_found_and_told():
    evidence = _evidence()
    right = (evidence.images["label"] == evidence.images["predicted"]).to_numpy()
    wrong = np.flatnonzero(~right)[:25]
    camera = np.full(450, "good", object)
    camera[wrong] = "bad"
    camera[np.flatnonzero(right)[:10]] = "bad"
    found = _evidence(Performance(slices=("camera",)), _with({"camera": camera.tolist()}))
    gap = found.metrics["worst_slice_gap"].estimate
    assert gap.value == pytest.approx(right[camera == "good"].mean() - 10 / 35)
    assert gap.low > 0.4
    assert "'camera' = 'bad' is named right least often: 28.6% of 35 images" in found.sentence
    assert "chance" not in found.sentence
    assert found.tables["slices"]["value"][0] == "bad"


def test_small_slices_are_told_and_not_judged():
    camera = ["many"] * 440 + ["few"] * 10
    images = _with({"camera": camera})
    found = _evidence(Performance(slices=("camera",)), images)
    row = found.tables["slices"].set_index("value").loc["few"]
    assert (row["images"], row["judged"]) == (10, "too few images")
    assert "1 slice has fewer than 20 images and is not judged." in found.sentence
    alone = found.metrics["worst_slice_accuracy"].estimate
    own = (found.images["label"] == found.images["predicted"])[:440]
    assert alone.value == pytest.approx(own.mean())
    both = _evidence(Performance(slices=("camera",), slice_images=10), images)
    assert both.tables["slices"]["judged"].tolist() == ["yes", "yes"]


def test_without_a_slice_of_enough_images_nothing_is_measured():
    patients = [str(number) for number in range(450)]
    found = _evidence(Performance(slices=("patient",)), _with({"patient": patients}))
    assert found.metrics["worst_slice_accuracy"].estimate is UNMEASURED
    assert found.metrics["worst_slice_gap"].estimate is UNMEASURED
    assert "No slice is judged. 450 slices have fewer than 20 images" in found.sentence
    one = _evidence(Performance(slices=("site",)), _with({"site": ["x"] * 450}))
    assert one.metrics["worst_slice_gap"].estimate is UNMEASURED
    assert one.metrics["worst_slice_accuracy"].estimate.value == pytest.approx(
        one.metrics["accuracy"].estimate.value
    )
    assert "All images have one value" in one.sentence


def test_a_slice_of_difficult_classes_is_not_accused_by_its_mix_of_classes():
    """Class 0 is named right 90 times of 100, class 1 50 times; site B has class 1 alone."""
    label = np.repeat([0, 1, 1], 100)
    right = np.concatenate([np.arange(100) < 90, np.arange(100) < 50, np.arange(100) < 50])
    site = np.repeat(["A", "A", "B"], 100).tolist()
    found = Slices.of({"site": site}, label, np.where(right, label, 2), 20)
    table = found.table().set_index("value")
    assert table.loc["B", "gap"] == pytest.approx(0.7 - 0.5)
    assert table.loc["B", "same_classes"] == pytest.approx(0.5)  # no worse than site A's class 1
    assert np.isnan(table.loc["A", "same_classes"])  # no other image is of class 0


def test_a_value_that_is_called_missing_is_not_the_missing_value():
    site = [None] * 200 + ["missing"] * 250
    found = _evidence(Performance(slices=("site",)), _with({"site": site}))
    table = found.tables["slices"].set_index("value")
    assert table["images"].to_dict() == {"missing (no value)": 200, "missing": 250}


ODD = ["", "a/b", "</td><script>alert(1)</script>", "\u202eevil", "=1+1", "x" * 5000, "日本"]


def test_odd_names_and_values_are_evidence_that_can_be_written():
    for name in ODD[1:]:
        values = [ODD[number % (len(ODD))] or None for number in range(450)]
        found = _evidence(Performance(slices=(name,)), _with({name: values}))
        again = from_part(to_part(found))
        pd.testing.assert_frame_equal(again.tables["slices"], found.tables["slices"])
        json.dumps(to_json(found))
        assert found.sentence.isprintable()
        assert len(found.sentence) < 500


def test_ten_thousand_slices_are_counted_and_the_table_is_bounded():
    n = 50_000
    rng = np.random.default_rng(0)
    label = rng.integers(0, 10, n)
    predicted = np.where(rng.random(n) < 0.9, label, 0)
    values = [str(number) for number in np.arange(n) % 10_000]
    values[:300] = ["common"] * 300
    found = Slices.of({"patient": values}, label, predicted, 20)
    assert len(found.counts) == 10_001
    assert found.counts.sum() == n
    table = found.table()
    assert len(table) == MOST_ROWS
    assert table["value"][0] == "common"  # the only one that is judged
    assert "10,000 slices have fewer than 20 images and are not judged." in found.sentence()
    evidence = Evidence(check="p", sentence="s", tables={"slices": table})
    assert len(json.dumps(to_json(evidence))) < 1 << 20


@pytest.mark.parametrize(
    "fields", [{"slices": ("a", "a")}, {"slices": ("",)}, {"slice_images": 0}, {"slices": (1,)}]
)
def test_nonsense_is_refused(fields):
    with pytest.raises(ValueError, match="slice"):
        Performance(**fields)


def test_metrics_of_slices_are_declared_only_with_slices():
    assert "worst_slice_gap" not in Performance().declared_metrics(reference=False)
    one = Performance.model_validate({"slices": "camera"})
    assert one.slices == ("camera",)
    assert "worst_slice_gap" in one.declared_metrics(reference=False)
