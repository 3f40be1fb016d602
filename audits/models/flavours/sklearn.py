"""MLflow's sklearn flavour: classifiers of scikit-learn, as black boxes."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from torch import nn

from audits.errors import ModelRefused
from audits.models.contract import Said
from audits.models.flavours.base import PROBABILITIES, Flavour, at_top, expect_file
from audits.models.flavours.columns import as_asked, said_by_columns
from audits.models.flavours.tables import Predictions, Probabilities, TableNet, shown
from audits.models.metadata import said_by_metadata
from audits.models.own_names import expect_own_order

# The class that these predict is that of the largest probability, by their code and in 1,000 rows
# each. SVC, SGDClassifier, NearestCentroid, GaussianProcessClassifier and classifiers with a
# threshold predict otherwise.
_BY_PROBABILITY = {
    "sklearn": {
        "AdaBoostClassifier", "BaggingClassifier", "BernoulliNB", "CalibratedClassifierCV",
        "ComplementNB", "DecisionTreeClassifier", "ExtraTreeClassifier", "ExtraTreesClassifier",
        "GaussianNB", "GradientBoostingClassifier",
        "HistGradientBoostingClassifier", "KNeighborsClassifier", "LabelPropagation",
        "LabelSpreading", "LinearDiscriminantAnalysis", "LogisticRegression",
        "LogisticRegressionCV", "MLPClassifier", "MultinomialNB", "RandomForestClassifier",
        "VotingClassifier",
    },
    "lightgbm": {"LGBMClassifier"},
}  # fmt: skip


class Sklearn(Flavour):
    """A classifier in a pickle, or in skops, whose list of allowed types the model itself brings.

    Either needs trust. The classifier gives its probabilities if their largest is the class that
    MLflow serves, else the predicted classes.
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
    """A classifier with scikit-learn's interface as a network.

    Raises ModelRefused if it is no classifier of one label, and if it is served by probabilities
    whose order is another one than that of the classes in the metadata.
    """
    from sklearn.base import is_classifier

    labels = getattr(model, "classes_", None)
    if not is_classifier(model) or labels is None or np.ndim(labels[0]):  # several labels
        raise ModelRefused(
            f"Expected a classifier of one label an image, got {type(model).__name__}. Log a "
            "classifier that has classes_."
        )
    asked = as_asked(conf)
    served = conf.flavors.get("python_function", {}).get("predict_fn") in PROBABILITIES
    if hasattr(model, "predict_proba") and (served or _predicts_by_probability(model)):
        if served:  # without names, in the order of classes_
            own = [Said("the model's classes_", {"classes": tuple(map(shown, labels))})]
            expect_own_order([said_by_metadata(conf.metadata or {})], own)
        return Probabilities(
            lambda rows: model.predict_proba(asked(rows)), labels, names_one=not served
        )
    return Predictions(lambda rows: model.predict(asked(rows)), labels)


def _predicts_by_probability(model: Any) -> bool:
    """Whether the class that it predicts, and MLflow serves, has the largest probability."""
    if hasattr(model, "steps"):
        return _predicts_by_probability(model[-1])
    kind = type(model)
    package = kind.__module__.partition(".")[0]
    if package == "sklearn" and hasattr(model, "best_estimator_"):  # a search over settings
        return _predicts_by_probability(model.best_estimator_)
    return kind.__name__ in _BY_PROBABILITY.get(package, ())
