"""An audit waits while the tracking server is away, and its parts outlive a longer outage."""

import os
import time

import mlflow
import pytest
import yaml
from kills import Audits
from servers import mlflow_server
from simple_nets import logistic

pytestmark = pytest.mark.soak

AWAY = float(os.environ.get("FILLBLANKS_AWAY", "5"))  # seconds; `make soak` takes 60


@pytest.fixture(scope="module")
def server(tmp_path_factory, register):
    """An MLflow server with a registered model."""
    before = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    with (
        mlflow_server(tmp_path_factory.mktemp("mlflow")) as running,
        pytest.MonkeyPatch.context() as monkeypatch,
    ):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", running.url)
        monkeypatch.delenv("MLFLOW_REGISTRY_URI", raising=False)
        mlflow.set_tracking_uri(running.url)
        mlflow.set_registry_uri(running.url)
        mlflow.set_experiment("training")
        register(logistic(), "m")
        yield running
    mlflow.set_tracking_uri(before[0])
    mlflow.set_registry_uri(before[1])


@pytest.fixture
def audits(tmp_path, prefect_api):
    """Audits that take some seconds, with an experiment of their own for each test."""
    values = {
        "model": "models:/m/1",
        "data": {"kind": "digits"},
        "checks": [{"kind": "random_fill", "samples": 64_000, "max_draws": 64_000, "images": 6}],
        "policy": {"conditions": [{"metric": "random_fill/coverage", "min": 0.1}]},
        "engine": {"precision": "full", "chunk": 64},
        "experiment": tmp_path.name,
        "store": str(tmp_path / "store"),
    }
    (tmp_path / "audit.yaml").write_text(yaml.safe_dump(values))
    return Audits(tmp_path, "models:/m/1", tmp_path / "audit.yaml", prefect_api)


def _parts(folder):
    return {part: part.stat().st_mtime_ns for part in (folder / "store").rglob("*.npz")}


def _until_measuring(process, folder):
    deadline = time.monotonic() + 300
    while len(_parts(folder)) < 2:  # a plan and a unit
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _until_measured(process, folder):
    """Waits until the audit only has to be recorded."""
    deadline = time.monotonic() + 300
    while len(_parts(folder)) < 8:  # a plan, six units and the conclusion
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _runs(folder):
    found = mlflow.search_runs(experiment_names=[folder.name], output_format="list")
    return sorted(run.info.status for run in found)


def test_an_audit_waits_for_a_server_that_comes_back(server, audits, tmp_path):
    process = audits.start()
    _until_measuring(process, tmp_path)
    server.stop()
    _until_measured(process, tmp_path)
    time.sleep(AWAY)
    assert process.poll() is None, process.stdout.read()
    server.start()
    told, _ = process.communicate(timeout=300)
    assert process.returncode == 0, told
    assert _runs(tmp_path) == ["FINISHED"]
    audits.wait_until_alone()


@pytest.mark.soak
def test_what_was_measured_outlives_a_server_that_stays_away(server, audits, tmp_path):
    process = audits.start(MLFLOW_HTTP_REQUEST_MAX_RETRIES="1")
    _until_measuring(process, tmp_path)
    server.stop()
    told, _ = process.communicate(timeout=300)
    assert process.returncode == 2
    assert "run the audit again to record them" in told
    assert "Traceback" not in told
    audits.wait_until_alone()

    kept = _parts(tmp_path)
    server.start()
    audits.to_the_end()
    # All was measured and concluded before, so no part is written again.
    assert _parts(tmp_path) == kept
    assert _runs(tmp_path) == ["FINISHED", "KILLED"]
