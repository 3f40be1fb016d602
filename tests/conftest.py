"""Fixtures for all tests: a registry of their own and the folder of real data."""

import os
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest

_ROOT = Path(__file__).parents[1]


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty SQLite registry; returns its URI."""
    yield from _use(tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def shared_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One registry for the tests of a module."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield from _use(tmp_path_factory.mktemp("registry"), monkeypatch)


def _use(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    before = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.delenv("MLFLOW_REGISTRY_URI", raising=False)
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    mlflow.create_experiment("training", artifact_location=(folder / "training").as_uri())
    mlflow.set_experiment("training")
    yield uri
    mlflow.set_tracking_uri(before[0])
    mlflow.set_registry_uri(before[1])


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """MNIST and others; FILLBLANKS_DATA names the folder."""
    folder = Path(os.environ.get("FILLBLANKS_DATA") or _ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no data at {folder}; set FILLBLANKS_DATA to the folder that has MNIST/raw")
    return folder
