"""By the contract of a preprocessor_config.json an image is fitted as transformers fits it."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from audits.data.fit import Fit, fitted
from audits.errors import ModelRefused
from audits.models.contract import Said, merged
from audits.models.flavours.image_processor import contract_of

transformers = pytest.importorskip("transformers")

# transformers rounds an odd border down, torchvision to even: these sizes leave even borders.
SIDES = [(40, 56), (58, 40), (48, 48)]


def _image(height, width):
    """A smooth picture, so that rounding to 8 bits between steps makes little difference."""
    down, across = np.mgrid[0:height, 0:width]
    waves = [np.sin(down / a) * np.cos(across / b) for a, b in ((5, 7), (9, 4), (6, 11))]
    return np.uint8(127 + 120 * np.stack(waves, axis=-1))


def _processor(name, **options):
    return getattr(transformers, name)(**options)


@pytest.mark.parametrize(
    ("processor", "square"),
    [
        (_processor("ViTImageProcessor", size={"height": 32, "width": 24}), False),
        (_processor("ViTImageProcessor", size={"height": 32, "width": 32}, resample=0), False),
        (_processor("ViTImageProcessor", size={"height": 64, "width": 64}, resample=3), False),
        (
            _processor("ViTImageProcessor", size={"height": 32, "width": 32}, do_rescale=False),
            False,
        ),
        (
            _processor(
                "CLIPImageProcessor",
                size={"shortest_edge": 36},
                crop_size={"height": 32, "width": 32},
            ),
            False,
        ),
        (_processor("ConvNextImageProcessor", size={"shortest_edge": 28}), False),
        (_processor("ConvNextImageProcessor", size={"shortest_edge": 384}), False),
        (
            _processor(
                "PoolFormerImageProcessor",
                size={"shortest_edge": 36},
                crop_size={"height": 36, "width": 36},
            ),
            False,
        ),
        (
            _processor(
                "LevitImageProcessor",
                size={"shortest_edge": 28},
                crop_size={"height": 28, "width": 28},
            ),
            False,
        ),
        (
            _processor(
                "DeiTImageProcessor",
                size={"height": 36, "width": 36},
                crop_size={"height": 32, "width": 32},
            ),
            True,
        ),
        (_processor("EfficientNetImageProcessor", size={"height": 32, "width": 32}), False),
        (
            _processor(
                "MobileNetV2ImageProcessor",
                size={"shortest_edge": 36},
                crop_size={"height": 32, "width": 32},
            ),
            False,
        ),
    ],
    ids=lambda value: "" if isinstance(value, bool) else type(value).__name__,
)
def test_an_image_is_fitted_as_the_processor_does_it(processor, square, tmp_path):
    processor.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "preprocessor_config.json").read_text())
    contract = merged([Said("the file", {**contract_of(config), "channels": 3})])
    for height, width in SIDES[2:] if square else SIDES:
        image = _image(height, width)
        expected = processor(Image.fromarray(image), return_tensors="pt")["pixel_values"][0]
        pixels = fitted(torch.from_numpy(image).permute(2, 0, 1) / 255, contract.fit)
        mean, std = (
            torch.tensor(values).reshape(-1, 1, 1)
            for values in (contract.pixel_mean, contract.pixel_std)
        )
        given = (pixels - mean) / std
        assert given.shape == expected.shape
        # transformers may round to 8 bits after the resize: a step is 1/255 / std.
        assert (given - expected).abs().max() <= 1.5 / 255 / std.min()


def test_what_the_file_does_not_name_is_left_open():
    assert contract_of({"do_resize": False}) == {"range": "0-1"}
    assert merged([Said("the file", contract_of({"size": 20}))]).fit == Fit(height=20, width=20)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"do_flip_channel_order": True}, "without do_flip_channel_order"),
        ({"do_pad": True}, "without do_pad"),
        ({"rescale_factor": 0.1}, "rescale_factor 1/255"),
        ({"size": {"shortest_edge": 20}}, "a centre crop after shortest_edge"),
        ({"size": {"longest_edge": 20}}, "size as height and width"),
        ({"size": "large"}, "whole numbers as size"),
        ({"size": 20, "resample": 1}, r"resample 0 \(nearest\)"),
        ({"do_normalize": True, "image_mean": ["a"]}, "numbers as image_mean"),
        ({"do_normalize": True, "image_std": [True] * 3}, "numbers as image_std"),
        ({"size": {"height": True, "width": 9}}, "whole numbers as size"),
        (
            {"do_resize": False, "do_center_crop": True, "crop_size": 20},
            "an image processor that resizes",
        ),
        (
            {"size": 20, "do_center_crop": True, "crop_size": 30},
            "a square size no smaller than crop_size",
        ),
        (
            {"image_processor_type": "PerceiverImageProcessor", "size": 20, "crop_size": 24},
            "resizes and then crops",
        ),
    ],
)
def test_a_step_that_no_contract_has_is_refused(config, message):
    with pytest.raises(ModelRefused, match=f"Expected .*{message}") as refused:
        contract_of(config)
    assert "log it with mlflow.pytorch" in str(refused.value)
    assert "\n" not in str(refused.value)
