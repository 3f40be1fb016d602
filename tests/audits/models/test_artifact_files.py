"""A file is copied from a known store and not without bound; errors of stores are one line."""

import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import ClassVar

import mlflow
import pytest
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from servers import mlflow_server

from audits.data import artifact_stores, places
from audits.errors import AuditError, ModelRefused
from audits.models.artifact_files import TooLarge, copy_file, copying
from audits.models.registry import fetch, fetch_file, resolve
from audits.tracking import reader
from audits.tracking.recorder import Recorder

_MOST = 4 << 20


@pytest.fixture
def large(tmp_path):
    """A folder with a file of a byte too much, and a small one."""
    folder = tmp_path / "large"
    folder.mkdir()
    (folder / "MLmodel").write_bytes(bytes(_MOST + 1))
    (folder / "small").write_bytes(bytes(_MOST))
    return folder


def test_a_large_file_of_this_machine_is_refused_before_it_is_copied(large, tmp_path):
    copy = tmp_path / "copy"
    with pytest.raises(TooLarge, match="Expected at most 4 MiB in MLmodel, got more"):
        copy_file(large.as_uri(), "MLmodel", copy, _MOST)
    assert not copy.exists()
    copy_file(large.as_uri(), "small", copy, _MOST)
    assert copy.stat().st_size == _MOST


def test_a_device_is_not_read_to_its_end(large, tmp_path):
    (large / "endless").symlink_to("/dev/zero")
    with pytest.raises(ModelRefused, match="a plain file endless"):
        copy_file(large.as_uri(), "endless", tmp_path / "copy", _MOST)


@pytest.mark.soak
def test_a_large_file_of_a_server_is_copied_to_the_bound_alone(large, tmp_path):
    with mlflow_server(tmp_path) as server:
        before = mlflow.get_tracking_uri()
        mlflow.set_tracking_uri(server.url)
        try:
            place, copy = "mlflow-artifacts:/model", tmp_path / "copy"
            get_artifact_repository(place).log_artifacts(str(large))
            with pytest.raises(TooLarge, match="Expected at most 4 MiB in MLmodel, got more"):
                copy_file(place, "MLmodel", copy, _MOST)
            assert copy.stat().st_size <= _MOST
            copy_file(place, "small", copy, _MOST)
            assert copy.stat().st_size == _MOST
            with (
                pytest.raises(ModelRefused, match=r"could not copy them to .*404"),
                copying("none", tmp_path),
            ):
                copy_file(place, "none", copy, _MOST)
        finally:
            mlflow.set_tracking_uri(before)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RuntimeError("no\ncredentials."), ": no credentials.$"),
        (KeyError(), ": KeyError.$"),
        (ModuleNotFoundError("No module named 'google.cloud'", name="google.cloud"), "google-cl"),
        (ImportError("too old"), "too old. Install the package"),
    ],
)
def test_an_error_of_a_store_is_one_line(error, told, tmp_path):
    with pytest.raises(ModelRefused, match=told) as refused, copying("files", tmp_path):
        raise error
    assert refused.value.__cause__ is error
    assert "\n" not in str(refused.value)


class _Listener(BaseHTTPRequestHandler):
    """Remembers whether anybody asked."""

    asked: ClassVar[list[str | None]] = []

    def do_GET(self):
        self.asked.append(self.headers.get("Authorization"))
        self.send_error(404)

    def log_message(self, *_):
        pass


@pytest.fixture
def stranger():
    """The address of a server that is not the tracking server."""
    _Listener.asked.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), _Listener) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("how", ["version", "logged model", "run", "evidence", "data"])
def test_no_other_server_is_asked(how, stranger, registry, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "secret")
    client = mlflow.MlflowClient()
    elsewhere = client.create_experiment("elsewhere", artifact_location=f"{stranger}/a")
    run = client.create_run(elsewhere).info.run_id
    client.create_registered_model("m")
    source = {
        "version": f"{stranger}/a",
        "logged model": f"models:/{client.create_logged_model(elsewhere, name='m').model_id}",
        "run": f"runs:/{run}/model",
    }.get(how)
    expected = f"got the server {stranger}, where MLflow would send"
    if how == "evidence":
        with pytest.raises(reader.NotVerified, match=expected):
            reader.artifact(run, "evidence.json", _MOST)
    elif how == "data":
        with pytest.raises(AuditError, match=expected):
            places.folder_at(f"runs:/{run}/data")
    else:
        client.create_model_version("m", source)
        with pytest.raises(ModelRefused, match=expected):
            fetch(resolve("models:/m/1"), tmp_path)
        with pytest.raises(ModelRefused, match=expected):
            fetch_file(resolve("models:/m/1"), "MLmodel", tmp_path, _MOST)
    assert _Listener.asked == []


