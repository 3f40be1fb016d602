"""Audits of an older release are read from MLflow with today's descriptions of metrics."""

import hashlib
import json
from pathlib import Path
from urllib.parse import urlparse

import mlflow
import pyarrow as pa
import pytest
from pyarrow import parquet

from audits.tracking import reader
from audits.tracking.reader import NotVerified
from audits.tracking.tags import DIGEST_TAG, HASH_TAG, INPUTS_TAG
from audits.verdict.suggest import policy_from

OLD = Path(__file__).parents[2] / "support" / "schema_2"


@pytest.fixture
def recorded(registry, tmp_path):
    """A function that records the demo's audit as release 0.1.0 did, with changes to its config."""

    def record(**changes):
        content = json.loads((OLD / "evidence.json").read_text())
        content["config"] |= changes
        folder = tmp_path / "artifacts"
        folder.mkdir()
        (folder / "evidence.json").write_text(json.dumps(content))
        (folder / "predictions.parquet").write_bytes((OLD / "predictions.parquet").read_bytes())
        with mlflow.start_run() as run:
            mlflow.log_artifacts(str(folder))
            raw = (folder / "evidence.json").read_bytes()
            mlflow.set_tags(
                {
                    HASH_TAG: hashlib.sha256(raw).hexdigest(),
                    DIGEST_TAG: content["digest"],
                    INPUTS_TAG: content["figures"],
                }
            )
        return mlflow.get_run(run.info.run_id)

    return record


def test_an_audit_of_schema_2_is_read_with_what_its_metrics_mean(recorded):
    audit = reader.read(recorded())
    evidence = {one.check: one for one in audit.evidence}
    accuracy = evidence["progressive_fill"].metrics["accuracy"]
    assert accuracy.title == "image wholly filled in recognised"
    assert accuracy.lift.value == pytest.approx(
        accuracy.estimate.value - accuracy.null.estimate.value
    )
    images = evidence["progressive_fill"].images
    assert (images["recognised"] == images["label"]).mean() == accuracy.estimate.value
    assert "progressive_fill/accuracy, min_lift" in policy_from("passed", audit.evidence, ["Old"])


def test_an_old_audit_with_a_policy_that_is_refused_today_is_read_all_the_same(recorded):
    condition = {"metric": "gone/accuracy", "min": 0.5, "max": None, "min_lift": None}
    policy = {"conditions": [condition], "min_coverage": 0.5, "waivers": []}
    assert reader.read(recorded(policy=policy)).whole


def test_an_old_audit_with_a_check_that_is_not_installed_keeps_its_figures(recorded):
    audit = reader.read(recorded(checks=[{"kind": "of_a_package_that_is_gone"}]))
    figures = audit.evidence[0].estimates
    assert figures["accuracy"].value > 0.9


def test_old_evidence_that_was_changed_is_not_verified(recorded):
    run = recorded()
    with mlflow.start_run(run.info.run_id):
        mlflow.log_text("{}", "evidence.json")
    with pytest.raises(NotVerified, match="not the one that was logged"):
        reader.read(mlflow.get_run(run.info.run_id))


def test_evidence_in_a_store_that_cannot_be_read_is_not_verified(registry):
    client = mlflow.MlflowClient()
    run = client.create_run(client.create_experiment("far", artifact_location="gs://bucket/far"))
    client.set_terminated(run.info.run_id)
    with pytest.raises(NotVerified, match=r"its evidence\.json cannot be read"):
        reader.read(client.get_run(run.info.run_id))


def test_a_file_without_end_is_not_read(recorded):
    run = recorded()
    place = Path(urlparse(run.info.artifact_uri).path)
    with (place / "evidence.json").open("ab") as file:
        file.truncate(1 << 33)
    with pytest.raises(NotVerified, match=r"at most 32 MiB in evidence\.json, got more"):
        reader.read(mlflow.get_run(run.info.run_id))


def test_a_table_whose_texts_take_more_than_its_file_is_not_read(tmp_path):
    """A text that repeats stands in the file once."""
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 4000, pa.int32()), ["x" * (1 << 20)])
    parquet.write_table(pa.table({"performance/x": column}), tmp_path / "x.parquet")
    with pytest.raises(ValueError, match="Expected a table of at most"):
        reader._table((tmp_path / "x.parquet").read_bytes())
