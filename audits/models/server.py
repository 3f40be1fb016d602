"""Whether an MLflow answers, asked before it is used."""

from functools import cache
from pathlib import Path

import mlflow
import requests

from audits.errors import AuditError

_SECONDS = 10.0  # for a server to answer at all


def answers() -> bool:
    """Whether an MLflow answers now at the URIs in use."""
    try:
        for uri, variable in _in_use():
            _expect_mlflow(uri, variable)
    except AuditError:
        return False
    return True


def expect_registry() -> None:
    """Raises AuditError where no MLflow answers at the URIs in use.

    A server that has answered once is not asked again: should it go away, MLflow waits for it.
    """
    for uri, variable in _in_use():
        _expect_mlflow_once(uri, variable)


def _in_use() -> tuple[tuple[str, str], ...]:
    return (
        (mlflow.get_tracking_uri(), "MLFLOW_TRACKING_URI"),
        (mlflow.get_registry_uri(), "MLFLOW_REGISTRY_URI"),
    )


def _expect_mlflow(uri: str, variable: str) -> None:
    """Raises AuditError where there is no MLflow at `uri`.

    MLflow itself would make a new database in the working directory, or try a server that is away
    for minutes.
    """
    if uri.startswith("sqlite:///"):
        database = Path(uri.removeprefix("sqlite:///"))
        if not database.exists():
            raise AuditError(
                f"Expected MLflow's database at {database.absolute()}, found none. Set {variable}."
            )
    if uri.startswith(("http://", "https://")):
        try:
            requests.get(f"{uri.rstrip('/')}/health", timeout=_SECONDS)
        except requests.RequestException as error:
            raise AuditError(
                f"Expected an MLflow server at {uri}, got no answer ({type(error).__name__}). "
                f"Start it, or correct {variable}."
            ) from error


_expect_mlflow_once = cache(_expect_mlflow)  # what raises is not kept
