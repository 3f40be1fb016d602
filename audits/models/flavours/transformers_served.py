"""Asks MLflow's own server of a pipeline. This runs in the child process alone."""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from audits.models.flavours.base import AskedByMlflow
from audits.models.flavours.transformers_files import UNNAMED


def asked_by_mlflow(folder: Path, names: Sequence[Any] | None) -> AskedByMlflow:
    """The python_function of a pipeline, loaded and asked as MLflow's server does it.

    `names` are those of the logits, in their order; None if transformers makes them. Raises what
    MLflow and transformers raise.
    """
    import mlflow.pyfunc

    served = mlflow.pyfunc.load_model(str(folder), suppress_warnings=True)

    def ask(files: Sequence[bytes]) -> list[list[int]]:
        table = served.predict([base64.b64encode(file).decode() for file in files])
        # The first column has the most probable label of each image.
        return [_logits_of(str(answer["label"]), names) for answer in table[0]]

    return ask


def _logits_of(label: str, names: Sequence[Any] | None) -> list[int]:
    if names is None:
        return [int(label.removeprefix(UNNAMED))]
    return [at for at, name in enumerate(names) if str(name) == label]
