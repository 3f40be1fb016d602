"""The digits of scikit-learn as PNG files and arrays, and how a flavour is loaded in a test."""

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
from mlflow.models import Model
from PIL import Image
from sklearn.datasets import load_digits

from audits.models.files import ModelFiles, inspect
from audits.models.flavours.registered import flavour_named, preferred
from audits.models.flavours.tables import Arranges
from audits.models.preprocessing import Preprocessing
from audits.models.trust import Trust

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@pytest.fixture(scope="session")
def names():
    """Names of the ten digits in their order, which is not that of the alphabet."""
    return NAMES


@pytest.fixture(scope="session")
def digits():
    """Images uint8 (N, 8, 8), 0 to 255, and labels, for training and for the audit."""
    data = load_digits()
    images = np.uint8(np.rint(data.images * 255 / 16))
    return (images[:1200], data.target[:1200]), (images[1200:1500], data.target[1200:1500])


@pytest.fixture(scope="session")
def digits_folder(digits, tmp_path_factory):
    """A folder of the audit's images as PNG files, one folder a class, which NAMES calls."""
    folder = tmp_path_factory.mktemp("digits")
    for number, (image, label) in enumerate(zip(*digits[1], strict=True)):
        file = folder / NAMES[label] / f"{number:04}.png"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(image).save(file)
    return folder


@pytest.fixture
def inspected():
    """Inspects a model's folder, with trust in each of its files that may run code."""

    def inspect_trusting(folder, **preprocessing) -> ModelFiles:
        return inspect(
            folder, Preprocessing(**preprocessing), Trust(sha256=tuple(_sha256_of_running(folder)))
        )

    return inspect_trusting


@pytest.fixture(scope="session")
def running_sha256():
    """Digests of the files of a model that may run code when they are loaded."""
    return _sha256_of_running


def _sha256_of_running(folder):
    conf = Model.load(str(folder))
    flavour = preferred(conf.flavors)
    files = flavour.running_files(flavour.data(folder, conf))
    return [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]


@pytest.fixture
def loaded():
    """Loads the network of inspected files as the child does, for classes in their order."""

    def load(files: ModelFiles, classes=None):
        flavour = flavour_named(files.flavour)
        net = flavour.load(Path(files.folder), Path(files.data), "cpu", trusted=files.trusted)
        if isinstance(net, Arranges):
            net.arrange(classes or files.classes or [str(n) for n in range(10)])
        return net

    return load


@pytest.fixture(scope="session")
def pipeline_folder(tmp_path_factory):
    """A pipeline of transformers as MLflow saves it."""
    import pipelines  # which needs transformers

    folder = tmp_path_factory.mktemp("transformers") / "model"
    pipelines.save(folder)
    return folder


@pytest.fixture
def pipeline_copy(pipeline_folder, tmp_path):
    """A copy of that folder, to be changed."""
    return Path(shutil.copytree(pipeline_folder, tmp_path / "model"))
