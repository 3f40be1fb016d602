"""Calls python_function as MLflow's own server calls it. This runs in the child process alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from mlflow.models import Model
from torch import Tensor, nn

from audits.models.flavours.columns import as_asked

Predict = Callable[[np.ndarray], Any]
"""Gives MLflow's answer to inputs as the contract lays them out."""


def predict_of_folder(folder: Path, conf: Model) -> Predict:
    """The model as MLflow loads it from its folder, which must hold nothing that could run."""
    import mlflow.pyfunc

    served = mlflow.pyfunc.load_model(str(folder), suppress_warnings=True)
    sent = _as_sent(conf)
    return lambda inputs: served.predict(sent(inputs))


def predict_of_network(net: nn.Module, conf: Model) -> Predict:
    """A network that is loaded already, in MLflow's own wrapper of a model and its signature."""
    from mlflow.pyfunc import PyFuncModel

    entry = conf.flavors["python_function"]
    served = PyFuncModel(conf, _AsPyTorch(net), predict_fn=entry.get("predict_fn", "predict"))
    sent = _as_sent(conf)
    return lambda inputs: served.predict(sent(inputs))


class _AsPyTorch:
    """What MLflow's flavour pytorch makes of its inputs and of the network's output."""

    def __init__(self, net: nn.Module):
        self.net = net
        self.device = next((one.device for one in net.parameters()), torch.device("cpu"))

    def predict(self, data: Any, params: dict[str, Any] | None = None) -> Any:
        if isinstance(data, pd.DataFrame):
            data = data.to_numpy(dtype=np.float32)
        if not isinstance(data, np.ndarray):
            raise TypeError(f"MLflow gives the network {type(data).__name__}, it takes arrays")
        answer = self.net(torch.from_numpy(data).to(self.device))
        if not isinstance(answer, Tensor):
            raise TypeError(f"MLflow takes one tensor from a network, got {type(answer).__name__}")
        return answer.cpu().numpy()


def _as_sent(conf: Model) -> Callable[[np.ndarray], Any]:
    """Makes of inputs what a client sends: the signature's dtype, names or columns."""
    inputs = conf.signature.inputs if conf.signature is not None else None
    if inputs is None or not inputs.is_tensor_spec():
        return as_asked(conf)
    (spec, *_) = inputs.inputs

    def sent(images: np.ndarray) -> Any:
        typed = images.astype(spec.type, order="C")
        return typed if spec.name is None else {spec.name: typed}

    return sent
