"""Checks that MLflow answers, before it is used, and words its errors."""

from functools import cache

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request

from audits.errors import AuditError

_SECONDS = 10.0  # that a server has to answer
_TRACKING, _REGISTRY = "MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"
# A question that every server can answer, by the variable that names the server.
_QUESTIONS = {
    _TRACKING: "/api/2.0/mlflow/experiments/search?max_results=1",
    _REGISTRY: "/api/2.0/mlflow/registered-models/search?max_results=1",
}
_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
_DATABRICKS = ("databricks", "databricks-uc", "uc")

NOT_FOUND = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "NOT_FOUND")
"""Codes of MLflow's errors that say that a name is not known, or cannot be a name."""


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


def no_answer(error: MlflowException) -> AuditError:
    """The error to raise if MLflow could not answer; not for a name that it does not know."""
    uris = " and ".join(dict.fromkeys(uri for uri, _ in _in_use()))
    return AuditError(f"Expected an answer of MLflow at {uris}, got: {error.message}")


def _in_use() -> tuple[tuple[str, str], ...]:
    return (mlflow.get_tracking_uri(), _TRACKING), (mlflow.get_registry_uri(), _REGISTRY)


def _expect_mlflow(uri: str, variable: str) -> None:
    """Raises AuditError if there is no MLflow at `uri`, which the environment's `variable` sets.

    Without this check MLflow would make a new database in the working directory, write its tables
    into another file, or try for minutes to reach a server that is away.
    """
    kind = uri.partition(":")[0].partition("+")[0]
    if kind in ("http", "https"):
        _expect_server(uri, variable)
    elif kind in _DATABASES:
        from audits.models.database import expect_database  # a worker never needs it

        expect_database(uri, variable)
    elif kind not in _DATABRICKS:
        _expect_client(uri, variable)


_expect_mlflow_once = cache(_expect_mlflow)  # `cache` keeps no exception: it asks again


def _expect_server(uri: str, variable: str) -> None:
    expected = f"Expected an MLflow server at {uri}, got"
    cure = f"Start it, or correct {variable}."
    try:
        # MLflow's own client, which knows of tokens and certificates. It would try for minutes.
        answer = http_request(
            get_default_host_creds(uri.rstrip("/")),
            _QUESTIONS[variable],
            "GET",
            max_retries=0,
            timeout=_SECONDS,
            raise_on_status=False,
        )
    except MlflowException as error:
        reason = type(error.__cause__ or error.__context__ or error).__name__
        raise AuditError(f"{expected} no answer ({reason}). {cure}") from error
    if answer.status_code != 200:
        raise AuditError(f"{expected} an answer with the status {answer.status_code}. {cure}")
    try:
        told = answer.json()
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise AuditError(f"{expected} an answer that is not MLflow's. {cure}")


def _expect_client(uri: str, variable: str) -> None:
    """For URIs of every other kind: MLflow says itself whether it knows them."""
    try:
        mlflow.MlflowClient(uri, uri).search_registered_models(max_results=1)
    except MlflowException as error:
        raise AuditError(
            f"Expected {variable} to name an MLflow server or database, got {uri!r}: "
            f"{error.message}"
        ) from error
