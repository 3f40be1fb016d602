"""Loads a model whose files were inspected. This runs in the child process alone."""

import os
from pathlib import Path
from typing import Any

from mlflow.exceptions import MlflowException

from audits.errors import ModelRefused
from audits.models.files import ModelFiles
from fillblanks import Classifier


def load(files: ModelFiles, device: str) -> Classifier:
    """Loads the model on `device` ("cpu" or "cuda") as a Classifier with frozen weights.

    Call it in the child process alone: it changes environment variables. MLflow's guards refuse
    pickles, also pickles inside a pt2 archive. They are environment variables that are off by
    default, so they are switched on here. `inspect` has checked the archive for other text that
    would run. Raises ModelRefused.
    """
    import mlflow.pytorch
    import torch

    os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = str(files.trusted_pickle).lower()
    # MLflow 3.18's guard against model code also refuses every model below a folder of sys.path;
    # models with code are refused by `inspect` for all versions.
    os.environ["MLFLOW_ALLOW_MODEL_CODE_EXECUTION"] = "false"
    try:
        if files.trusted_pickle:
            net = mlflow.pytorch.load_model(files.folder, map_location="cpu", weights_only=False)
        else:
            net = mlflow.pytorch.load_model(files.folder)
    except MlflowException as error:
        raise ModelRefused(f"MLflow refused to load the model: {error.message}") from error
    if not isinstance(net, torch.nn.Module):
        raise ModelRefused(f"Expected a torch.nn.Module, got {type(net).__name__}.")
    if device == "cuda":
        net = _to_cuda(net, files)
    for parameter in net.parameters():
        parameter.requires_grad_(False)
    try:
        return Classifier(net, mean=files.mean, std=files.std, classes=files.classes, constant=True)
    except ValueError as error:
        raise ModelRefused(f"{error} Set preprocessing.mean and preprocessing.std.") from error


def _to_cuda(net: Any, files: ModelFiles) -> Any:
    import torch

    if files.trusted_pickle:
        return net.to("cuda")
    # An exported program keeps its device. After the guarded load has passed, it is loaded again
    # and its graph is rewritten for the GPU.
    from torch.export.passes import move_to_device_pass

    program = torch.export.load(Path(files.data) / "model.pt2")
    return move_to_device_pass(program, "cuda").module()
