"""MLflow's pytorch flavour: pt2 archives of torch.export, pickled modules, and TorchScript.

MLflow stores a ScriptModule as model.pth too: a zip that torch loads without Python's pickle. It
needs trust all the same, since code in TorchScript can read and write files.
"""

from pathlib import Path
from typing import Any, ClassVar

from mlflow.exceptions import MlflowException
from mlflow.models import Model
from torch import nn

from audits.errors import ModelRefused, few
from audits.models.contract import Said
from audits.models.flavours.base import Flavour
from audits.models.flavours.columns import said_by_served_columns
from audits.models.flavours.pyfunc_called import Predict, predict_of_network
from audits.models.pt2 import added_texts, check_archive, load_exported
from audits.models.texts import bounded_text

_PICKLED, _EXPORTED = "model.pth", "model.pt2"
_PICKLE_INFO = "pickle_module_info.txt"  # the name of the module that wrote model.pth
_PICKLE_MODULES = {"mlflow.pytorch.pickle_module", "pickle", "cloudpickle"}


class PyTorch(Flavour):
    """A torch.nn.Module as MLflow logs it. MLflow prefers model.pth if both files are there."""

    name: ClassVar[str] = "pytorch"

    def parts(self, data: Path) -> list[Path]:
        own = [_PICKLED, _PICKLE_INFO] if (data / _PICKLED).exists() else [_EXPORTED]
        return [data / name for name in own]

    def running_files(self, data: Path) -> list[Path]:
        pickled = data / _PICKLED
        return [pickled] if pickled.exists() else []

    def check(self, data: Path, *, trusted: bool) -> str | None:
        if (data / _PICKLED).exists():
            _check_pickle_module(data)
            return None
        if (data / _EXPORTED).exists():
            return check_archive(data / _EXPORTED)
        raise ModelRefused(
            f"Expected {_EXPORTED} or {_PICKLED} in the model's data, found neither."
        )

    def said(self, folder: Path, conf: Model) -> Said:
        return said_by_served_columns(conf)

    def beside(self, data: Path) -> tuple[str, ...]:
        texts = added_texts(data / _EXPORTED) if (data / _EXPORTED).is_file() else ()
        if not texts:
            return ()
        return (f"file{'s' if len(texts) > 1 else ''} in {_EXPORTED} ({few(texts)})",)

    def called_by_mlflow(self, folder: Path, conf: Model, net: nn.Module) -> Predict | None:
        return predict_of_network(net, conf)

    def load(self, folder: Path, data: Path, device: str, *, trusted: bool) -> nn.Module:
        if not (data / _PICKLED).exists():
            return load_exported(data / _EXPORTED, device)
        if not trusted:
            raise ModelRefused(
                f"Expected the files that were inspected, got {_PICKLED} beside them, which can "
                "run any code when loaded. Audit the model again."
            )
        net = _unpickled(folder, data)
        return net.to("cuda") if device == "cuda" else net


def _unpickled(folder: Path, data: Path) -> nn.Module:
    import mlflow.pytorch

    try:
        net = mlflow.pytorch.load_model(
            str(folder), map_location="cpu", weights_only=False, **_unpickling(data)
        )
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
    return net


def _check_pickle_module(data: Path) -> None:
    info = data / _PICKLE_INFO
    module = bounded_text(info).strip() if info.is_file() else ""
    if module not in _PICKLE_MODULES:
        raise ModelRefused(
            f"Expected a pickle module among {', '.join(sorted(_PICKLE_MODULES))}, got {module!r}."
        )


def _unpickling(data: Path) -> dict[str, Any]:
    """How MLflow is to unpickle: torch asks for an `Unpickler`, which cloudpickle has not."""
    from mlflow.pytorch import pickle_module

    written_by = bounded_text(data / _PICKLE_INFO).strip()
    return {"pickle_module": pickle_module} if written_by == "cloudpickle" else {}
