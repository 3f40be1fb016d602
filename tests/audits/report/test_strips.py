"""Strips, tables in words, and recognition show the very figures, at their places."""

import math

import numpy as np
import pandas as pd
import pytest

from audits.config.policy import Condition
from audits.evidence.estimate import Estimate
from audits.evidence.evidence import Evidence
from audits.evidence.metric import Metric, Null, Pairing
from audits.report.answer import Row
from audits.report.classes import class_table
from audits.report.confusion import matrices
from audits.report.recognition import of_drawings, of_real_images
from audits.report.strips import WIDTH, strip
from audits.report.tables import in_words
from audits.verdict.judgement import Judgement


def _row(figure="value", unit="share", value=0.5, **bound):
    condition = Condition(metric="fill/accuracy", **bound)
    metric = Metric("drawn", unit=unit, null=Null("random places")).measured(
        Estimate(value, value - 0.1, value + 0.1, 50),
        Estimate(0.25, 0.2, 0.3, 50),
        Estimate(value - 0.25, value - 0.35, value - 0.15, 50),
    )
    return Row(Judgement(condition, "failed", "found"), metric, figure)


def test_value_bound_and_null_stand_at_their_places_on_the_axis():
    found = strip(_row(min=0.75))
    left, right = found.interval
    assert (found.left, found.right) == ("0 %", "100 %")
    assert found.value == pytest.approx(WIDTH / 2)
    assert found.value - left == pytest.approx(right - found.value)
    assert found.null == pytest.approx((found.value + 8) / 2, abs=0.1)
    assert found.bound == pytest.approx((found.value + WIDTH - 8) / 2, abs=0.1)
    assert found.zone == (found.bound, pytest.approx(WIDTH - 8 - found.bound, abs=0.1))
    assert found.told == ("measured 50 % (40 to 60 %); needed at least 75 %; 25 %, random places")
    below = strip(_row(max=0.75))
    assert below.zone == (8, pytest.approx(below.bound - 8, abs=0.1))


def test_the_null_of_a_lift_is_at_zero_and_a_small_one_has_a_short_axis():
    found = strip(_row("lift", value=0.27, min_lift=0.1))
    assert (found.left, found.right) == ("-20 points", "20 points")
    assert found.null == pytest.approx(WIDTH / 2)
    assert found.interval[0] < found.null < found.value < found.bound
    assert strip(_row("lift", value=0.9, min_lift=0.1)).left == "0 points"


def test_a_count_has_an_axis_up_to_its_values():
    found = strip(_row(unit="count", value=400.0, min=800))
    assert (found.left, found.right) == ("0.0", "1,000.0")
    nothing = Row(Judgement(Condition(metric="a/b", min=1), "not_judged", "why"), None)
    assert strip(nothing) is None


def test_an_interval_stands_beside_its_value_and_what_is_left_out_is_named():
    table = pd.DataFrame(
        {
            "size": [2],
            "accuracy": [0.5],
            "low": [0.4],
            "high": [0.6],
            "f1": [0.1],
            "x_lift": [0.25],
            "x_lift_low": [-0.05],
            "x_lift_high": [0.35],
            "images": [30],
        }
    )
    found = in_words("cells", table)
    assert [head.told for head in found.heads] == [
        "size",
        "x: better than the null by",
        "accuracy",
        "images",
    ]
    named = in_words("cells", table, {"accuracy": "drawing recognised", "images": "n"})
    assert named.heads[2:] == (("drawing recognised", "accuracy"), ("n", "images"))
    assert found.rows == (
        ("2", "+25 (-5\u00a0to\u00a0+35) points", "0.500 (0.400\u00a0to\u00a00.600)", "30"),
    )
    assert found.left_out == ("f1",)
    plain = in_words("t", pd.DataFrame({"a": [math.nan, 1.0], "b": [None, "x"]}))
    assert plain.rows == (("", ""), ("1.000", "x"))


def _evidence(label, predicted):
    def of(check, about_learning):
        metric = Metric(
            "named right",
            about_learning=about_learning,
            null=Null("n") if about_learning else None,
            pairing=Pairing("seen", "accuracy"),
            clause="{}",
        )
        images = pd.DataFrame({"label": np.array(label, float), "seen": predicted})
        return Evidence(check=check, sentence="s", metrics={"a": metric}, images=images)

    return [of("real", False), of("drawn", True)]


def test_classes_are_counted_as_the_table_of_images_says():
    evidence = _evidence([0, 0, 0, 1, 1, 2], [0, 1, 1, -1, 1, 2])
    assert of_real_images(evidence).metric == "real/a"
    (drawn,) = of_drawings(evidence)
    assert drawn.hits(0) == (1, 3)
    assert drawn.mistaken(0) == (1, 2)
    assert drawn.mistaken(2) is None
    assert drawn.of_image(3) == -1
    assert drawn.of_image(99) is None
    table = class_table(evidence, ("a", "b", "c", "none of this"))
    assert [row.name for row in table.rows] == ["a", "b", "c", "none of this"]
    bars = [row.bars[1] for row in table.rows]
    assert [(bar.hits, bar.images, bar.mistaken) for bar in bars] == [
        (1, 3, "read as b: 2 of 3"),
        (1, 2, "none that counts: 1 of 2"),
        (1, 1, ""),
        (0, 0, ""),
    ]
    real, _ = matrices(evidence, ("a", "b", "c"))
    cells = {(cell.row, cell.column): cell.images for cell in real.cells}
    assert cells == {(0, 0): 1, (0, 1): 2, (1, 1): 1, (1, 3): 1, (2, 2): 1}
    assert tuple(name.short for name in real.names) == ("a", "b", "c", "none counts")
    assert real.mistakes == ("a, read as b: 2 of 3", "b, none that counts: 1 of 2")
    assert real.told == "3 of 6 right"
