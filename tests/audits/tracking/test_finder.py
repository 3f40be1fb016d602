"""Runs of a model are found among those of models with names alike, however many there are."""

from types import SimpleNamespace

import mlflow
import pytest

from audits.models.registry import Resolved
from audits.tracking import finder
from audits.tracking.tags import MODEL_TAG, VERDICT_TAG


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


def test_newer_runs_of_other_models_hide_none_of_the_model(runs):
    experiment, run = runs
    own = "models:/a\\b/1"  # MLflow's filters take any character for the backslash
    old, new = (run(own, start, **{VERDICT_TAG: "passed"}) for start in (1, 2))
    for start in range(3, 9):
        run("models:/a_b/1", start, **{VERDICT_TAG: "passed"})
    audits = {
        run_id: SimpleNamespace(
            run_id=run_id,
            experiment_id=experiment,
            content=SimpleNamespace(model=SimpleNamespace(uri=own)),
        )
        for run_id in (old, new)
    }
    assert finder.newer(audits[old]) == new
    assert finder.newer(audits[new]) is None
    assert finder.has_passed(Resolved(own, "a\\b", "1", None), experiment)
    other = Resolved("models:/a\\b/2", "a\\b", "2", None)
    assert not finder.has_passed(other, experiment)
