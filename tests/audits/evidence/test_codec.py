"""Evidence survives the store: what is kept is what was concluded."""

import math

import numpy as np
import pandas as pd

from audits.evidence.codec import from_part, to_part
from audits.evidence.evidence import Evidence, Picture, evidence_from_json
from audits.evidence.intervals import Estimate
from audits.execution.store import Store


def _evidence():
    images = pd.DataFrame(
        {"label": [1, 2], "share": np.array([0.1, np.nan], np.float32), "found": [True, False]},
        index=pd.Index([7, 3], name="index"),
    )
    return Evidence(
        check="fill",
        sentence="A sentence.",
        metrics={
            "accuracy": Estimate(0.1 + 0.2, 0.1, 0.5, 2),
            "none": Estimate(*[math.nan] * 3, 0),
        },
        images=images,
        tables={"cells": pd.DataFrame({"binarise": ["otsu", None], "passes": [1, 2]})},
        pictures=(
            Picture("fill/class_0", 0, np.zeros((2, 3), np.uint8), "masked"),
            Picture("fill/class_0", 1, np.ones((4, 3, 3), np.uint8), "filled", small=False),
        ),
        passes=5,
    )


def test_evidence_comes_back_from_the_store_as_it_went_in(tmp_path):
    store = Store(str(tmp_path))
    evidence = _evidence()
    store.put("key", to_part(evidence))
    kept = from_part(store.get("key"))
    pd.testing.assert_frame_equal(kept.images, evidence.images)
    pd.testing.assert_frame_equal(kept.tables["cells"], evidence.tables["cells"])
    for one, other in zip(kept.pictures, evidence.pictures, strict=True):
        assert (one.key, one.step, one.caption, one.small) == (
            *(other.key, other.step, other.caption, other.small),
        )
        assert one.image.dtype == np.uint8
        assert np.array_equal(one.image, other.image)
    assert repr(kept.metrics) == repr(evidence.metrics)
    assert kept.to_json() == evidence.to_json()


def test_evidence_without_images_or_pictures_comes_back_too():
    evidence = Evidence("fill", "A sentence.", "not_applicable", "no labels", detail="a\nb")
    assert from_part(to_part(evidence)) == evidence


def test_evidence_is_read_from_its_json():
    evidence = _evidence()
    read = evidence_from_json(evidence.to_json(), evidence.images)
    assert {**read.to_json(), "pictures": 2} == evidence.to_json()
