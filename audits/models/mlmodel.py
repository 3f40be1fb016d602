"""MLmodel: a model's description, read alone, before any other file of the model is copied."""

import tempfile
from pathlib import Path
from typing import Any

from mlflow.models import Model

from audits.errors import AuditError, ModelRefused, shortened
from audits.models import registry
from audits.models.registry import Resolved
from audits.models.texts import BROKEN, MLMODEL, read_mlmodel


def described(model: Resolved) -> Model:
    """The content of the model's MLmodel. No other file is copied.

    Raises ModelRefused if MLmodel is not there, or is not as MLflow writes it.
    """
    with tempfile.TemporaryDirectory(prefix="fillblanks-") as folder:
        file = registry.fetch_file(model, MLMODEL, Path(folder))
        try:
            return read_mlmodel(file.parent)
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
