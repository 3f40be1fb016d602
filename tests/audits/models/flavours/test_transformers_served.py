"""MLflow's own server of a pipeline is asked about files, and must name the same classes."""

import mlflow
import numpy as np
import pytest
from PIL import Image
from torch import nn

from audits.data.built import of_arrays
from audits.data.sources import Folder, load
from audits.errors import Contradicted
from audits.execution.served_by_mlflow import expect_same_classes
from audits.models.files import inspect
from audits.models.form import Adaptation
from audits.models.opening import OpenedNet
from audits.models.preprocessing import Preprocessing
from fillblanks import Classifier

transformers = pytest.importorskip("transformers")
from pipelines import NAMES, edit  # noqa: E402

ROTATED = 6  # the value of EXIF's tag


class Logits(nn.Module):
    """The logits of a network of transformers, each of the class `by` places before."""

    def __init__(self, net, by=0):
        super().__init__()
        self.net, self.by = net, by

    def forward(self, images):
        return self.net(images).logits.roll(self.by, 1)


@pytest.fixture
def files_of_many_kinds(tmp_path):
    """Images that clients send: turned, transparent, grey, with a palette, wide and high."""
    draw = np.random.default_rng(0)
    turned = Image.Exif()
    turned[274] = ROTATED
    smooth = [Image.fromarray(draw.integers(0, 256, (5, 7, 3), np.uint8)) for _ in range(6)]
    wide = [image.resize((90, 40), Image.Resampling.BICUBIC) for image in smooth]
    kinds = {
        "turned.jpg": (wide[0], {"exif": turned}),
        "clear.png": (wide[1].convert("RGBA"), {}),
        "grey.png": (wide[2].convert("L"), {}),
        "palette.png": (wide[3].quantize(16), {}),
        "high.png": (wide[4].rotate(90, expand=True), {}),
        "plain.png": (wide[5], {}),
    }
    kinds["clear.png"][0].putalpha(60)
    for place, (name, (image, options)) in enumerate(kinds.items()):
        folder = tmp_path / "images" / NAMES[place % len(NAMES)]
        folder.mkdir(parents=True, exist_ok=True)
        image.save(folder / name, **options)
    return load(Folder(path=str(tmp_path / "images")))


def _asked(folder, loaded, data, by=0):
    files = inspect(folder, Preprocessing())
    contract = files.contract
    net = loaded(files)
    classifier = Classifier(
        Logits(net, by).eval(), mean=contract.pixel_mean, std=contract.pixel_std
    )
    images = data.for_model(None, contract.fit)
    found = OpenedNet(classifier, Adaptation(), "gradients", len(NAMES))
    return expect_same_classes(files, net, found, images, range(len(images)))


def test_files_of_all_kinds_are_named_alike(pipeline_folder, loaded, files_of_many_kinds):
    assert _asked(pipeline_folder, loaded, files_of_many_kinds) == "alike"


def test_images_without_files_are_named_alike(pipeline_folder, loaded):
    draw = np.random.default_rng(0)
    for shape in ((6, 40, 36), (6, 40, 36, 3)):
        data = of_arrays("x", draw.integers(0, 256, shape, np.uint8), [0] * 6, list(NAMES), 8)
        assert _asked(pipeline_folder, loaded, data) == "alike"


def test_names_that_transformers_makes_are_known(pipeline_folder, loaded, files_of_many_kinds):
    edit(pipeline_folder / "model" / "config.json", id2label=None, label2id=None, num_labels=3)
    assert _asked(pipeline_folder, loaded, files_of_many_kinds) == "alike"


def test_a_network_of_grey_gets_no_answer(loaded, tmp_path):
    """A pipeline makes colours of every image."""
    config = transformers.ResNetConfig(
        num_channels=1,
        embedding_size=8,
        hidden_sizes=[8, 16],
        depths=[1, 1],
        id2label=dict(enumerate(NAMES)),
    )
    pipeline = transformers.pipeline(
        "image-classification",
        model=transformers.ResNetForImageClassification(config).eval(),
        image_processor=transformers.CLIPImageProcessor(do_normalize=False, size=32, crop_size=32),
    )
    folder = tmp_path / "model"
    mlflow.transformers.save_model(pipeline, str(folder), pip_requirements=["transformers"])
    data = of_arrays("x", np.zeros((2, 40, 40), np.uint8), [0, 1], list(NAMES), 8)
    assert _asked(folder, loaded, data) == "none"


def test_another_class_than_that_of_the_server_is_contradicted(
    pipeline_folder, loaded, files_of_many_kinds
):
    with pytest.raises(Contradicted, match="Expected MLflow's own server to name"):
        _asked(pipeline_folder, loaded, files_of_many_kinds, by=1)
