"""MLflow's own server is asked about arrays as its clients send them, by the signature."""

import shutil
from dataclasses import replace
from functools import cache

import mlflow
import numpy as np
import pytest
import torch
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, DataType, Schema, TensorSpec
from torch import nn

from audits.data.sources import Digits, load
from audits.errors import Contradicted
from audits.execution.served_by_mlflow import expect_same_classes
from audits.models.files import inspect
from audits.models.loading import load as load_network
from audits.models.opening import opened
from audits.models.preprocessing import Preprocessing
from fillblanks import Classifier

IMAGES = load(Digits())
SIDE = 28
GUARDS = ("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "MLFLOW_ALLOW_MODEL_CODE_EXECUTION")
ANY = (-1, 1, SIDE, SIDE)


class Net(nn.Module):
    """Sums of the pixels of some rows; a mapping of them, if `named`."""

    def __init__(self, named=False):
        super().__init__()
        self.named = named
        torch.manual_seed(0)
        self.linear = nn.Linear(SIDE * SIDE, 10)

    def forward(self, images):
        logits = self.linear(images.flatten(1))
        return {"logits": logits} if self.named else logits


def _tensor(dtype=np.float32, name=None, shape=ANY):
    return ModelSignature(Schema([TensorSpec(np.dtype(dtype), shape, name)]))


COLUMNS = ModelSignature(
    Schema([ColSpec(DataType.double, f"pixel{n}") for n in range(SIDE * SIDE)])
)


class Moved(nn.Module):
    """A network whose answers are moved by a class."""

    def __init__(self, net):
        super().__init__()
        self.net, self.training = net, False

    def forward(self, images):
        return self.net(images).roll(1, 1)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The folder of a network that takes arrays of a shape; each is exported once."""

    @cache
    def save(named, shape):
        folder = tmp_path_factory.mktemp("saved") / "model"
        mlflow.pytorch.save_model(
            Net(named).eval(),
            str(folder),
            signature=_tensor(shape=shape),
            input_example=np.zeros((2, *shape[1:]), np.float32),
        )
        return folder

    return save


@pytest.fixture
def asked(saved, tmp_path, monkeypatch):
    """Asks MLflow about a network; what the audit finds of it may be `moved` by a class."""
    for guard in GUARDS:
        monkeypatch.setenv(guard, "false")  # and put back, since `load_network` sets it

    def ask(signature, *, named=False, moved=False, shape=ANY, **edited):
        folder = shutil.copytree(saved(named, shape), tmp_path / "model")
        conf = Model.load(str(folder))
        conf.signature = signature
        conf.flavors["python_function"] |= edited
        conf.save(str(folder / "MLmodel"))
        files = inspect(folder, Preprocessing(range="0-1"))
        images = IMAGES.for_model(None, files.contract.fit)
        loaded = load_network(files, "cpu", images.classes)
        found = opened(loaded, files.contract, images.tensor(range(32)), 10, 8)
        if moved:
            found = replace(found, classifier=Classifier(Moved(found.classifier.net)))
        return expect_same_classes(files, loaded, found, images, range(16))

    return ask


@pytest.mark.parametrize("signature", [None, _tensor()], ids=["none", "tensor"])
def test_a_network_is_named_alike(signature, asked):
    assert asked(signature) == "alike"


def test_a_network_of_columns_is_named_alike(asked):
    assert asked(COLUMNS, shape=(-1, SIDE * SIDE)) == "alike"


@pytest.mark.parametrize(
    ("named", "signature", "edited"),
    [
        (True, _tensor(), {}),
        (False, _tensor(name="pixels"), {}),
        (False, _tensor(), {"predict_fn": "predict_proba"}),
    ],
    ids=["mapping", "named tensor", "no such function"],
)
def test_a_network_that_mlflow_cannot_ask_gets_no_answer(named, signature, edited, asked):
    assert asked(signature, named=named, **edited) == "none"


def test_other_classes_are_contradicted(asked):
    with pytest.raises(Contradicted, match="Expected MLflow's own server to name the classes"):
        asked(_tensor(), moved=True)
