"""MLflow's python_function flavour: whatever MLflow can call, as a black box.

Models of the flavours that have no file here come this way too: keras, xgboost and others.
"""

import sys
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from torch import Tensor, nn

from audits.errors import ModelRefused
from audits.models.contract import Said
from audits.models.flavours.base import Flavour
from audits.models.flavours.columns import as_asked, said_by_columns
from audits.models.flavours.tables import numbered
from audits.models.winner import in_float32

# Files of an MLflow model that no loader runs, so that they need no trust.
_ASIDE = frozenset(
    {
        "MLmodel",
        "conda.yaml",
        "python_env.yaml",
        "requirements.txt",
        "constraints.txt",
        "input_example.json",
        "serving_input_example.json",
        "registered_model_meta",
        "README.md",
        "LICENSE.txt",
    }
)
_LABEL_COLUMNS = ("label", "prediction", "predictions", "predicted", "class")


class PyFunc(Flavour):
    """A model that MLflow's pyfunc calls. All of its files may run code, so all need trust."""

    name: ClassVar[str] = "python_function"

    def data(self, folder: Path, conf: Model) -> Path:
        loader = str(self.entry(conf).get("loader_module", ""))
        if loader.split(".")[0] != "mlflow":
            raise ModelRefused(
                f"Expected a model that MLflow itself can load, got one that {loader[:60]!r} "
                "loads. Log it with python_model=."
            )
        return folder.resolve()

    def running_files(self, data: Path) -> list[Path]:
        files = sorted(file for file in data.rglob("*") if file.is_file())
        aside = {data / name for name in _ASIDE}
        return [file for file in files if file not in aside]

    def check(self, data: Path, *, trusted: bool) -> None:
        if not self.running_files(data):
            raise ModelRefused("Expected a model with files of its own, found none. Log it again.")

    def said(self, folder: Path, conf: Model) -> Said:
        return said_by_columns(conf)

    def load(self, folder: Path, data: Path, device: str, *, trusted: bool) -> nn.Module:
        import mlflow.pyfunc

        try:
            model = mlflow.pyfunc.load_model(str(folder))
        except MlflowException as error:
            raise ModelRefused(f"MLflow refused to load the model: {error.message}") from error
        if "keras" in sys.modules:  # it shows a bar of progress for every prediction
            sys.modules["keras"].config.disable_interactive_logging()
        return PyFuncNet(model, Model.load(str(folder)))


class PyFuncNet(nn.Module):
    """A pyfunc model as a network: its table of numbers (N, K), or numbers of classes (N,).

    The network has no gradient. `arrange` names the classes by which labels become numbers.
    """

    def __init__(self, model: Any, conf: Model):
        super().__init__()
        self.model, self.asked = model, as_asked(conf)
        self.classes: tuple[str, ...] = ()

    def arrange(self, classes: Any) -> None:
        """Names the classes of the audit in their order."""
        self.classes = tuple(classes)

    def forward(self, images: Tensor) -> Tensor:
        """The model's answer for images as the contract lays them out."""
        rows = images.detach().cpu().numpy()
        try:
            given = self.model.predict(self.asked(rows))
        except MlflowException as error:
            raise ValueError(f"MLflow refused the images: {error.message}") from error
        return answered(given, self.classes, len(rows))


def answered(given: Any, classes: tuple[str, ...], rows: int) -> Tensor:
    """The answer of a pyfunc as values (N, K) or as numbers of classes (N,).

    Raises ModelRefused if it is neither a table of numbers nor a column of labels.
    """
    if isinstance(given, pd.DataFrame):
        given = _of_frame(given, classes)
    elif isinstance(given, dict):
        given = _of_mapping(given)
    if isinstance(given, Tensor):
        given = given.detach().cpu().numpy()
    values = np.asarray(given)
    if values.dtype == object:
        values = np.asarray(values.tolist())
    if values.shape[:1] == (rows,) and (values.ndim == 1 or values.shape[1:] == (1,)):
        if values.dtype.kind in "iuUS" or (values.dtype.kind == "f" and _whole(values)):
            return numbered(values.reshape(-1), classes)
        if values.dtype.kind == "f":
            return torch.from_numpy(values.astype(np.float32))
    if values.ndim == 2 and values.shape[0] == rows and values.dtype.kind in "iuf":
        whole = values.dtype.kind in "iu"
        return in_float32(torch.from_numpy(values.astype(np.int64 if whole else np.float64)))
    raise ModelRefused(
        f"Expected a label an image, or a row of probabilities, from the model's predict, got "
        f"{type(given).__name__} of {values.dtype} {values.shape} for {rows} image(s). Let predict "
        "return one of the two."
    )


def _of_frame(frame: pd.DataFrame, classes: tuple[str, ...]) -> Any:
    """The label column of a data frame, or all its numbers: in the classes' order if it has it."""
    names = {str(name): name for name in frame.columns}
    if set(classes) <= names.keys() and classes:
        return frame[[names[name] for name in classes]].to_numpy()
    for label in _LABEL_COLUMNS:
        if label in names:
            return frame[names[label]].to_numpy()
    return frame.to_numpy()


def _of_mapping(given: dict[Any, Any]) -> Any:
    for name in ("logits", "probabilities", *_LABEL_COLUMNS):
        if name in given:
            return given[name]
    return next(iter(given.values())) if len(given) == 1 else given


def _whole(values: np.ndarray) -> bool:
    """Whether floats are whole numbers above 1 somewhere: labels, and no probabilities."""
    return bool((values == np.rint(values)).all() and values.max() > 1)
