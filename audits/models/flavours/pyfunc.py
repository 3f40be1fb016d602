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
from audits.models.adapter import scores_of
from audits.models.contract import Said
from audits.models.flavours.base import Flavour
from audits.models.flavours.columns import as_asked, said_by_columns
from audits.models.flavours.tables import numbered
from audits.models.further_parts import expect_same_classes
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

    Raises ModelRefused if it is neither a table of numbers nor a column of labels, and if labels or
    scores beside it name other classes: who asks the model may take those.
    """
    beside: dict[str, Any] = {}
    if isinstance(given, pd.DataFrame):
        given, beside = _of_frame(given, classes)
    elif isinstance(given, dict):
        given, beside = _of_mapping(given)
    answer = _as_answer(given, classes, rows)
    if isinstance(answer, str):
        raise ModelRefused(
            "Expected a label an image, or a row of probabilities, from the model's predict, got "
            f"{answer} for {rows} image(s). Let predict return one of the two."
        )
    others = {name: _as_answer(part, classes, rows) for name, part in beside.items()}
    known = {name: part for name, part in others.items() if _names_classes(part)}
    try:
        expect_same_classes(known, _as_table(answer, len(classes)))
    except ValueError as error:
        raise ModelRefused(str(error)) from error
    return answer


def _names_classes(part: Tensor | str) -> bool:
    """Whether it is an answer; labels of which none is a class may be of another kind."""
    return not isinstance(part, str) and (part.is_floating_point() or bool((part >= 0).any()))


def _as_table(answer: Tensor, classes: int) -> Tensor:
    """Scores (N, K), NaN for an image whose label is none of the classes."""
    if answer.ndim == 2:
        return answer
    if answer.is_floating_point():  # the probability of the second of two classes
        return torch.stack([1 - answer, answer], dim=1)
    return scores_of(answer, classes)


def _as_answer(given: Any, classes: tuple[str, ...], rows: int) -> Tensor | str:
    """Values (N, K) or numbers of classes (N,); words for what it is if it is neither."""
    if isinstance(given, Tensor):
        given = given.detach().cpu().numpy()
    values = np.asarray(given)
    if values.dtype == object:
        values = np.asarray(values.tolist())
    if values.shape[:1] == (rows,) and (values.ndim == 1 or values.shape[1:] == (1,)):
        if values.dtype.kind in "iuUS" or (values.dtype.kind == "f" and _whole(values, classes)):
            return numbered(values.reshape(-1), classes)
        if values.dtype.kind == "f":
            if _may_be_either(values, classes):
                return "floats of 0 and 1, which may be probabilities, or labels"
            return torch.from_numpy(values.astype(np.float32))
    if values.ndim == 2 and values.shape[0] == rows and values.dtype.kind in "iuf":
        whole = values.dtype.kind in "iu"
        return in_float32(torch.from_numpy(values.astype(np.int64 if whole else np.float64)))
    return f"{type(given).__name__} of {values.dtype} {values.shape}"


def _of_frame(frame: pd.DataFrame, classes: tuple[str, ...]) -> tuple[Any, dict[str, Any]]:
    """What is audited of a data frame, and the columns of labels beside it.

    Audited are the columns of the classes, else the first column of labels, else all numbers.
    """
    names = {str(name): name for name in frame.columns}
    labels = {one: frame[names[one]].to_numpy() for one in _LABEL_COLUMNS if one in names}
    if set(classes) <= names.keys() and classes:
        table = frame[[names[name] for name in classes]].to_numpy()
        return table, {one: column for one, column in labels.items() if one not in classes}
    return (next(iter(labels.values())) if labels else frame.to_numpy()), labels


def _of_mapping(given: dict[Any, Any]) -> tuple[Any, dict[str, Any]]:
    """What is audited of a mapping, by its name, and the parts of such names beside it."""
    known = [name for name in ("logits", "probabilities", *_LABEL_COLUMNS) if name in given]
    if known:
        return given[known[0]], {name: given[name] for name in known[1:]}
    return (next(iter(given.values())) if len(given) == 1 else given), {}


def _whole(values: np.ndarray, classes: tuple[str, ...]) -> bool:
    """Whether floats are labels: whole numbers, and of two classes no probabilities."""
    whole = bool((values == np.rint(values)).all()) and bool(np.isfinite(values).all())
    return whole and (len(classes) > 2 or bool(values.max() > 1))


def _may_be_either(values: np.ndarray, classes: tuple[str, ...]) -> bool:
    """Whether floats of 0 and 1 may be probabilities, or labels of two classes named by numbers."""
    named = {name for name in classes if name.isdecimal()}
    return (
        len(classes) == 2
        and bool(named - {"0", "1"} or classes == ("1", "0"))
        and bool(np.isin(values, (0, 1)).all())
    )
