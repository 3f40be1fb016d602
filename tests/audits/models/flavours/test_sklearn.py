"""Classifiers of scikit-learn answer as they do themselves, in the order of the audit's classes."""

import mlflow
import numpy as np
import pytest
import torch
from mlflow.models import infer_signature
from sklearn.cluster import KMeans
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression, RidgeClassifier, SGDClassifier
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from audits.errors import ModelRefused
from audits.models.adapter import BlackBox
from audits.models.files import inspect
from audits.models.preprocessing import Preprocessing

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@pytest.fixture
def saved(tmp_path, digits):
    """Fits and saves a classifier; returns its folder."""

    def save(model, labels=None, frame=False, signed=True, **arguments):
        import pandas as pd

        (images, target), _ = digits
        rows = images.reshape(-1, 64).astype(np.float32) / 255
        table = pd.DataFrame(rows, columns=[f"p{n}" for n in range(64)]) if frame else rows
        model.fit(table, target if labels is None else np.array(labels)[target])
        folder = tmp_path / "model"
        mlflow.sklearn.save_model(
            model,
            str(folder),
            signature=infer_signature(table) if signed else None,
            serialization_format="cloudpickle",
            pip_requirements=["scikit-learn"],
            **arguments,
        )
        return folder

    return save


def _rows(digits):
    return torch.from_numpy(digits[1][0].reshape(-1, 64).astype(np.float32) / 255)


def test_a_classifier_gives_its_own_probabilities(saved, digits, loaded, inspected):
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    files = inspected(saved(model))
    assert (files.flavour, files.contract.layout) == ("sklearn", "flat")
    assert (files.contract.fit.height, files.contract.fit.width) == (8, 8)
    net = loaded(files)
    assert isinstance(net, BlackBox)
    assert net.gives == "probabilities"
    rows = _rows(digits)
    np.testing.assert_allclose(net(rows), model.predict_proba(rows.numpy()), rtol=1e-6)


def test_columns_come_in_the_order_of_the_audits_classes(saved, digits, loaded, inspected):
    model = LogisticRegression(max_iter=500)
    folder = saved(model, NAMES)
    net = loaded(inspected(folder), [n.upper() for n in NAMES])
    predicted = np.array(NAMES)[net(_rows(digits)).argmax(1)]
    assert (predicted == model.predict(_rows(digits).numpy())).all()
    assert list(model.classes_) != list(NAMES)  # by name they are in another order


def test_of_equal_probabilities_the_class_is_that_of_the_model(saved, digits, loaded, inspected):
    model = RandomForestClassifier(2, random_state=0)
    net = loaded(inspected(saved(model, NAMES)), list(NAMES))
    rows = _rows(digits)
    table = model.predict_proba(rows.numpy())
    assert ((table == table.max(1, keepdims=True)).sum(1) > 1).sum() > 5
    answers = net(rows)
    best = answers.argmax(1)
    assert (np.array(NAMES)[best] == model.predict(rows.numpy())).all()
    logarithms = answers.clamp_min(1e-30).log()
    assert ((logarithms == logarithms.amax(1, keepdim=True)).sum(1) == 1).all()
    assert (logarithms.argmax(1) == best).all()


def test_classes_that_the_model_does_not_have_are_refused(saved, loaded, inspected):
    folder = saved(LogisticRegression(max_iter=500), NAMES)
    files = inspected(folder)
    for other in (["nil", *NAMES[1:]], NAMES[:9]):
        with pytest.raises(ModelRefused, match=r"model's own classes \(eight, five") as refused:
            loaded(files, other)
        assert "Set preprocessing.classes" in str(refused.value)


def test_numbers_from_0_are_places_unless_classes_are_called_so(saved, digits, loaded, inspected):
    model = LogisticRegression(max_iter=500)
    files = inspected(saved(model))
    expected = model.predict(_rows(digits).numpy())
    assert (loaded(files, NAMES)(_rows(digits)).argmax(1).numpy() == expected).all()
    backwards = [str(n) for n in range(9, -1, -1)]
    assert (9 - loaded(files, backwards)(_rows(digits)).argmax(1).numpy() == expected).all()


@pytest.mark.parametrize(
    ("model", "gives"),
    [
        (RidgeClassifier(), "predictions"),
        (SVC(), "predictions"),
        (SGDClassifier(loss="modified_huber"), "predictions"),
        (NearestCentroid(), "predictions"),
        (OneVsRestClassifier(LogisticRegression()), "predictions"),
        (GridSearchCV(NearestCentroid(), {}, cv=2), "predictions"),
        (GridSearchCV(make_pipeline(StandardScaler(), GaussianNB()), {}, cv=2), "probabilities"),
        (KNeighborsClassifier(2), "probabilities"),
        (LinearDiscriminantAnalysis(), "probabilities"),
        (MLPClassifier((8,), max_iter=300), "probabilities"),
        (VotingClassifier([("bayes", GaussianNB())], voting="soft"), "probabilities"),
        (VotingClassifier([("bayes", GaussianNB())]), "predictions"),
    ],
    ids=repr,
)
def test_the_class_is_the_one_that_mlflow_serves(model, gives, saved, digits, loaded, inspected):
    folder = saved(model, NAMES)
    net = loaded(inspected(folder), NAMES)
    assert net.gives == gives
    answers = net(_rows(digits))
    assert gives == "probabilities" or answers.dtype == torch.int64
    predicted = answers if gives == "predictions" else answers.argmax(1)
    served = mlflow.pyfunc.load_model(str(folder)).predict(_rows(digits).numpy())
    assert (np.array(NAMES)[predicted] == served).all()


