"""LightGBM's boosters and classifiers answer as they do themselves; a text file runs no code."""

import shutil

import mlflow
import numpy as np
import pytest
import torch
import yaml
from mlflow.models import infer_signature

from audits.errors import ModelRefused
from audits.models.files import inspect
from audits.models.preprocessing import Preprocessing

lightgbm = pytest.importorskip("lightgbm")


@pytest.fixture
def saved(tmp_path, digits):
    """Saves a model with the signature of the digits as rows; returns its folder."""

    def save(model):
        (images, _), _ = digits
        folder = tmp_path / "model"
        mlflow.lightgbm.save_model(
            model,
            str(folder),
            signature=infer_signature(_rows(images)),
            pip_requirements=["lightgbm"],
            **({} if isinstance(model, lightgbm.Booster) else {"serialization_format": "pickle"}),
        )
        return folder

    return save


def _rows(images):
    return images.reshape(-1, 64).astype(np.float32) / 255


def _booster(digits, objective, **params):
    (images, target), _ = digits
    target = target if params.get("num_class") else target % 2
    data = lightgbm.Dataset(_rows(images), target)
    params |= {"objective": objective, "verbose": -1, "num_threads": 1, "num_leaves": 4}
    return lightgbm.train(params, data, num_boost_round=5)


@pytest.mark.parametrize("objective", ["multiclass", "multiclassova", "binary"])
def test_a_booster_needs_no_trust_and_answers_as_it_does(objective, saved, digits, loaded):
    params = {} if objective == "binary" else {"num_class": 10}
    model = _booster(digits, objective, **params)
    files = inspect(saved(model), Preprocessing())
    assert not files.trusted
    assert (files.flavour, files.contract.layout) == ("lightgbm", "flat")
    rows = _rows(digits[1][0])
    answer = loaded(files)(torch.from_numpy(rows))
    expected = model.predict(rows)
    if objective == "multiclassova":
        expected = expected / expected.sum(1, keepdims=True)
    elif objective == "binary":
        expected = np.stack([1 - expected, expected], 1)
    np.testing.assert_allclose(answer, expected, rtol=1e-5)
    assert (answer.argmax(1).numpy() == expected.argmax(1)).all()


def test_a_classifier_is_a_pickle_and_answers_as_it_does(saved, digits, loaded, inspected):
    (images, target), _ = digits
    model = lightgbm.LGBMClassifier(n_estimators=5, n_jobs=1, verbose=-1, num_leaves=4)
    folder = saved(model.fit(_rows(images), target))
    with pytest.raises(ModelRefused, match="pickle"):
        inspect(folder, Preprocessing())
    net = loaded(inspected(folder))
    assert net.gives == "probabilities"
    rows = _rows(digits[1][0])
    np.testing.assert_allclose(net(torch.from_numpy(rows)), model.predict_proba(rows), rtol=1e-5)


def test_a_booster_that_is_no_classifier_is_refused(saved, digits):
    folder = saved(_booster(digits, "regression"))
    with pytest.raises(ModelRefused, match=r"Expected a booster trained with .* got 'regression'"):
        inspect(folder, Preprocessing())


def _edited(folder, **entry):
    file = folder / "MLmodel"
    conf = yaml.safe_load(file.read_text())
    conf["flavors"]["lightgbm"] |= entry
    conf["flavors"]["python_function"]["data"] = conf["flavors"]["lightgbm"]["data"]
    file.write_text(yaml.safe_dump(conf))


def test_a_text_file_that_mlflow_would_load_as_a_classifier_is_refused(saved, digits):
    folder = saved(_booster(digits, "binary"))  # a zip behind the text would be the classifier
    _edited(folder, model_class="lightgbm.sklearn.LGBMClassifier", serialization_format="skops")
    with pytest.raises(ModelRefused, match=r"a text file .* for 'lightgbm\.sklearn\.LGBMClass"):
        inspect(folder, Preprocessing())


def test_a_booster_that_is_no_text_file_is_refused(saved, digits):
    folder = saved(_booster(digits, "binary"))
    (folder / "model.lgb").write_bytes(b"PK")
    with pytest.raises(ModelRefused, match=r"got another file for 'lightgbm\.basic\.Booster'"):
        inspect(folder, Preprocessing())


def test_data_beside_another_mlmodel_are_refused(saved, digits):
    folder = saved(_booster(digits, "binary"))
    (folder / "sub").mkdir()
    (folder / "model.lgb").rename(folder / "sub" / "model.lgb")
    shutil.copy(folder / "MLmodel", folder / "sub" / "MLmodel")  # which MLflow would read
    _edited(folder, data="sub/model.lgb", extra_files=[{"path": "sub"}])
    with pytest.raises(ModelRefused, match=r"at the top of its folder, got 'sub/model\.lgb'"):
        inspect(folder, Preprocessing())
