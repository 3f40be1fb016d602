"""MLflow's pytorch flavour: pt2 archives of torch.export, pickled modules, and TorchScript.

MLflow stores a ScriptModule as model.pth too: a zip that torch loads without Python's pickle. It
needs trust all the same, since code in TorchScript can read and write files.
"""

from pathlib import Path
from typing import Any, ClassVar

import torch
from mlflow.exceptions import MlflowException
from torch import nn

from audits.errors import ModelRefused
from audits.models.flavours.base import Flavour
from audits.models.pt2 import check_archive

_PICKLED, _EXPORTED = "model.pth", "model.pt2"
_PICKLE_INFO = "pickle_module_info.txt"  # the name of the module that wrote model.pth
_PICKLE_MODULES = {"mlflow.pytorch.pickle_module", "pickle", "cloudpickle"}


class PyTorch(Flavour):
    """A torch.nn.Module as MLflow logs it. MLflow prefers model.pth if both files are there."""

    name: ClassVar[str] = "pytorch"

    def running_files(self, data: Path) -> list[Path]:
        pickled = data / _PICKLED
        return [pickled] if pickled.exists() else []

    def check(self, data: Path, *, trusted: bool) -> None:
        if (data / _PICKLED).exists():
            _check_pickle_module(data)
        elif (data / _EXPORTED).exists():
            check_archive(data / _EXPORTED)
        else:
            raise ModelRefused(
                f"Expected {_EXPORTED} or {_PICKLED} in the model's data, found neither."
            )

    def load(self, folder: Path, data: Path, device: str, *, trusted: bool) -> nn.Module:
        import mlflow.pytorch

        pickled = trusted and (data / _PICKLED).exists()
        try:
            if pickled:
                net = mlflow.pytorch.load_model(
                    str(folder), map_location="cpu", weights_only=False, **_unpickling(data)
                )
            else:
                net = mlflow.pytorch.load_model(str(folder))
        except MlflowException as error:
            raise ModelRefused(f"MLflow refused to load the model: {error.message}") from error
        except AttributeError as error:
            if error.name != "eval":
                raise
            # MLflow calls `eval` of whatever was pickled.
            raise ModelRefused(
                f"Expected a pickled torch.nn.Module, got {type(error.obj).__name__}. Log the "
                "network itself, not its state_dict, with mlflow.pytorch.log_model."
            ) from error
        if not isinstance(net, nn.Module):
            raise ModelRefused(f"Expected a torch.nn.Module, got {type(net).__name__}.")
        return _to_cuda(net, data, pickled) if device == "cuda" else net


def _check_pickle_module(data: Path) -> None:
    info = data / _PICKLE_INFO
    module = info.read_text().strip() if info.is_file() else ""
    if module not in _PICKLE_MODULES:
        raise ModelRefused(
            f"Expected a pickle module among {', '.join(sorted(_PICKLE_MODULES))}, got {module!r}."
        )


def _unpickling(data: Path) -> dict[str, Any]:
    """How MLflow is to unpickle: torch asks for an `Unpickler`, which cloudpickle has not."""
    from mlflow.pytorch import pickle_module

    written_by = (data / _PICKLE_INFO).read_text().strip()
    return {"pickle_module": pickle_module} if written_by == "cloudpickle" else {}


def _to_cuda(net: nn.Module, data: Path, pickled: bool) -> Any:
    if pickled:
        return net.to("cuda")
    # An exported program keeps its device. After the guarded load has passed, it is loaded again
    # and its graph is rewritten for the GPU.
    from torch.export.passes import move_to_device_pass

    program = torch.export.load(data / _EXPORTED)
    return move_to_device_pass(program, "cuda").module()