def test_a_threshold_of_the_owner_counts(saved, digits, loaded, inspected):
    model = FixedThresholdClassifier(LogisticRegression(), threshold=0.999, pos_label="odd")
    folder = saved(model, ["even", "odd"] * 5)
    predicted = loaded(inspected(folder), ["even", "odd"])(_rows(digits))
    served = mlflow.pyfunc.load_model(str(folder)).predict(_rows(digits).numpy())
    assert (np.array(["even", "odd"])[predicted] == served).all()
    assert 0 < (served == "odd").mean() < 0.3


def test_probabilities_that_are_served_are_audited(saved, digits, loaded, inspected):
    folder = saved(NearestCentroid(), NAMES, pyfunc_predict_fn="predict_proba")
    net = loaded(inspected(folder), sorted(NAMES))
    assert net.gives == "probabilities"
    served = mlflow.pyfunc.load_model(str(folder)).predict(_rows(digits).numpy())
    np.testing.assert_allclose(net(_rows(digits)), served, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("served_by", ["predict_proba", "predict_log_proba", "predict"])
def test_probabilities_without_names_have_the_order_of_the_metadata(
    served_by, saved, loaded, inspected
):
    metadata = {"classes": list(NAMES)}  # classes_ are in the order of the alphabet
    folder = saved(GaussianNB(), NAMES, pyfunc_predict_fn=served_by, metadata=metadata)
    if served_by == "predict":
        assert loaded(inspected(folder), NAMES).gives == "probabilities"
        return
    with pytest.raises(ModelRefused, match="another order than in the model's classes_"):
        loaded(inspected(folder), NAMES)


@pytest.mark.parametrize("served_by", ["decision_function", "apply", "score"])
def test_a_model_that_mlflow_serves_by_another_function_is_refused(served_by, saved, inspected):
    model = LogisticRegression() if served_by == "decision_function" else RandomForestClassifier(2)
    folder = saved(model, pyfunc_predict_fn=served_by)
    with pytest.raises(ModelRefused, match=f"predict_fn '{served_by}'"):
        inspected(folder)


def test_numbers_that_count_the_classes_are_no_other_order(saved, loaded, inspected):
    metadata = {"classes": list(NAMES)}
    folder = saved(GaussianNB(), pyfunc_predict_fn="predict_proba", metadata=metadata)
    assert loaded(inspected(folder), NAMES).gives == "probabilities"


def test_numbers_that_pandas_made_floats_are_the_classes(saved, digits, loaded, inspected):
    model = LogisticRegression(max_iter=500)
    files = inspected(saved(model, np.arange(10.0)))
    for names in (NAMES, [str(n) for n in range(10)]):
        predicted = loaded(files, names)(_rows(digits)).argmax(1).numpy()
        assert (predicted == model.predict(_rows(digits).numpy())).all()


def test_pixel_columns_are_taken_as_rows_of_a_square_image(saved, digits, loaded, inspected):
    model = LogisticRegression(max_iter=500)
    folder = saved(model, frame=True)
    files = inspected(folder)
    assert (files.contract.layout, files.contract.fit.height) == ("flat", 8)
    assert files.contract.source("height") == "the columns of the signature"
    rows = _rows(digits)
    np.testing.assert_allclose(loaded(files)(rows), model.predict_proba(_frame(rows)))


def _frame(rows):
    import pandas as pd

    return pd.DataFrame(rows.numpy(), columns=[f"p{n}" for n in range(64)])


def test_without_a_signature_the_size_is_asked_for(saved, inspected):
    folder = saved(LogisticRegression(max_iter=500), signed=False)
    questions = inspected(folder).contract.questions
    assert any("preprocessing.size" in question for question in questions)


def test_a_model_that_is_no_classifier_is_refused(saved, loaded, inspected):
    folder = saved(KMeans(3))
    with pytest.raises(ModelRefused, match=r"Expected a classifier of .* KMeans"):
        loaded(inspected(folder))


def test_the_pickle_needs_trust(saved):
    folder = saved(LogisticRegression(max_iter=500))
    with pytest.raises(ModelRefused, match="pickle"):
        inspect(folder, Preprocessing())
