"""Opens MLflow's artifact stores, but no server that a stranger may have named.

Whoever registers a version or makes an experiment may name any address as the place of its files.
MLflow's client sends the token or the password of the tracking server to every address, and keys
of a cloud to every server that calls itself a part of it. It waits without end for servers of some
protocols, however much they send.
"""

import os
import re
from urllib.parse import urlsplit

import mlflow
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.store.artifact.models_artifact_repo import ModelsArtifactRepository
from mlflow.store.artifact.runs_artifact_repo import RunsArtifactRepository

from audits.errors import AuditError, quoted

SERVERS = "FILLBLANKS_ARTIFACT_SERVERS"
"""The environment variable with the addresses of artifact servers, separated by commas."""
_PORTS = {"http": 80, "https": 443, "ftp": 21, "sftp": 22, "hdfs": 8020, "viewfs": 0}
_AUTHORITY = re.compile(r"[\w.~!$&'()*+,;=:@%\[\]-]*", re.ASCII)
_WEB = ("http", "https")
_UNBOUNDED = ("ftp", "sftp", "hdfs", "viewfs")
_OWN_STORES = ("databricks", "databricks-uc", "uc")  # registries that give versions a store
# Addresses of buckets that name a server, and the domains of those who rent them out.
_AZURE = ("core.windows.net", "core.chinacloudapi.cn", "core.usgovcloudapi.net")
_RENTED = {
    "r2": ("r2.cloudflarestorage.com",),
    "b2": ("backblazeb2.com",),
    "abfss": tuple(f"dfs.{domain}" for domain in _AZURE),
    "wasbs": tuple(f"blob.{domain}" for domain in _AZURE),
}


def store_at(place: str) -> ArtifactRepository:
    """The artifact store that holds the folder with the URI `place`.

    Raises AuditError as `expect_known` does.
    """
    _expect_plain(place)
    expect_known(_address(place))  # before a store that connects at once is made
    store = get_artifact_repository(place)
    expect_known(beneath(store).artifact_uri)
    return store


def _address(place: str) -> str:
    """The address of the files of a run or of a version; Databricks gives its own."""
    if RunsArtifactRepository.is_runs_uri(place):
        return str(RunsArtifactRepository.get_underlying_uri(place))
    registry = urlsplit(mlflow.get_registry_uri()).scheme
    if ModelsArtifactRepository.is_models_uri(place) and registry not in _OWN_STORES:
        return _address(ModelsArtifactRepository.get_underlying_uri(place))
    return place


def beneath(store: ArtifactRepository) -> ArtifactRepository:
    """The store of the files themselves, if `store` is that of a run or of a version."""
    while isinstance(store, (ModelsArtifactRepository, RunsArtifactRepository)):
        store = store.repo
    return store


def expect_known(address: str) -> None:
    """Raises AuditError for a server of somebody else, if MLflow sends or takes too much there.

    The tracking server is known, and those named in `SERVERS`.
    """
    _expect_plain(address)
    tracking, parts = mlflow.get_tracking_uri(), urlsplit(address)
    if parts.scheme == "mlflow-artifacts" and parts.netloc:  # asked as the tracking server is
        protocol = urlsplit(tracking).scheme
        parts = parts._replace(scheme=protocol if protocol in _WEB else "http")
    named = os.environ.get(SERVERS, "").split(",")
    known = {_origin(server) for server in (tracking, *named)}
    origin = _origin(parts.geturl())
    if (harm := _harm(parts.scheme, parts.hostname or "")) and origin not in known:
        scheme, host, port = origin
        raise AuditError(
            "Expected files at MLflow's tracking server or in a store, got the server "
            f"{scheme}://{host}:{port}, where MLflow {harm}. If it is yours, set {SERVERS} to "
            "its address."
        )


def _expect_plain(address: str) -> None:
    """Raises AuditError unless all programs find the same server in an address, or none."""
    _, mark, rest = address.partition("://")
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    plain = address.isprintable() and (not mark or _AUTHORITY.fullmatch(authority))
    try:
        plain = plain and urlsplit(address).port != 0
    except ValueError:  # no port, or half of an address in brackets
        plain = False
    if not plain:
        raise AuditError(
            "Expected a server's address of plain letters, in which all programs find the same "
            f"host, got {quoted(address)}. Name the server as it is, or write its name in Punycode."
        )


def _harm(scheme: str, host: str) -> str:
    """What MLflow does at a server that is not known; "" if its address names none."""
    if scheme in _WEB:
        return "would send the tracking server's password or token"
    if scheme in _UNBOUNDED:
        return "would wait without end, and take whatever it sends"
    if not _is_rented(scheme, host):
        return "would send the keys of your storage, and take whatever it sends"
    return ""


def _is_rented(scheme: str, host: str) -> bool:
    """Whether a bucket's address leads where such buckets are."""
    domains = _RENTED.get(scheme)
    return domains is None or any(host.endswith(f".{domain}") for domain in domains)


def _origin(address: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port of a server's address."""
    parts = urlsplit(address.strip())
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)
