"""MLflow's sklearn flavour: classifiers of scikit-learn, as black boxes."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from torch import nn

from audits.errors import ModelRefused
from audits.models.contract import Said
from audits.models.flavours.base import Flavour, at_top, expect_file
from audits.models.flavours.columns import as_asked, said_by_columns
from audits.models.flavours.tables import Predictions, Probabilities, TableNet

# Their probabilities come from a fit of their own and may name another class than `predict`.
_OTHER_PROBABILITIES = ("SVC", "NuSVC")


class Sklearn(Flavour):
    """A classifier in a pickle, or in skops, whose list of allowed types the model itself brings.

    Either needs trust. The classifier gives its probabilities if it has them, else the predicted
    classes.
    """

    name: ClassVar[str] = "sklearn"
    pyfunc_keys: ClassVar[tuple[str, ...]] = ("model_path", "data")

    def data(self, folder: Path, conf: Model) -> Path:
        return at_top(folder, self.entry(conf).get("pickled_model", "model.pkl"))

    def running_files(self, data: Path) -> list[Path]:
        return [data]

    def check(self, data: Path, *, trusted: bool) -> None:
        expect_file(data)

    def said(self, folder: Path, conf: Model) -> Said:
        return said_by_columns(conf)

    def load(self, folder: Path, data: Path, device: str, *, trusted: bool) -> nn.Module:
        import mlflow.sklearn

        try:
            model = mlflow.sklearn.load_model(str(folder))
        except MlflowException as error:
            raise ModelRefused(f"MLflow refused to load the model: {error.message}") from error
        return classifier_net(model, Model.load(str(folder)))


def classifier_net(model: Any, conf: Model) -> TableNet:
    """A classifier with scikit-learn's interface as a network. Raises ModelRefused."""
    from sklearn.base import is_classifier

    labels = getattr(model, "classes_", None)
    if not is_classifier(model) or labels is None or np.ndim(labels[0]):  # several labels
        raise ModelRefused(
            f"Expected a classifier of one label an image, got {type(model).__name__}. Log a "
            "classifier that has classes_."
        )
    asked = as_asked(conf)
    last = model[-1] if hasattr(model, "steps") else model
    if hasattr(model, "predict_proba") and type(last).__name__ not in _OTHER_PROBABILITIES:
        return Probabilities(lambda rows: model.predict_proba(asked(rows)), labels)
    return Predictions(lambda rows: model.predict(asked(rows)), labels)
