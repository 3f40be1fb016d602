"""A file is not copied without bound, and every error of a store becomes one line."""

import mlflow
import pytest
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from servers import mlflow_server

from audits.errors import ModelRefused
from audits.models.artifact_files import copy_file, copying

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
    with pytest.raises(ModelRefused, match="Expected at most 4 MiB in MLmodel, got more"):
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
            with pytest.raises(ModelRefused, match="Expected at most 4 MiB in MLmodel, got more"):
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
