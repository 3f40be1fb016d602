"""Fixtures for whole stories: registering networks, and the demo's config."""

import hashlib
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
import yaml
from mlflow.artifacts import download_artifacts
from prefect.testing.utilities import prefect_test_harness
from torch import nn

DIGITS = [str(n) for n in range(10)]


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """A Prefect server of our own, on a free port, stopped at the end."""
    with prefect_test_harness(server_startup_timeout=120):
        yield


@pytest.fixture
def demo_config(tmp_path: Path) -> dict[str, Any]:
    """The demo's config with its own policy; fewer samples, since tests run it often."""
    values = yaml.safe_load(files("flows.demo").joinpath("audit.yaml").read_text())
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
                metadata={"classes": DIGITS, "mean": [0.3], "std": [0.35]},
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
