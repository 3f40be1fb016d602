"""The digest of a version is that of its stored folder, wherever MLflow keeps it, each time."""

import os
import sys
from contextlib import contextmanager

import mlflow
import numpy as np
import pytest
import torch
from servers import Server, free_port, mlflow_server
from torch import nn

from audits.models.files import inspect
from audits.models.folder import changed
from audits.models.preprocessing import Preprocessing
from audits.models.registry import fetch, resolve
from audits.models.snapshot import files_anew, snapshot


def _inspected(folder):
    """The files of the model; `served` allows those that no flavour names."""
    return inspect(folder, Preprocessing(), served_as=("pytorch",))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A saved model with names that stores may treat as they like, and an empty file."""
    folder = tmp_path_factory.mktemp("saved") / "model"
    torch.manual_seed(0)
    mlflow.pytorch.save_model(
        nn.Sequential(nn.Flatten(), nn.Linear(64, 3)).eval(),
        str(folder),
        input_example=np.zeros((2, 1, 8, 8), np.float32),
        pip_requirements=["torch"],
    )
    for name in ("ä b+c&d.txt", "Z.bin", "a.bin", ".hidden", "registered_model_meta"):
        (folder / "data" / name).write_text(name)
    (folder / "data" / "empty").touch()
    return folder


@contextmanager
def _use(uri):
    before = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before[0])
        mlflow.set_registry_uri(before[1])


@contextmanager
def _files(tmp_path):
    with _use(f"sqlite:///{tmp_path / 'files.db'}"):
        yield (tmp_path / "artifacts").as_uri()


@contextmanager
def _served(tmp_path):
    """MLflow's own server, which hands out the files itself."""
    with mlflow_server(tmp_path) as server, _use(server.url):
        yield None


@contextmanager
def _bucket(tmp_path):
    """A bucket of S3, on moto's server."""
    boto3 = pytest.importorskip("boto3", reason="needs boto3; run pip install 'moto[s3]'")
    pytest.importorskip("moto", reason="needs moto; run pip install 'moto[s3]'")
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = Server(command, port, "/moto-api/", tmp_path / "log")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.delenv("AWS_PROFILE", raising=False)
        for name in ("AWS_ENDPOINT_URL", "MLFLOW_S3_ENDPOINT_URL"):
            monkeypatch.setenv(name, server.url)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "testing")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        try:
            server.start()
            boto3.client("s3").create_bucket(Bucket="models")
            with _use(f"sqlite:///{tmp_path / 'bucket.db'}"):
                yield "s3://models/artifacts"
        finally:
            server.stop()


def _registered(folder, location):
    """The URI of a version of this very folder, and the run and place where it is stored."""
    client = mlflow.MlflowClient()
    experiment = client.create_experiment("models", artifact_location=location)
    run = client.create_run(experiment)
    client.log_artifacts(run.info.run_id, str(folder), "model")
    client.create_registered_model("same")
    run_id = run.info.run_id
    version = client.create_model_version("same", f"{run.info.artifact_uri}/model", run_id)
    return f"models:/same/{version.version}", run_id


@pytest.mark.slow
@pytest.mark.parametrize("store", [_files, _served, _bucket], ids=["files", "server", "s3"])
def test_a_version_has_one_digest_over_every_store_and_each_time(store, saved, tmp_path):
    expected = _inspected(saved)
    assert len(expected.sha256) == sum(len(files) for _, _, files in os.walk(saved))
    with store(tmp_path) as location:
        uri, run_id = _registered(saved, location)

        def copied(name):
            folder = tmp_path / name
            folder.mkdir()
            return _inspected(fetch(resolve(uri), folder))

        first, second = copied("first"), copied("second")
        assert first.sha256 == second.sha256 == expected.sha256
        assert first.digest == second.digest == expected.digest

        # The same within a snapshot, and with its files copied anew after an edit.
        with snapshot():
            assert _inspected(fetch(resolve(uri), tmp_path)).digest == expected.digest
            mlflow.MlflowClient().log_text(run_id, "torch==0", "model/requirements.txt")
            assert _inspected(fetch(resolve(uri), tmp_path)).digest == expected.digest
            with files_anew():
                edited = _inspected(fetch(resolve(uri), tmp_path))
        assert changed(expected.sha256, edited.sha256) == ["requirements.txt"]
        assert edited.digest != expected.digest
