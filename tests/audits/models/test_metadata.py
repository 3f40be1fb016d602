"""Metadata that make no sense are a refusal of the model."""

import pytest
from bad_places import model_files

from audits.errors import ModelRefused
from audits.models.files import inspect
from audits.models.preprocessing import Preprocessing
from audits.models.trust import Trust


@pytest.mark.parametrize("name", ["mean", "std"])
def test_a_number_in_the_metadata_that_no_float_holds_is_a_refusal(name, tmp_path):
    folder = model_files(tmp_path / "m", **{name: [10**400]})
    with pytest.raises(ModelRefused, match="Expected numbers of at most 100 digits in MLmodel"):
        inspect(folder, Preprocessing(), Trust(by_name=True))


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"mean": [True]}, r"Expected numbers as 'mean' in the model's metadata, got \[True\]"),
        ({"std": True}, "Expected numbers as 'std'"),
        ({"mean": [0.3, False, 0.3]}, "Expected numbers as 'mean'"),
        ({"preprocessing": {"mean": [True]}}, "Expected fields of preprocessing"),
        ({"preprocessing": {"size": True}}, "Expected fields of preprocessing"),
        ({"preprocessing": {"channels": True}}, "Expected fields of preprocessing"),
        ({"pretrained_cfg": {"mean": [True] * 3}}, "Expected numbers as mean in timm's"),
        ({"pretrained_cfg": {"input_size": [True, 28, 28]}}, "Expected input_size"),
        ({"pretrained_cfg": {"input_size": [1, 28, 28], "crop_pct": True}}, "Expected crop_pct"),
        ({"std": 1e-320}, "Expected std of up to 3 numbers from 1e-06 to 1e.06, got .*1e-320"),
        ({"std": [0.3, 0.0, 0.3]}, "Expected std of up to 3 numbers from 1e-06"),
        ({"std": -0.3}, "Expected std of up to 3 numbers from 1e-06"),
        ({"mean": -1e30}, "Expected mean of up to 3 numbers from -1e.06"),
        ({"mean": [0.1] * 4}, "Expected mean of up to 3 numbers"),
        (
            {"mean": [0.3], "preprocessing": {"mean": [0.4]}},
            r"one value of mean in the model's metadata, got \(0\.3,\) and, under preprocessing, ",
        ),
        (
            {"mean": 0.3, "pretrained_cfg": {"mean": [0.5, 0.5, 0.5]}},
            r"one value of mean, got \(0\.3,\) from the model's metadata and \(0\.5, 0\.5, 0\.5\)",
        ),
        (
            {"classes": ["a", "b"], "preprocessing": {"classes": ["b", "a"]}},
            "one value of classes in the model's metadata",
        ),
    ],
)
def test_metadata_that_are_no_numbers_of_images_are_a_refusal(metadata, message, tmp_path):
    with pytest.raises(ModelRefused, match=message) as refused:
        inspect(model_files(tmp_path / "m", **metadata), Preprocessing(), Trust(by_name=True))
    assert "\n" not in str(refused.value)


def test_a_value_that_the_metadata_name_twice_is_taken(tmp_path):
    twice = {"mean": 0.3, "std": [0.3, 0.4, 0.5], "classes": ["a", "b"]}
    folder = model_files(tmp_path / "m", **twice, preprocessing=twice)
    contract = inspect(folder, Preprocessing(), Trust(by_name=True)).contract
    assert (contract.mean, contract.std) == ((0.3,), (0.3, 0.4, 0.5))
