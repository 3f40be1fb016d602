"""Loads a model whose files were inspected. This runs in the child process alone."""

import os
from pathlib import Path

from audits.errors import ModelRefused
from audits.models.files import ModelFiles
from audits.models.flavours.registered import flavour_named
from fillblanks import Classifier


def load(files: ModelFiles, device: str) -> Classifier:
    """Loads the model on `device` ("cpu" or "cuda") as a Classifier with frozen weights.

    Call it in the child process alone: it changes environment variables. MLflow's guards refuse
    pickles, also pickles inside a pt2 archive. They are environment variables that are off by
    default, so they are switched on here. `inspect` has checked the archive for other text that
    would run. Raises ModelRefused.
    """
    os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = str(files.trusted).lower()
    # MLflow 3.18's guard against model code also refuses every model below a folder of sys.path;
    # models with code are refused by `inspect` for all versions.
    os.environ["MLFLOW_ALLOW_MODEL_CODE_EXECUTION"] = "false"
    flavour = flavour_named(files.flavour)
    net = flavour.load(Path(files.folder), Path(files.data), device, trusted=files.trusted)
    for parameter in net.parameters():
        parameter.requires_grad_(False)
    contract = files.contract
    try:
        return Classifier(
            net,
            mean=contract.pixel_mean,
            std=contract.pixel_std,
            classes=contract.classes,
            constant=True,
        )
    except ValueError as error:
        raise ModelRefused(f"{error} Set preprocessing.mean and preprocessing.std.") from error
