"""Class names become keys that MLflow takes."""

import mlflow
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.utils.validation import _validate_metric_name

from audits.checks._shared.images import slugs


@given(st.lists(st.text(max_size=60), min_size=1, max_size=6, unique=True))
def test_slugs_differ_and_are_fit_for_mlflow(names):
    found = slugs(names)
    assert len(found) == len(names)
    assert len(set(found)) == len(names)
    for slug in found:
        assert "/" not in slug
        _validate_metric_name(f"fill/{slug}")


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (["0", "1"], ["0", "1"]),
        (["tabby cat", "Ankle boot"], ["tabby_cat", "Ankle_boot"]),
        (["tench, Tinca tinca"], ["tench_Tinca_tinca"]),
        (["a b", "a_b"], ["a_b", "a_b_1"]),
        (["猫", "犬"], ["class", "class_1"]),
    ],
)
def test_slugs_keep_what_can_be_read(names, wanted):
    assert slugs(names) == wanted


@pytest.mark.parametrize("names", [["a b", "a_b", "a_b_1"], [".", ".."]])
def test_slugs_of_awkward_names_differ_and_are_fit_for_mlflow(names):
    found = slugs(names)
    assert len(set(found)) == len(names)
    for slug in found:
        _validate_metric_name(f"fill/{slug}")


@pytest.mark.parametrize(
    "names",
    [
        ["a/b", "a,b", "(c) <d>", "..", "größe", "#%", "é" * 50, " ", "A" * 120],
        pytest.param(["x" * 300], id="long"),
    ],
)
def test_mlflow_takes_every_slug_as_the_key_of_an_image(names, registry):
    image = np.zeros((2, 2, 3), np.uint8)
    client = mlflow.MlflowClient()
    with mlflow.start_run() as run:
        for slug in slugs(names):
            client.log_image(run.info.run_id, image, key=f"f/{slug}", step=0, synchronous=True)
    stored = {a.path for a in client.list_artifacts(run.info.run_id, "images")}
    assert len(stored) == 2 * len(names)
