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


def _square(side):
    return {"height": side, "width": side}


@pytest.mark.parametrize(
    "processor",
    [
        _processor("ViTImageProcessor", size={"height": 32, "width": 24}),
        _processor("ViTImageProcessor", size=_square(32), resample=0),
        _processor("ViTImageProcessor", size=_square(64), resample=3),
        _processor("ViTImageProcessor", size=_square(32), do_rescale=False),
        _processor("CLIPImageProcessor", size={"shortest_edge": 36}, crop_size=_square(32)),
        _processor("CLIPImageProcessor", size=_square(36), crop_size=_square(32)),
        _processor("BitImageProcessor", size=_square(48), crop_size={"height": 32, "width": 24}),
        _processor("ConvNextImageProcessor", size={"shortest_edge": 28}),
        _processor("ConvNextImageProcessor", size={"shortest_edge": 384}),
        _processor("PoolFormerImageProcessor", size={"shortest_edge": 36}, crop_size=_square(36)),
        _processor("LevitImageProcessor", size={"shortest_edge": 28}, crop_size=_square(28)),
        _processor("DeiTImageProcessor", size=_square(36), crop_size=_square(32)),
        _processor("EfficientNetImageProcessor", size=_square(32)),
        _processor("MobileNetV2ImageProcessor", size={"shortest_edge": 36}, crop_size=_square(32)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_image_is_fitted_as_the_processor_does_it(processor, tmp_path):
    processor.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "preprocessor_config.json").read_text())
    contract = merged([Said("the file", {**contract_of(config), "channels": 3})])
    for height, width in SIDES:
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


FULL = {
    "image_processor_type": "ViTImageProcessor",
    "do_resize": True,
    "size": {"height": 20, "width": 20},
    "resample": 2,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.5] * 3,
    "image_std": [0.5] * 3,
}
CROPPING = {
    **FULL,
    "image_processor_type": "CLIPImageProcessor",
    "size": {"shortest_edge": 24},
    "do_center_crop": True,
    "crop_size": {"height": 20, "width": 20},
}
CONVNEXT = {
    **FULL,
    "image_processor_type": "ConvNextImageProcessor",
    "size": {"shortest_edge": 28},
    "crop_pct": 0.875,
}
EFFICIENTNET = {
    **CROPPING,
    "image_processor_type": "EfficientNetImageProcessor",
    "size": FULL["size"],
    "rescale_offset": False,
    "include_top": True,
}


def test_a_step_that_is_off_is_named_too():
    off = {**FULL, "do_resize": False, "do_normalize": False}
    assert contract_of(off) == {"range": "0-1", "mean": (0.0,), "std": (1.0,)}
    assert contract_of({**FULL, "do_rescale": False, "do_normalize": False})["range"] == "0-255"
    assert merged([Said("the file", contract_of(FULL))]).fit == Fit(
        height=20, width=20, antialias=True
    )


@pytest.mark.parametrize(
    ("config", "keys"),
    [
        (FULL, FULL),
        (CROPPING, CROPPING),
        (CONVNEXT, ["crop_pct"]),
        (EFFICIENTNET, ["rescale_offset", "include_top", "do_center_crop"]),
    ],
    ids=["ViT", "CLIP", "ConvNext", "EfficientNet"],
)
def test_a_key_that_decides_must_be_there(config, keys):
    """The class's own values would apply: ViT normalises if the file does not say."""
    contract_of(config)
    for key in keys:
        for left in ({k: v for k, v in config.items() if k != key}, {**config, key: None}):
            with pytest.raises(ModelRefused, match=f"Expected {key} in preprocessor_config.json"):
                contract_of(left)


@pytest.mark.parametrize(
    "kind",
    [
        "Beit",
        "Bit",
        "CLIP",
        "ConvNext",
        "DeiT",
        "EfficientNet",
        "Levit",
        "MobileNetV1",
        "MobileNetV2",
        "PoolFormer",
        "Pvt",
        "Segformer",
        "Siglip",
        "ViT",
    ],
)
@pytest.mark.parametrize("backend", ["", "Fast", "Pil"])
def test_files_of_transformers_itself_have_every_key(kind, backend, tmp_path):
    if (cls := getattr(transformers, f"{kind}ImageProcessor{backend}", None)) is None:
        pytest.skip("not in this release")
    sized = {"size": {"height": 32, "width": 32}} if kind == "Segformer" else {}
    cls(**sized).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "preprocessor_config.json").read_text())
    assert contract_of(config).keys() >= {"range", "mean", "std", "height", "interpolation"}


