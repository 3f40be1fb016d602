"""Forms of MLflow's other flavours."""

import os
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from forms.form import IMAGES, KNOWN, Form
from forms.nets import ChannelsLast, Softmax
from forms.owner import NAMES, Owner, arrays

_IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


def log_flavour(
    module: Any, model: Any, name: str, metadata: Any = KNOWN, **arguments: Any
) -> None:
    with mlflow.start_run():
        module.log_model(
            model,
            name="model",
            metadata=metadata,
            pip_requirements=[],
            registered_model_name=name,
            **arguments,
        )


# ONNX


def _onnx(net: nn.Module, shape: tuple[int, ...] = (2, 3, 32, 32), **arguments: Any) -> Any:
    import onnx

    with TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        torch.onnx.export(net.eval(), (torch.zeros(shape),), str(file), verbose=False, **arguments)
        return onnx.load(str(file))


_BATCH = {"dynamo": False, "input_names": ["x"], "dynamic_axes": {"x": {0: "n"}}}


def _log_onnx(owner: Owner, name: str) -> None:
    net = _onnx(owner.net, dynamo=True, dynamic_shapes=({0: torch.export.Dim("n")},))
    log_flavour(mlflow.onnx, net, name)


def _log_onnx_legacy(owner: Owner, name: str) -> None:
    log_flavour(mlflow.onnx, _onnx(owner.net, **_BATCH), name)


def _log_onnx_probabilities(owner: Owner, name: str) -> None:
    log_flavour(mlflow.onnx, _onnx(Softmax(owner.net), **_BATCH), name)


def _log_onnx_last(owner: Owner, name: str) -> None:
    log_flavour(mlflow.onnx, _onnx(ChannelsLast(owner.net), (2, 32, 32, 3), **_BATCH), name)


def _log_onnx_one(owner: Owner, name: str) -> None:
    log_flavour(mlflow.onnx, _onnx(owner.net, (1, 3, 32, 32), dynamo=False), name)


# scikit-learn, LightGBM


def _rows(images: np.ndarray) -> np.ndarray:
    """Grey images as rows of pixels in [0, 1]."""
    grey = (torch.from_numpy(images).float() / 255) @ torch.tensor([0.299, 0.587, 0.114])
    return grey.flatten(1).numpy()


@cache
def _fitted(kind: str) -> Any:
    train, _, labels, _ = arrays()
    rows = _rows(train)
    if kind == "logistic":
        return LogisticRegression(max_iter=300).fit(rows, labels)
    if kind == "forest":
        names = np.array(NAMES)[labels]
        return RandomForestClassifier(30, random_state=0).fit(rows, names)
    import lightgbm

    return lightgbm.LGBMClassifier(n_estimators=10, verbose=-1, n_jobs=1).fit(rows, labels)


def _answers(kind: str, owner: Owner) -> Tensor:
    """The classes that the fitted model itself predicts for the test images, as rows of 0 and 1."""
    _, test, _, _ = arrays()
    found = _fitted(kind).predict(_rows(test))
    ordered = list(NAMES) if kind == "forest" else list(range(10))
    return nn.functional.one_hot(torch.tensor([ordered.index(one) for one in found]), 10)


_FLAT = mlflow.models.ModelSignature(
    mlflow.types.Schema([mlflow.types.TensorSpec(np.dtype(np.float32), (-1, 1024))])
)
_RANGE = {"preprocessing": {"range": "0-1"}}


def _log_logistic(owner: Owner, name: str) -> None:
    log_flavour(
        mlflow.sklearn,
        _fitted("logistic"),
        name,
        signature=_FLAT,
        serialization_format="cloudpickle",
    )


def _log_forest(owner: Owner, name: str) -> None:
    log_flavour(
        mlflow.sklearn,
        _fitted("forest"),
        name,
        _RANGE,
        signature=_FLAT,
        serialization_format="cloudpickle",
    )


def _log_lightgbm(owner: Owner, name: str) -> None:
    log_flavour(mlflow.lightgbm, _fitted("lightgbm"), name, signature=_FLAT)


def _log_booster(owner: Owner, name: str) -> None:
    metadata = {**KNOWN, "classes": list(NAMES)}
    log_flavour(mlflow.lightgbm, _fitted("lightgbm").booster_, name, metadata, signature=_FLAT)


def _log_sklearn_onnx(owner: Owner, name: str) -> None:
    from skl2onnx import to_onnx

    fitted = _fitted("logistic")
    net = to_onnx(fitted, np.zeros((1, 1024), np.float32), options={"zipmap": False})
    log_flavour(mlflow.onnx, net, name)


# pyfunc


