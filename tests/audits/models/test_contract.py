"""The input contract is read from config, metadata and signature; unnamed fields are asked for."""

import json
import shutil
from pathlib import Path

import mlflow
import numpy as np
import pytest
import torch
import yaml
from mlflow.models import Model, ModelSignature
from mlflow.types import Schema, TensorSpec
from torch import nn

from audits.data.fit import Fit
from audits.errors import ModelRefused
from audits.models.contract import Said, merged
from audits.models.files import inspect
from audits.models.preprocessing import Preprocessing

METADATA = {"mean": [0.3], "std": 0.35, "classes": list("0123456789")}
PLAIN = Preprocessing()


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A pt2 for images of 1x8x8, with metadata."""
    folder = tmp_path_factory.mktemp("saved") / "model"
    torch.manual_seed(0)
    mlflow.pytorch.save_model(
        nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).eval(),
        str(folder),
        input_example=np.zeros((2, 1, 8, 8), np.float32),
        metadata=METADATA,
        pip_requirements=["torch"],
        serialization_format="pt2",
    )
    return folder


@pytest.fixture
def copy(saved, tmp_path):
    """A copy of the saved model, whose MLmodel a test may rewrite."""
    return Path(shutil.copytree(saved, tmp_path / "model"))


def _named(files):
    contract = files.contract
    return contract.mean, contract.std, contract.classes


def test_the_files_of_a_good_model_say_what_is_needed(saved):
    files = inspect(saved, PLAIN)
    assert files.contract.fit == Fit(1, 8, 8)
    assert _named(files) == ((0.3,), (0.35,), tuple("0123456789"))
    assert not files.trusted
    assert files.contract.questions == ()


def test_the_config_takes_precedence_over_the_metadata(saved):
    own = Preprocessing(mean=(0.0,), std=(1.0,), classes=tuple("abcdefghij"))
    files = inspect(saved, own)
    assert _named(files) == ((0.0,), (1.0,), tuple("abcdefghij"))


def _rewrite(folder, **changes):
    file = folder / "MLmodel"
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), **changes}))
    return folder


def _sign(folder, *specs):
    conf = Model.load(str(folder))
    conf.signature = ModelSignature(Schema(list(specs))) if specs else None
    conf.save(str(folder / "MLmodel"))
    return folder


def test_without_metadata_the_normalisation_is_an_open_question(copy):
    files = inspect(_rewrite(copy, metadata=None), PLAIN)
    assert _named(files) == ((0.0,), (1.0,), None)
    (question,) = files.contract.questions
    assert "set preprocessing.range" in question


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"mean": "grey"}, "Expected numbers as 'mean' in the model's metadata, got 'grey'"),
        ({"std": []}, "Expected numbers as 'std'"),
        ({"classes": "0123"}, "Expected class names in the model's metadata, got '0123'"),
        ({"classes": {"1": "a", "2": "b"}}, "got none for index 0"),
        ({"preprocessing": {"classes_file": "/etc/passwd"}}, "got classes_file, which only an"),
        ({"preprocessing": {"rang": "0-1"}}, "fields of preprocessing in .* but rang"),
        ({"preprocessing": {"range": "0..1"}}, "fields of preprocessing in .* but range"),
        ({"preprocessing": ["range"]}, "fields of preprocessing in the model's metadata"),
    ],
)
def test_metadata_that_make_no_sense_are_refused(metadata, message, copy):
    with pytest.raises(ModelRefused, match=message):
        inspect(_rewrite(copy, metadata=metadata), PLAIN)


def _tensor(*shape, name=None):
    return TensorSpec(np.dtype(np.float32), shape, name)


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        ([_tensor(-1, 2, 8, 8)], "Expected a model of 1 or 3 channels"),
        ([_tensor(-1, 65)], "Expected a signature of images .* square grey images as rows"),
        ([_tensor(-1, -1)], "Expected a signature of images"),
        ([_tensor(-1, 1, -5, 28)], "Expected a signature with sides of at least 1"),
        ([_tensor(-1, 1, 1, 8, 8)], "signature of one image tensor"),
        (
            [_tensor(-1, 3, 8, 8, name="a"), _tensor(-1, 2, name="b")],
            "signature of one image tensor",
        ),
        ([TensorSpec(np.dtype(np.int16), (-1, 3, 8, 8))], "images in floats or in .* int16"),
    ],
)
def test_a_signature_of_no_images_is_refused(specs, message, copy):
    with pytest.raises(ModelRefused, match=message):
        inspect(_sign(copy, *specs), PLAIN)


@pytest.mark.parametrize(
    ("specs", "fit", "layout"),
    [
        ([], Fit(), "NCHW"),
        ([_tensor(-1, -1, -1, -1)], Fit(), "NCHW"),
        ([_tensor(-1, 3, -1, -1)], Fit(3), "NCHW"),
        ([_tensor(-1, -1, 8, 9)], Fit(None, 8, 9), "NCHW"),
        ([_tensor(-1, 8, 9, 3)], Fit(3, 8, 9), "NHWC"),
        ([_tensor(-1, -1, -1, 3)], Fit(3), "NHWC"),
        ([_tensor(-1, 8, 9)], Fit(1, 8, 9), "NHW"),
        ([_tensor(-1, 64)], Fit(1, 8, 8), "flat"),
    ],
)
def test_a_signature_gives_layout_and_size_and_may_leave_sizes_open(specs, fit, layout, copy):
    contract = inspect(_sign(copy, *specs), PLAIN).contract
    assert (contract.fit, contract.layout) == (fit, layout)
    assert len(contract.questions) == (0 if fit.has_size else 1)
    assert contract.questions == () or "set preprocessing.size" in contract.questions[0]


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64"])
def test_a_signature_of_whole_numbers_takes_pixels_from_0_to_255(dtype, copy):
    folder = _sign(copy, TensorSpec(np.dtype(dtype), (4, 8, 8, 3)))
    contract = inspect(_rewrite(folder, metadata=None), PLAIN).contract
    assert (contract.range, contract.dtype) == ("0-255", dtype)
    assert contract.pixel_mean == (0.0,)
    assert contract.pixel_std == pytest.approx((1 / 255,))
    assert contract.questions == ()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"size": 9}, "Expected height 8, as the model's signature has it, got 9 from the config"),
        ({"channels": 3}, "Expected channels 1, .* got 3 from the config"),
        ({"layout": "NHWC"}, "Expected layout NCHW"),
        ({"mean": [0.5]}, "one source, .* mean from the config, std from the model's metadata"),
        ({"range": "0-255"}, "one source, .* range from the config, mean from the model's"),
    ],
)
def test_a_config_that_cannot_be_right_is_refused(given, message, copy):
    with pytest.raises(ModelRefused, match=message):
        inspect(copy, Preprocessing.model_validate_json(json.dumps(given)))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"range": "0-1"}, "whole numbers from 0 to 255 .* got range 0-1 from the config"),
        ({"mean": [0.5], "std": [0.2]}, "whole numbers from 0 to 255 .* got mean"),
        ({"range": "0-255", "std": [58]}, "whole numbers from 0 to 255 .* got std"),
    ],
)
def test_bytes_that_are_to_be_normalised_are_refused(given, message, copy):
    folder = _sign(copy, TensorSpec(np.dtype(np.uint8), (-1, 3, 8, 8)))
    with pytest.raises(ModelRefused, match=message):
        inspect(
            _rewrite(folder, metadata=None), Preprocessing.model_validate_json(json.dumps(given))
        )


@pytest.mark.parametrize("layout", ["NHW", "flat"])
def test_a_layout_without_channels_has_one(layout, copy):
    folder = _rewrite(_sign(copy), metadata=None)
    contract = inspect(folder, Preprocessing(layout=layout)).contract
    assert contract.fit.channels == 1
    with pytest.raises(ModelRefused, match=f"Expected 1 channel for layout {layout}"):
        inspect(folder, Preprocessing(layout=layout, channels=3))


def test_a_crop_that_does_not_fill_the_size_is_refused(copy):
    metadata = {"preprocessing": {"resize": "crop", "resize_to": 12, "size": 8}}
    folder = _rewrite(_sign(copy), metadata=metadata)
    assert inspect(folder, PLAIN).contract.fit.resize_to == 12
    with pytest.raises(ModelRefused, match=r"resize_to of at least 16, .* got 12 from the"):
        inspect(folder, Preprocessing(size=(16, 16)))


@pytest.mark.parametrize(
    ("metadata", "named", "got"),
    [
        ({}, {"resize_to": 9}, "got no rule"),
        ({}, {"resize": "pad", "resize_to": 9}, "got pad from the config"),
        ({"resize_to": 9}, {}, "got no rule"),
        ({"resize": "stretch"}, {"resize_to": 9}, "got stretch from the model's metadata"),
    ],
)
def test_a_side_that_no_rule_uses_is_refused(metadata, named, got, copy):
    folder = _rewrite(copy, metadata={**METADATA, "preprocessing": metadata})
    with pytest.raises(ModelRefused, match=f"Expected resize: crop or squash .* {got}"):
        inspect(folder, Preprocessing.model_validate(named))


def test_a_config_may_name_another_rule_than_that_of_the_models_side(copy):
    metadata = {**METADATA, "preprocessing": {"resize": "crop", "resize_to": 10}}
    contract = inspect(_rewrite(copy, metadata=metadata), Preprocessing(resize="pad")).contract
    assert contract.fit.resize == "pad"


def test_names_of_classes_are_one_line_without_control_characters(copy):
    folder = _rewrite(copy, metadata={"classes": ["a\nb: c", "\x1b[31mred\x07"]})
    assert inspect(folder, PLAIN).classes == ("a b: c", "[31mred")


def test_every_field_says_where_it_comes_from(copy):
    metadata = {**METADATA, "preprocessing": {"resize": "crop", "resize_to": 10}}
    named = Preprocessing(mean=(0.5,), std=(0.35,), range="-1..1")
    files = inspect(_rewrite(copy, metadata=metadata), named)
    rows = {name: (value, source) for name, value, source in files.contract.rows()}
    assert rows["mean"] == ("0.5", "the config")
    assert rows["range"] == ("-1..1", "the config")
    assert rows["std"] == ("0.35", "the config")
    assert rows["resize"] == ("shorter side to 10, then the centre", "the model's metadata")
    assert rows["size"] == ("8 x 8", "the signature")
    assert rows["interpolation"] == ("bilinear", "default")
    # (2x - 1 - .5) / .35 = (x - .75) / .175
    assert files.contract.pixel_mean == pytest.approx((0.75,))
    assert files.contract.pixel_std == pytest.approx((0.175,))


def test_marks_in_names_that_nobody_sees_are_left_out():
    names = ["o\N{SOFT HYPHEN}ne", "\N{ZERO WIDTH SPACE}", "a\x1b[0mb"]
    assert merged([Said("the config", {"classes": names})]).classes == ("one", "1", "a [0mb")
