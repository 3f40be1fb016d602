"""An image processor that does otherwise than its file is read is refused."""

import json
from dataclasses import replace

import pytest

from audits.errors import ModelRefused
from audits.models.contract import Said, merged
from audits.models.flavours.image_processor import contract_of
from audits.models.flavours.processor_tried import expect_as_read

transformers = pytest.importorskip("transformers")

KINDS = (
    *("Beit", "Bit", "CLIP", "ConvNext", "DeiT", "EfficientNet", "Levit", "MobileNetV1"),
    *("MobileNetV2", "PoolFormer", "Pvt", "Segformer", "Siglip", "ViT"),
)


def _saved(folder, name, **options):
    """The class of a processor that is saved in `folder`, and the contract of its file."""
    processor = getattr(transformers, name)(**options)
    processor.save_pretrained(folder)
    values = contract_of(json.loads((folder / "preprocessor_config.json").read_text()))
    return type(processor).__name__, merged([Said("the file", {**values, "channels": 3})])


@pytest.mark.parametrize(
    "name", [*(f"{kind}ImageProcessor" for kind in KINDS), "BitImageProcessorPil"]
)
def test_processors_of_transformers_do_as_their_files_say(name, tmp_path):
    if not hasattr(transformers, name):
        pytest.skip("not in this release")
    small = {"size": {"height": 32, "width": 32}} if "Segformer" in name else {}
    expect_as_read(tmp_path, *_saved(tmp_path, name, **small))


def test_the_file_names_the_class_if_mlmodel_names_none(tmp_path):
    _, contract = _saved(tmp_path, "ViTImageProcessor", size={"height": 32, "width": 32})
    expect_as_read(tmp_path, None, contract)


@pytest.mark.parametrize("odd", [{}, {"do_normalize": False}, {"do_rescale": False}])
def test_an_odd_size_is_within_the_tolerance(odd, tmp_path):
    crop = {"height": 33, "width": 33}
    options = {"size": {"shortest_edge": 33}, "crop_size": crop, **odd}
    expect_as_read(tmp_path, *_saved(tmp_path, "PoolFormerImageProcessor", **options))


def test_wide_and_high_images_are_tried(tmp_path):
    size, crop = {"height": 40, "width": 40}, {"height": 32, "width": 32}
    options = {"size": size, "crop_size": crop}
    name, contract = _saved(tmp_path, "CLIPImageProcessor", **options)
    expect_as_read(tmp_path, name, contract)
    other = replace(contract.fit, resize="crop")  # the same for square images
    with pytest.raises(ModelRefused, match="to do as its file says, got other pixels"):
        expect_as_read(tmp_path, name, replace(contract, fit=other))


@pytest.mark.parametrize(
    "changes",
    [
        {"mean": (0.4, 0.5, 0.5)},
        {"std": (1.0,)},
        {"range": "0-255"},
        {"fit": {"height": 30}},
        {"fit": {"resize": "crop", "resize_to": 40}},
    ],
)
def test_another_contract_than_that_of_the_processor_is_refused(changes, tmp_path):
    name, contract = _saved(tmp_path, "ViTImageProcessor", size={"height": 32, "width": 32})
    if "fit" in changes:
        changes = {"fit": replace(contract.fit, **changes["fit"])}
    with pytest.raises(ModelRefused, match="to do as its file says, got other pixels") as refused:
        expect_as_read(tmp_path, name, replace(contract, **changes))
    assert "\n" not in str(refused.value)


def test_a_processor_that_does_not_run_is_refused(tmp_path):
    name, contract = _saved(tmp_path, "ViTImageProcessor")
    (tmp_path / "preprocessor_config.json").write_text("[")
    with pytest.raises(ModelRefused, match=r"an image processor that transformers .* runs"):
        expect_as_read(tmp_path, name, contract)