@cache
def _keras_net() -> Any:
    os.environ["KERAS_BACKEND"] = "torch"  # also in the process that the audit starts
    import keras

    keras.utils.set_random_seed(0)
    net = keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            keras.layers.Conv2D(8, 5, 2, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    train, _, labels, _ = arrays()
    net.compile("adam", "sparse_categorical_crossentropy")
    net.fit(train / 255, labels, epochs=4, verbose=0)
    return net


def _keras_answers(owner: Owner) -> Tensor:
    _, test, _, _ = arrays()
    return torch.as_tensor(_keras_net().predict(test / 255, verbose=0))


def _log_keras(owner: Owner, name: str) -> None:
    net = _keras_net()  # which chooses the backend before keras is imported
    import mlflow.keras

    tensor = mlflow.types.TensorSpec(np.dtype(np.float32), (-1, 32, 32, 3))
    signature = mlflow.models.ModelSignature(mlflow.types.Schema([tensor]))
    log_flavour(mlflow.keras, net, name, signature=signature)


class Labels(mlflow.pyfunc.PythonModel):
    """Names the class of each image."""

    def __init__(self, net: nn.Module):
        self.net = net

    def predict(self, context, model_input, params=None):
        with torch.no_grad():
            logits = self.net(torch.as_tensor(np.asarray(model_input), dtype=torch.float32))
        return np.array([NAMES[i] for i in logits.argmax(1)])


class Probabilities(Labels):
    """Gives the probability of each class."""

    def predict(self, context, model_input, params=None):
        with torch.no_grad():
            logits = self.net(torch.as_tensor(np.asarray(model_input), dtype=torch.float32))
        return logits.softmax(1).numpy()


class Table(Labels):
    """Gives a table with a column a class."""

    def predict(self, context, model_input, params=None):
        with torch.no_grad():
            logits = self.net(torch.as_tensor(np.asarray(model_input), dtype=torch.float32))
        return pd.DataFrame(logits.softmax(1).numpy(), columns=list(NAMES))


def _pyfunc(kind: type[Labels]):
    def log(owner: Owner, name: str) -> None:
        with mlflow.start_run():
            mlflow.pyfunc.log_model(
                name="model",
                python_model=kind(owner.net),
                signature=IMAGES,
                metadata=KNOWN,
                pip_requirements=[],
                registered_model_name=name,
            )

    return log


def _log_paths(owner: Owner, name: str) -> None:
    schema = mlflow.types.Schema([mlflow.types.ColSpec("string", "path")])
    with mlflow.start_run():
        mlflow.pyfunc.log_model(
            name="model",
            python_model=Labels(owner.net),
            signature=mlflow.models.ModelSignature(schema),
            metadata=KNOWN,
            pip_requirements=[],
            registered_model_name=name,
        )


def _box(name: str, log: Any, **arguments: Any) -> Form:
    return Form(name, log, fills="not_applicable", **arguments)


FORMS = (
    Form("ONNX exported by torch", _log_onnx, package="onnx"),
    Form("ONNX exported by torch's older exporter", _log_onnx_legacy, package="onnx"),
    Form("ONNX that gives probabilities", _log_onnx_probabilities, package="onnx"),
    Form("ONNX with channels last", _log_onnx_last, package="onnx"),
    Form("ONNX of one image at a time", _log_onnx_one, package="onnx"),
    _box(
        "ONNX of scikit-learn",
        _log_sklearn_onnx,
        answers=lambda owner: _answers("logistic", owner),
        package="skl2onnx",
    ),
    _box(
        "scikit-learn, classes are numbers",
        _log_logistic,
        answers=lambda owner: _answers("logistic", owner),
    ),
    _box(
        "scikit-learn, classes are names",
        _log_forest,
        config={"preprocessing": {"classes": sorted(NAMES)}},
        asked=r"preprocessing\.classes: \[eight, five, four",
        answers=lambda owner: _answers("forest", owner),
    ),
    _box(
        "LightGBM, a classifier",
        _log_lightgbm,
        answers=lambda owner: _answers("lightgbm", owner),
        package="lightgbm",
    ),
    _box(
        "LightGBM, a booster",
        _log_booster,
        answers=lambda owner: _answers("lightgbm", owner),
        package="lightgbm",
    ),
    _box("Keras, on torch", _log_keras, answers=_keras_answers, package="keras"),
    _box("pyfunc that gives names", _pyfunc(Labels)),
    _box("pyfunc that gives probabilities", _pyfunc(Probabilities)),
    _box("pyfunc that gives a table of probabilities", _pyfunc(Table)),
    Form("pyfunc that takes paths", _log_paths, refused=r"got 1 column"),
)
