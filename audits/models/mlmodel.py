"""MLmodel: a model's description, read alone, before any other file of the model is copied."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlflow.models import Model

from audits.errors import AuditError, ModelRefused, quoted, shortened
from audits.models import registry
from audits.models.registry import Resolved
from audits.models.texts import BROKEN, MLMODEL, MLMODEL_BYTES, read_mlmodel


def described(model: Resolved) -> Model:
    """The content of the model's MLmodel. No other file is copied.

    Its flavours are mappings by names, and its metadata are a mapping or None. Raises ModelRefused
    if MLmodel is not there, or is not as MLflow writes it.
    """
    with tempfile.TemporaryDirectory(prefix="fillblanks-") as folder:
        file = registry.fetch_file(model, MLMODEL, Path(folder), MLMODEL_BYTES)
        with refusing_nonsense():
            conf = read_mlmodel(file.parent)
            _expect_types(conf)
            return conf


@contextmanager
def refusing_nonsense() -> Iterator[None]:
    """Inside, the errors that values of a crafted MLmodel raise become ModelRefused, in one line.

    It is also a decorator.
    """
    try:
        yield
    except AuditError:
        raise
    except BROKEN as error:
        raise ModelRefused(
            f"Expected an MLmodel that can be read, got {type(error).__name__}: "
            f"{shortened(error, 120)}"
        ) from error


def entry_of(conf: Model, flavour: str) -> dict[str, Any]:
    """The entry of a flavour in MLmodel; empty if it is no mapping."""
    entry = conf.flavors.get(flavour)
    return entry if isinstance(entry, dict) else {}


def _expect_types(conf: Model) -> None:
    for name, entry in conf.flavors.items():
        if not isinstance(name, str):
            raise ModelRefused(
                f"Expected texts as names of flavours in {MLMODEL}, got {quoted(name)}. Log the "
                "model again."
            )
        if not isinstance(entry, dict):
            raise ModelRefused(
                f"Expected a mapping in {MLMODEL} as flavour {quoted(name)}, got "
                f"{type(entry).__name__}. Log the model again."
            )
    if not isinstance(conf.metadata, dict | None):
        raise ModelRefused(
            f"Expected a mapping as the model's metadata, got {type(conf.metadata).__name__}. Log "
            "the model again."
        )