@pytest.mark.parametrize("normalises", [True, False])
def test_efficientnet_divides_once_more_even_if_it_does_not_normalise(normalises):
    options = {k: v for k, v in EFFICIENTNET.items() if k != "image_processor_type"}
    options |= {"image_std": [0.25] * 3, "do_normalize": normalises, "do_center_crop": False}
    processor = _processor("EfficientNetImageProcessor", **options)
    said = contract_of({**options, "image_processor_type": "EfficientNetImageProcessor"})
    white = np.full((20, 20, 3), 255, np.uint8)
    expected = processor(white, return_tensors="pt")["pixel_values"].max()
    mean, std = said["mean"][0], said["std"][0]
    assert (1 - mean) / std == pytest.approx(float(expected), rel=1e-3)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"do_flip_channel_order": True}, "without do_flip_channel_order"),
        ({"do_pad": True}, "without do_pad"),
        ({"do_pad": [5]}, "without do_pad"),
        ({"data_format": "channels_last"}, "without data_format"),
        ({"size_divisor": 32}, "without size_divisor"),
        ({"do_normalize": 1}, "true or false as do_normalize"),
        ({"rescale_factor": 0.1}, "rescale_factor 1/255"),
        ({"size": {"shortest_edge": 20}}, "a centre crop after shortest_edge"),
        ({"size": {"longest_edge": 20}}, "size as height and width"),
        ({"size": {"shortest_edge": 20, "longest_edge": 40}}, "size as height and width"),
        ({"size": {"height": 20, "width": 10**400}}, "size as height and width"),
        ({"size": 20}, "size as height and width"),
        ({"size": "large"}, "size as height and width"),
        ({"size": {"height": True, "width": 9}}, "size as height and width"),
        ({"resample": 1}, r"resample 0 \(nearest\)"),
        ({"resample": []}, r"resample 0 \(nearest\)"),
        ({"resample": {}}, r"resample 0 \(nearest\)"),
        ({"resample": True}, r"resample 0 \(nearest\)"),
        ({"image_mean": ["a"]}, "1 or 3 numbers as image_mean"),
        ({"image_std": [True] * 3}, "1 or 3 numbers as image_std"),
        ({"image_std": [0.5, 0.5]}, "1 or 3 numbers as image_std"),
        ({"image_std": [0, 0, 0]}, "image_std from 1e-06"),
        ({"image_std": [-1] * 3}, "image_std from 1e-06"),
        ({"image_std": [1e-320] * 3}, "image_std from 1e-06"),
        ({"do_center_crop": True, "crop_size": 20}, "ViT without do_center_crop"),
        ({**CROPPING, "do_resize": False}, "an image processor that resizes"),
        (
            {**CROPPING, "size": FULL["size"], "crop_size": {"height": 30, "width": 30}},
            "a square size no smaller than crop_size",
        ),
        ({**CROPPING, "crop_size": {"shortest_edge": 9}}, "crop_size as height and width"),
        ({**CONVNEXT, "crop_pct": "a"}, "crop_pct of 0.01 to 1"),
        ({**CONVNEXT, "crop_pct": True}, "crop_pct of 0.01 to 1"),
        ({**CONVNEXT, "crop_pct": float("nan")}, "crop_pct of 0.01 to 1"),
        ({**CONVNEXT, "crop_pct": 1e-320}, "crop_pct of 0.01 to 1"),
        ({**CONVNEXT, "size": FULL["size"]}, "size as shortest_edge"),
        ({"image_processor_type": "PerceiverImageProcessor"}, "an image processor of Beit"),
        ({"image_processor_type": "PPLCNetImageProcessor"}, "an image processor of Beit"),
    ],
)
def test_a_step_that_no_contract_has_is_refused(config, message):
    with pytest.raises(
        ModelRefused, match=f"Expected .*{message}.* in preprocessor_config.json"
    ) as refused:
        contract_of({**FULL, **config})
    assert "log it with mlflow.pytorch" in str(refused.value)
    assert "\n" not in str(refused.value)
