"""Runs of a model are found among those of models with names alike, however many there are."""

import time
from types import SimpleNamespace

import mlflow
import pytest

from audits.models.registry import Resolved
from audits.tracking import finder
from audits.tracking.tags import HASH_TAG, MODEL_TAG, REFUSED_TAG, VERDICT_TAG


@pytest.fixture
def runs(tmp_path, monkeypatch):
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.setattr(finder, "_PAGE", 2)
    experiment = mlflow.create_experiment("audits", artifact_location=str(tmp_path))
    client = mlflow.MlflowClient()

    def run(uri, start, **tags):
        made = client.create_run(experiment, start_time=start, tags={MODEL_TAG: uri, **tags})
        return made.info.run_id

    yield experiment, run
    mlflow.set_tracking_uri(before)


def _audit(run_id, experiment, uri):
    content = SimpleNamespace(model=SimpleNamespace(uri=uri))
    return SimpleNamespace(run_id=run_id, experiment_id=experiment, content=content)


def test_newer_runs_of_other_models_hide_none_of_the_model(runs):
    experiment, run = runs
    own = "models:/a\\b/1"  # MLflow's filters take any character for the backslash
    old, new = (run(own, start, **{VERDICT_TAG: "passed"}) for start in (1, 2))
    for start in range(3, 9):
        run("models:/a_b/1", start, **{VERDICT_TAG: "passed"})
    audits = {run_id: _audit(run_id, experiment, own) for run_id in (old, new)}
    assert finder.newer(audits[old]) == f"run {new} is newer"
    assert finder.newer(audits[new]) is None
    assert finder.has_passed(Resolved(own, "a\\b", "1", None), experiment)
    other = Resolved("models:/a\\b/2", "a\\b", "2", None)
    assert not finder.has_passed(other, experiment)


def test_a_run_that_was_ended_before_it_recorded_anything_is_not_newer(runs):
    experiment, run = runs
    own = "models:/a/1"
    audit, empty = (run(own, start) for start in (1, 2))
    client = mlflow.MlflowClient()
    audited = _audit(audit, experiment, own)
    assert finder.newer(audited) == f"run {empty} is newer"  # it may still go on
    client.set_terminated(empty, "KILLED")
    assert finder.newer(audited) is None
    for tag in (HASH_TAG, REFUSED_TAG):
        client.set_tag(empty, tag, "x")
        assert finder.newer(audited) == f"run {empty} is newer"
        client.delete_tag(empty, tag)


def test_a_run_that_begins_in_the_future_is_told_with_what_to_do(runs):
    experiment, run = runs
    own = "models:/a/1"
    audited = _audit(run(own, 1), experiment, own)
    ahead = run(own, int(time.time() * 1000) + 3_600_000)
    told = finder.newer(audited)
    assert told.startswith(f"run {ahead} is newer: it begins in the future")
    assert told.endswith(f"(mlflow runs delete --run-id {ahead})")
    mlflow.MlflowClient().delete_run(ahead)
    assert finder.newer(audited) is None
