"""Opens MLflow's artifact stores, but no server that would be sent a password of another one.

Whoever registers a version or makes an experiment may name any address as the place of its files.
MLflow's client sends the token or the password of the tracking server to every address.
"""

import os
from urllib.parse import urlsplit

import mlflow
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.store.artifact.http_artifact_repo import HttpArtifactRepository
from mlflow.store.artifact.models_artifact_repo import ModelsArtifactRepository
from mlflow.store.artifact.runs_artifact_repo import RunsArtifactRepository

from audits.errors import AuditError

SERVERS = "FILLBLANKS_ARTIFACT_SERVERS"
"""The environment variable with the addresses of artifact servers, separated by commas."""
_PORTS = {"http": 80, "https": 443}


def store_at(place: str) -> ArtifactRepository:
    """The artifact store that holds the folder with the URI `place`.

    Raises AuditError for a server that is neither MLflow's tracking server nor named in `SERVERS`.
    """
    store = found = get_artifact_repository(place)
    while isinstance(found, (ModelsArtifactRepository, RunsArtifactRepository)):
        found = found.repo
    if isinstance(found, HttpArtifactRepository):
        named = os.environ.get(SERVERS, "").split(",")
        known = {_origin(server) for server in (mlflow.get_tracking_uri(), *named)}
        if _origin(found.artifact_uri) not in known:
            scheme, host, port = _origin(found.artifact_uri)
            raise AuditError(
                "Expected files at MLflow's tracking server or in a store, got the server "
                f"{scheme}://{host}:{port}, to which MLflow would send the password or the token "
                f"of the tracking server. If it is yours, set {SERVERS} to its address."
            )
    return store


def _origin(address: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port of a server's address."""
    parts = urlsplit(address.strip())
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)
