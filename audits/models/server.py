"""Checks that MLflow answers, before it is used."""

from functools import cache
from pathlib import Path

import mlflow
import requests

from audits.errors import AuditError

_SECONDS = 10.0  # that a server has to answer


def answers() -> bool:
    """Whether MLflow answers now at the tracking and registry URIs in use."""
    try:
        for uri, variable in _in_use():
            _expect_mlflow(uri, variable)
    except AuditError:
        return False
    return True


def expect_registry() -> None:
    """Raises AuditError if MLflow does not answer at the URIs in use.

    A server that has answered is not asked again: if it goes away later, MLflow waits for it.
    """
    for uri, variable in _in_use():
        _expect_mlflow_once(uri, variable)


def _in_use() -> tuple[tuple[str, str], ...]:
    return (
        (mlflow.get_tracking_uri(), "MLFLOW_TRACKING_URI"),
        (mlflow.get_registry_uri(), "MLFLOW_REGISTRY_URI"),
    )


def _expect_mlflow(uri: str, variable: str) -> None:
    """Raises AuditError if there is no MLflow at `uri`, which the environment's `variable` sets.

    Without this check MLflow would make a new database in the working directory, or try for minutes
    to reach a server that is away.
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


_expect_mlflow_once = cache(_expect_mlflow)  # `cache` keeps no exception: it asks again
