"""Fixtures for all tests: registries, registered networks, a Prefect server, real data."""

import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
import torch
import yaml
from filelock import FileLock
from hypothesis import settings
from mlflow.artifacts import download_artifacts
from prefect.settings import get_current_settings
from prefect.testing.utilities import prefect_test_harness
from sqlalchemy import Engine, event
from torch import nn

# A busy machine may be slow, so examples have no deadline. `make soak` draws others in each run.
settings.register_profile("tests", deadline=None, derandomize=True)
settings.register_profile("soak", deadline=None)
settings.load_profile(os.environ.get("FILLBLANKS_EXAMPLES", "tests"))

_ROOT = Path(__file__).parents[2]
_DIGITS = [str(n) for n in range(10)]


@pytest.fixture(autouse=True)
def _older_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other kernels take two more processes for each model: tests of commands alone ask with them.

    `make soak` asks all forms of models so.
    """
    if "FILLBLANKS_KERNELS" not in os.environ:
        monkeypatch.setattr("audits.execution.other_kernels.older", lambda: ())


@event.listens_for(Engine, "connect")
def _write_without_waiting(connection: Any, _record: Any) -> None:
    """Databases in the tests' own process need not outlive the machine: waiting takes a tenth."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous=OFF")


@pytest.fixture(autouse=True)
def same_numbers() -> None:
    """Tests that draw weights or images get the same ones in each run."""
    torch.manual_seed(0)
    np.random.seed(0)


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's tables and its first experiment, made once, since that takes most of a second."""
    file = tmp_path_factory.mktemp("empty") / "mlflow.db"
    mlflow.MlflowClient(f"sqlite:///{file}").search_experiments()
    return file


@pytest.fixture(autouse=True)
def unwatched(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command in the tests' process starts no watcher, which would watch all tests."""
    monkeypatch.setattr("flows.cli.watch", lambda: None)


@pytest.fixture
def registry(
    tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """An empty SQLite registry; returns its URI."""
    yield from _use(tmp_path, empty_database, monkeypatch)


@pytest.fixture(scope="module")
def shared_registry(
    tmp_path_factory: pytest.TempPathFactory, empty_database: Path
) -> Iterator[str]:
    """One registry for the tests of a module."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield from _use(tmp_path_factory.mktemp("registry"), empty_database, monkeypatch)


def _use(folder: Path, empty: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    shutil.copyfile(empty, folder / "mlflow.db")
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
    """The folder of MNIST and other data sets, which FILLBLANKS_DATA names."""
    folder = Path(os.environ.get("FILLBLANKS_DATA") or _ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no data at {folder}; set FILLBLANKS_DATA to the folder that has MNIST/raw")
    return folder


@pytest.fixture(scope="session")
def prefect_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prefect's empty tables, made once for all workers: each server would take seconds for them.

    Tests copy the file to the folder that they name as PREFECT_HOME.
    """
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # of all workers
    file = folder / "prefect" / "prefect.db"
    with FileLock(folder / "prefect.lock"):
        if not file.exists():
            others = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
            subprocess.run(
                [sys.executable, "-m", "prefect", "server", "database", "upgrade", "-y"],
                env={**others, "PREFECT_HOME": str(file.parent)},
                check=True,
                stdout=subprocess.DEVNULL,
            )
    return file


@pytest.fixture(scope="session")
def prefect_api(prefect_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Starts a Prefect server on a free port for all tests; returns its URL."""
    folder = tmp_path_factory.mktemp("prefect_api")
    shutil.copyfile(prefect_database, folder / "prefect-test.db")
    with pytest.MonkeyPatch.context() as monkeypatch:
        # The folder in which the harness finds or makes its database.
        monkeypatch.setattr("prefect.testing.utilities.mkdtemp", lambda: str(folder))
        with prefect_test_harness(server_startup_timeout=120):
            yield str(get_current_settings().api.url)


@pytest.fixture
def demo_config(tmp_path: Path) -> dict[str, Any]:
    """The demo's config with fewer samples and without the doctor, since tests run it often."""
    values = yaml.safe_load(files("flows.demo").joinpath("audit.yaml").read_text())
    values["checks"] = [check for check in values["checks"] if check["kind"] != "input_doctor"]
    values["store"] = str(tmp_path / "store")
    for check in values["checks"]:
        if check["kind"] == "random_fill":
            check |= {"samples": 16, "images": 50}
    return values


@pytest.fixture(scope="session")
def register() -> Callable[..., tuple[str, str | None]]:
    """Registers a network as `name`; returns its URI and, for a pickle, the file's sha256."""

    def registered(
        net: nn.Module, name: str, pickled: bool = False, **arguments: Any
    ) -> tuple[str, str | None]:
        with mlflow.start_run():
            info = mlflow.pytorch.log_model(
                net.eval(),
                name="model",
                input_example=np.zeros((2, 1, 28, 28), np.float32),
                metadata={"classes": _DIGITS, "mean": [0.3], "std": [0.35]},
                pip_requirements=["torch"],
                registered_model_name=name,
                serialization_format="pickle" if pickled else "pt2",
                **arguments,
            )
        uri = f"models:/{name}/{info.registered_model_version}"
        if not pickled:
            return uri, None
        file = Path(download_artifacts(uri)) / "data" / "model.pth"
        return uri, hashlib.sha256(file.read_bytes()).hexdigest()

    return registered
