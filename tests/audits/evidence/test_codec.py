"""Evidence comes back unchanged from the store and from JSON; old schemas are upgraded."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from audits.evidence import migrations
from audits.evidence.codec import SCHEMA_VERSION, from_json, from_part, to_json, to_part
from audits.evidence.estimate import Estimate
from audits.evidence.evidence import Evidence, Picture, failed_evidence
from audits.evidence.metric import DefaultBounds, Metric, Null, Pairing
from audits.execution.store import Store

OLD = Path(__file__).parents[2] / "support" / "schema_2" / "evidence.json"


def _evidence():
    images = pd.DataFrame(
        {"label": [1, 2], "share": np.array([0.1, np.nan], np.float32), "found": [True, False]},
        index=pd.Index([7, 3], name="index"),
    )
    accuracy = Metric(
        "own drawing recognised",
        Estimate(0.1 + 0.2, 0.1, 0.5, 2),
        null=Null("the same pixels at random places", Estimate(0.1, 0.0, 0.2, 2)),
        lift=Estimate(0.2, math.nan, math.inf, 2),
        pairing=Pairing("found", "accuracy", same_size=True),
        bounds=DefaultBounds(min_lift=0.1),
    )
    return Evidence(
        check="fill",
        sentence="A sentence.",
        metrics={
            "accuracy": accuracy,
            "f1": Metric("F1", rests_on="accuracy", better="lower", unit="ratio"),
        },
        images=images,
        tables={"cells": pd.DataFrame({"binarise": ["otsu", None], "passes": [1, 2]})},
        pictures=(
            Picture("fill/class_0", 0, np.zeros((2, 3), np.uint8), "masked", title="zero"),
            Picture("fill/class_0", 1, np.ones((4, 3, 3), np.uint8), "filled", small=False),
        ),
        legend=("One image a class.",),
        passes=5,
    )


def _plain(metrics):
    """The metrics as text, in which NaN equals NaN; JSON turns infinity into NaN."""
    return repr(metrics).replace("inf", "nan")


def test_evidence_comes_back_from_the_store_as_it_went_in(tmp_path):
    store = Store(str(tmp_path))
    evidence = _evidence()
    store.put("key", to_part(evidence))
    kept = from_part(store.get("key"))
    pd.testing.assert_frame_equal(kept.images, evidence.images)
    pd.testing.assert_frame_equal(kept.tables["cells"], evidence.tables["cells"])
    for one, other in zip(kept.pictures, evidence.pictures, strict=True):
        assert (one.key, one.step, one.caption, one.small, one.name) == (
            *(other.key, other.step, other.caption, other.small, other.name),
        )
        assert one.image.dtype == np.uint8
        assert np.array_equal(one.image, other.image)
    assert _plain(kept.metrics) == _plain(evidence.metrics)
    assert to_json(kept) == to_json(evidence)


def test_evidence_without_images_or_pictures_comes_back_too():
    evidence = failed_evidence("fill", "not_applicable", "no labels", detail="a\nb")
    assert from_part(to_part(evidence)) == evidence


def test_evidence_is_read_from_its_json():
    evidence = _evidence()
    read = from_json(json.loads(json.dumps(to_json(evidence), allow_nan=False)), evidence.images)
    assert {**to_json(read), "pictures": 2} == to_json(evidence)
    assert _plain(read.metrics) == _plain(evidence.metrics)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metrics": {"accuracy": {"value": 1, "low": 0, "high": 1, "n": 3}}}, "estimate"),
        (
            {
                "metrics": {
                    "accuracy": {**to_json(_evidence())["metrics"]["accuracy"], "better": "up"}
                }
            },
            "better",
        ),
        ({"status": "fine"}, "status"),
    ],
)
def test_json_of_another_shape_is_no_evidence(change, message):
    with pytest.raises((KeyError, TypeError, ValueError), match=message):
        from_json({**to_json(_evidence()), **change}, None)


def test_every_figure_of_schema_2_is_in_the_schema_of_today():
    old = json.loads(OLD.read_text())
    new = migrations.upgraded(old)
    assert new["schema_version"] == SCHEMA_VERSION
    for before, after in zip(old["checks"], new["checks"], strict=True):
        read = from_json(after, None).estimates
        found = {name: [e.value, e.low, e.high, e.n] for name, e in read.items()}
        assert found == {name: list(e.values()) for name, e in before["metrics"].items()}
        for name in ("check", "status", "reason", "detail", "sentence", "passes", "tables"):
            assert after[name] == before[name]
    assert new["data"] == {**old["data"], "skipped": []}
    untouched = old.keys() - {"schema_version", "checks", "baseline", "data"}
    assert {name: new[name] for name in untouched} == {name: old[name] for name in untouched}


def test_a_schema_without_a_step_is_refused_in_words():
    with pytest.raises(ValueError, match="expected evidence of schema 2 to 4, got 9"):
        migrations.upgraded({"schema_version": 9})
