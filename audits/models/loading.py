"""Loads a model whose files were inspected. This runs in the child process alone."""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from torch import nn

from audits.models import missing
from audits.models.files import ModelFiles
from audits.models.flavours.registered import flavour_named
from audits.models.flavours.tables import Arranges
from audits.models.frozen import freeze


def answers_by_name(net: nn.Module) -> bool:
    """Whether a network takes the labels of its model, also numbers, by their names."""
    return isinstance(net, Arranges) or bool(getattr(net, "labels", None))


def load(files: ModelFiles, device: str, classes: Sequence[str]) -> nn.Module:
    """Loads the network on `device` ("cpu" or "cuda"), in evaluation mode and with frozen weights.

    `classes` are those of the audit, in their order: a model that answers with names, and not with
    a row of numbers, is told them.

    Call it in the child process alone: it changes environment variables. MLflow's guards refuse
    pickles. They are environment variables that are off by default, so they are switched on here.
    A pt2 archive does not pass them: `audits.models.pt2` writes another, which torch loads.
    Raises ModelRefused.
    """
    os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = str(files.trusted).lower()
    # MLflow 3.18's guard against model code also refuses pyfunc, and every model below a folder of
    # sys.path; 3.17 has none, so `inspect` refuses models with code that are not trusted by name.
    os.environ["MLFLOW_ALLOW_MODEL_CODE_EXECUTION"] = str(files.trusted).lower()
    flavour = flavour_named(files.flavour)
    with missing.told(Path(files.folder)):
        net = flavour.load(Path(files.folder), Path(files.data), device, trusted=files.trusted)
    if isinstance(net, Arranges):
        net.arrange(classes)
    # Exported programs refuse eval(): their mode was fixed at their export.
    with suppress(NotImplementedError):
        net.eval()
    freeze(net)
    return net
