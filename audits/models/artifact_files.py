"""Copies files of models and runs from the stores that hold them, with every error in one line.

MLflow reads stores with packages of others (boto3, google-cloud-storage, ...), which raise errors
of their own: a missing key, a bucket that is not there.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.http_artifact_repo import HttpArtifactRepository
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository
from mlflow.utils.request_utils import augmented_raise_for_status
from mlflow.utils.rest_utils import http_request

from audits.data.artifact_stores import beneath, store_at
from audits.errors import AuditError, ModelRefused, one_line, shortened

# The package of pip that has a module which a store needs.
_PACKAGES = {
    "boto3": "boto3",
    "botocore": "boto3",
    "google": "google-cloud-storage",
    "azure": "azure-storage-blob azure-storage-file-datalake azure-identity",
    "pysftp": "pysftp",
    "pyarrow": "pyarrow",
}
_CHUNK = 1 << 20  # bytes


class TooLarge(AuditError):
    """A file has more than `most` bytes."""

    def __init__(self, name: str, most: int):
        super().__init__(f"Expected at most {most >> 20} MiB in {name}, got more.")


def copy_folder(place: str, target: Path) -> Path:
    """Copies all files of the artifact folder with the URI `place`. Returns their folder."""
    target.mkdir(parents=True, exist_ok=True)
    return Path(store_at(place).download_artifacts("", str(target)))


def copy_file(place: str, name: str, copy: Path, most: int) -> None:
    """Copies the file `name`, of at most `most` bytes, from the artifact folder to `copy`.

    Raises TooLarge if the file is larger: before it is copied, if the store tells sizes.
    """
    store = beneath(store_at(place))
    if isinstance(store, HttpArtifactRepository):
        _copy_from_server(store, name, copy, most)
        return
    _expect_small(store, name, most)
    # `download_artifacts` would first list the folder, start threads and draw a bar.
    store._download_file(name, str(copy))


@contextmanager
def copying(what: str, target: Path) -> Iterator[None]:
    """Inside, every error of an artifact store becomes ModelRefused, about `what` and `target`."""
    try:
        yield
    except ModelRefused:
        raise
    except TooLarge as error:
        cure = "Log the model again without what is not needed to load it."
        raise ModelRefused(f"{error} {cure}") from error
    except AuditError as error:
        raise ModelRefused(str(error)) from error
    except Exception as error:  # of the store's package: no credentials, no package, no bucket
        reason = shortened(one_line(error) or type(error).__name__, 250).rstrip(".")
        raise ModelRefused(
            f"Expected {what}, could not copy them to {target}: {reason}.{_cure(error)}"
        ) from error


def _cure(error: Exception) -> str:
    if not isinstance(error, ImportError):
        return ""
    package = _PACKAGES.get((error.name or "").partition(".")[0])
    return f" pip install {package}" if package else " Install the package that reads its store."


def _copy_from_server(store: HttpArtifactRepository, name: str, copy: Path, most: int) -> None:
    """As MLflow's own copy, but it ends at `most` bytes: a listing would be one request more."""
    copied = 0
    with (
        http_request(store._host_creds, f"/{name}", "GET", stream=True) as answer,
        copy.open("wb") as file,
    ):
        augmented_raise_for_status(answer)
        for chunk in answer.iter_content(chunk_size=_CHUNK):
            copied += len(chunk)
            if copied > most:
                raise TooLarge(name, most)
            file.write(chunk)


def _expect_small(store: ArtifactRepository, name: str, most: int) -> None:
    if isinstance(store, LocalArtifactRepository):
        file = Path(store.artifact_dir) / name
        if file.exists() and not file.is_file():  # a device has no end
            raise ModelRefused(f"Expected a plain file {name}, got a folder, pipe or device.")
    for found in store.list_artifacts():
        if found.path == name and found.file_size is not None and found.file_size > most:
            raise TooLarge(name, most)
