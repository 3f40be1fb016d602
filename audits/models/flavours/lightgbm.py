"""MLflow's lightgbm flavour: boosters and LightGBM's classifiers, as black boxes."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from torch import nn

from audits.errors import AuditError, ModelRefused, quoted
from audits.models.contract import Said
from audits.models.flavours.base import Flavour, at_top, expect_file
from audits.models.flavours.columns import as_asked, said_by_columns
from audits.models.flavours.lightgbm_text import expect_sound
from audits.models.flavours.pyfunc_called import Predict, predict_of_folder
from audits.models.flavours.sklearn import classifier_net
from audits.models.flavours.tables import Probabilities, TableNet

_BOOSTER = "lightgbm.basic.Booster"
_TEXT = b"tree\n"  # the first line of a booster's text file


class LightGBM(Flavour):
    """A booster in LightGBM's text file, which runs no code, or a pickled classifier, which may."""

    name: ClassVar[str] = "lightgbm"

    def data(self, folder: Path, conf: Model) -> Path:
        entry = self.entry(conf)
        data = at_top(folder, entry.get("data", "model.lgb"))
        named = entry.get("model_class", _BOOSTER)
        if data.is_file() and _is_text(data) != (named == _BOOSTER):
            kind = "a booster's text file" if _is_text(data) else "another file"
            raise ModelRefused(
                f"Expected a text file for {_BOOSTER}, which MLflow loads by the model_class in "
                f"MLmodel, and for that alone, got {kind} for {quoted(named)}. Log the model again."
            )
        return data

    def running_files(self, data: Path) -> list[Path]:
        return [] if _is_text(data) else [data]

    def check(self, data: Path, *, trusted: bool) -> None:
        expect_file(data)
        if _is_text(data):
            expect_sound(data)

    def said(self, folder: Path, conf: Model) -> Said:
        return said_by_columns(conf)

    def called_by_mlflow(self, folder: Path, conf: Model, net: nn.Module) -> Predict | None:
        data = self.data(folder, conf)
        if not (_is_text(data) and isinstance(net, TableNet)):
            return None
        served = _booster_net(predict_of_folder(folder, conf), expect_sound(data))
        served.arrange(net.classes)
        return lambda rows: served(torch.from_numpy(rows))

    def load(self, folder: Path, data: Path, device: str, *, trusted: bool) -> nn.Module:
        try:
            import lightgbm
        except (ImportError, OSError) as error:  # its library may be missing too
            raise AuditError(
                f"Expected the package lightgbm ({error}). pip install lightgbm"
            ) from error
        conf = Model.load(str(folder))
        if _is_text(data):
            try:
                booster, asked = lightgbm.Booster(model_file=str(data)), as_asked(conf)
                return _booster_net(lambda rows: booster.predict(asked(rows)), expect_sound(data))
            except lightgbm.basic.LightGBMError as error:
                raise ModelRefused(f"LightGBM could not read the model: {error}") from error
        import mlflow.lightgbm

        try:
            model = mlflow.lightgbm.load_model(str(folder))
        except MlflowException as error:
            raise ModelRefused(f"MLflow refused to load the model: {error.message}") from error
        return classifier_net(model, conf)


def _is_text(data: Path) -> bool:
    if not data.is_file():
        return False
    with data.open("rb") as stream:
        return stream.read(len(_TEXT)) == _TEXT


def _shares(table: np.ndarray) -> np.ndarray:
    """Each row divided by its sum, as scikit-learn does with classes against the rest."""
    return table / table.sum(axis=1, keepdims=True)


def _booster_net(predict: Predict, objective: str) -> TableNet:
    """A booster as a network, by the objective with which it was trained."""

    def both(rows: np.ndarray) -> np.ndarray:
        second = predict(rows)
        return np.stack([1 - second, second], axis=1)

    if objective == "binary":
        return Probabilities(both)
    if objective == "multiclassova":  # each class against the rest: rows do not sum to 1
        return Probabilities(lambda rows: _shares(predict(rows)))
    return Probabilities(predict)