@pytest.mark.parametrize("how", ["version", "logged model", "run"])
@pytest.mark.parametrize(
    ("address", "harm"),
    [
        *((f"{one}://{{}}/m", "wait without end") for one in ("ftp", "sftp", "hdfs", "viewfs")),
        *((f"{one}://b@{{}}/m", "send the keys of your storage") for one in ("r2", "b2", "abfss")),
    ],
)
def test_no_server_is_asked_that_an_address_of_a_store_names(
    address, harm, how, registry, tmp_path
):
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.settimeout(0.1)
        place = address.format(f"127.0.0.1:{listening.getsockname()[1]}")
        client = mlflow.MlflowClient()
        elsewhere = client.create_experiment("elsewhere", artifact_location=place)
        run = client.create_run(elsewhere).info.run_id
        logged = client.create_logged_model(elsewhere, name="m").model_id
        source = {"run": f"runs:/{run}/model", "logged model": f"models:/{logged}"}.get(how, place)
        client.create_registered_model("m")
        client.create_model_version("m", source)
        with pytest.raises(ModelRefused, match=f"where MLflow would {harm}"):
            fetch_file(resolve("models:/m/1"), "MLmodel", tmp_path, _MOST)
        with pytest.raises(TimeoutError):
            listening.accept()


@pytest.mark.parametrize(
    "disguise",
    [
        "http://{stranger}\\@{tracking}/m",
        "http://{stranger}\\x@{tracking}/m",
        "mlflow-artifacts://{stranger}\\@{tracking}/m",
        "mlflow-artifacts://{stranger}/m",
        "http://{tracking}@{stranger}/m",
        "HTTP://{stranger}/m",
        "r2://b@{stranger}\\.r2.cloudflarestorage.com/m",
        "ht\ntp://{stranger}/m",
        "http:\t//{stranger}/m",
        "http://{stranger} /m",
        "http://[{stranger}/m",
        "http://{stranger}000/m",
        "http://{stranger}\uff0f@{tracking}/m",
    ],
)
def test_no_address_disguises_a_server(disguise, stranger, monkeypatch):
    tracking, stranger = "127.0.0.1:5000", stranger.removeprefix("http://")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "secret")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"http://{tracking}")
    try:
        with pytest.raises(AuditError, match=r"got the server|of plain letters"):
            artifact_stores.store_at(disguise.format(stranger=stranger, tracking=tracking))
        for known in ("http://{}/a", "mlflow-artifacts:/a", "http://user:word@{}/a", "/srv/ä b"):
            artifact_stores.expect_known(known.format(tracking))
    finally:
        mlflow.set_tracking_uri(before)
    assert _Listener.asked == []


def test_nothing_is_recorded_at_another_server(stranger, registry, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "secret")
    client = mlflow.MlflowClient()
    elsewhere = client.create_experiment("elsewhere", artifact_location=f"{stranger}/a")
    client.create_registered_model("m")
    client.create_model_version("m", "/nowhere")
    with (
        pytest.raises(AuditError, match="got the server"),
        Recorder(resolve("models:/m/1"), "elsewhere"),
    ):
        pass
    assert _Listener.asked == []
    assert client.search_runs([elsewhere]) == []
    assert not client.get_model_version("m", "1").tags
    run = client.create_run(elsewhere).info.run_id
    with pytest.raises(AuditError, match="got the server"):
        reader.artifacts(run)
    assert _Listener.asked == []


@pytest.mark.parametrize(
    "place",
    [
        "r2://models@0123456789abcdef.r2.cloudflarestorage.com/m",
        "b2://models@s3.us-west-004.backblazeb2.com/m",
        "abfss://models@account.dfs.core.windows.net/m",
        "abfss://models@account.dfs.core.usgovcloudapi.net/m",
        "wasbs://models@account.blob.core.windows.net/m",
        "s3://models/m",
        "gs://models/m",
    ],
)
def test_buckets_where_such_buckets_are_may_be_read(place):
    artifact_stores.expect_known(place)


@pytest.mark.parametrize(
    "place",
    [
        "r2://models@r2.cloudflarestorage.com.stranger.org/m",
        "r2://models@stranger.org/x@a.r2.cloudflarestorage.com",
        "abfss://models@account.stranger.org/dfs.core.windows.net",
        "abfss://models@account.blob.core.windows.net/m",
    ],
)
def test_other_addresses_of_such_buckets_are_not_known(place):
    with pytest.raises(AuditError, match="would send the keys of your storage"):
        artifact_stores.expect_known(place)


def test_an_artifact_server_that_is_named_is_asked(stranger, registry, tmp_path, monkeypatch):
    monkeypatch.setenv("FILLBLANKS_ARTIFACT_SERVERS", f"https://artifacts, {stranger}/")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(ModelRefused, match="404"), copying("m", tmp_path):
        copy_file(f"{stranger}/a", "MLmodel", tmp_path / "copy", _MOST)
    assert len(_Listener.asked) == 1
