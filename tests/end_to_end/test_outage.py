"""The tracking server goes away while an audit runs: for a while, and for good."""

import os
import time

import mlflow
import pytest
import yaml
from kills import Audits
from servers import mlflow_server
from simple_nets import logistic

AWAY = float(os.environ.get("FILLBLANKS_AWAY", "10"))  # seconds; `make soak` takes 60


@pytest.fixture
def server(tmp_path, monkeypatch, register):
    """An MLflow server with a registered model."""
    before = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    with mlflow_server(tmp_path) as running:
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
def folder(tmp_path):
    """With a config whose audit takes some seconds."""
    values = {
        "model": "models:/m/1",
        "data": {"kind": "digits"},
        "checks": [{"kind": "random_fill", "samples": 64_000, "max_draws": 64_000, "images": 6}],
        "policy": {"conditions": [{"metric": "random_fill/coverage", "min": 0.1}]},
        "engine": {"precision": "full", "chunk": 64},
        "store": str(tmp_path / "store"),
    }
    (tmp_path / "audit.yaml").write_text(yaml.safe_dump(values))
    return tmp_path


def _until_measuring(process, store):
    deadline = time.monotonic() + 120
    while len(list(store.rglob("*.npz"))) < 2:  # a plan and a unit
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _until_measured(process, store):
    """Nothing new has come to the store for some seconds."""
    parts = 0
    while parts < (parts := len(list(store.rglob("*.npz")))):
        time.sleep(5)
    assert process.poll() is None, process.stdout.read()


def _runs():
    found = mlflow.search_runs(experiment_names=["audits"], output_format="list")
    return sorted(run.info.status for run in found)


def test_an_audit_waits_for_a_server_that_comes_back(server, folder):
    audits = Audits(folder, "models:/m/1", folder / "audit.yaml")
    process = audits.start()
    _until_measuring(process, folder / "store")
    server.stop()
    _until_measured(process, folder / "store")  # all that is left is to record it
    time.sleep(AWAY)
    assert process.poll() is None, process.stdout.read()
    server.start()
    told, _ = process.communicate(timeout=300)
    assert process.returncode == 0, told
    assert _runs() == ["FINISHED"]
    audits.wait_until_alone()


def test_what_was_measured_outlives_a_server_that_stays_away(server, folder, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    audits = Audits(folder, "models:/m/1", folder / "audit.yaml")
    process = audits.start()
    _until_measuring(process, folder / "store")
    server.stop()
    told, _ = process.communicate(timeout=300)
    assert process.returncode == 2
    assert "run the audit again to record it" in told
    assert "Traceback" not in told
    audits.wait_until_alone()

    kept = {p: p.stat().st_mtime_ns for p in (folder / "store").rglob("*.npz")}
    server.start()
    audits.to_the_end()
    # All was measured and concluded before: nothing is written, only recorded.
    assert {p: p.stat().st_mtime_ns for p in (folder / "store").rglob("*.npz")} == kept
    assert _runs() == ["FINISHED", "KILLED"]
