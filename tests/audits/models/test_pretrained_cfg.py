"""timm's pretrained_cfg becomes a contract under which images are fitted as timm does it."""

import mlflow
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from audits.data.fit import fitted
from audits.errors import ModelRefused
from audits.models.contract import merged
from audits.models.files import inspect
from audits.models.preprocessing import Preprocessing
from audits.models.pretrained_cfg import SOURCE, said_by_pretrained_cfg

CFG = {"mean": [0.5, 0.4, 0.3], "std": (0.2, 0.3, 0.4), "interpolation": "bilinear"}


@pytest.mark.parametrize(
    "options",
    [
        {"input_size": (3, 32, 32), "crop_pct": 0.9},
        {"input_size": (3, 32, 32)},
        {"input_size": (3, 36, 36), "crop_pct": 1.0, "interpolation": "bicubic"},
        {"input_size": (3, 32, 24), "crop_pct": 1.0, "crop_mode": "squash"},
        {"input_size": (3, 32, 32), "crop_pct": 0.8, "crop_mode": "squash"},
    ],
)
@pytest.mark.parametrize(("height", "width"), [(40, 56), (57, 41), (48, 48)])
def test_an_image_is_fitted_as_timm_does_it(options, height, width):
    timm_data = pytest.importorskip("timm.data")
    cfg = {**CFG, **options}
    contract = merged([said_by_pretrained_cfg(cfg)])
    resolved = timm_data.resolve_data_config({}, pretrained_cfg=cfg)
    down, across = np.mgrid[0:height, 0:width]
    image = np.uint8(127 + 120 * np.stack([np.sin(down / a + across / 7) for a in (5, 8, 11)], -1))
    expected = timm_data.create_transform(**resolved)(Image.fromarray(image))
    pixels = fitted(torch.from_numpy(image).permute(2, 0, 1) / 255, contract.fit)
    mean, std = (torch.tensor(v).reshape(3, 1, 1) for v in (contract.mean, contract.std))
    given = (pixels - mean) / std
    assert given.shape == expected.shape
    # Pillow rounds to 8 bits after each direction of the resize.
    assert (given - expected).abs().max() <= 2 / 255 / std.min()


def test_names_and_what_is_left_open():
    assert said_by_pretrained_cfg(None).values == {}
    assert said_by_pretrained_cfg({"architecture": "resnet18"}).values == {}
    said = said_by_pretrained_cfg({"label_names": ["cat", "dog"], "interpolation": "random"})
    assert said.values == {"classes": ("cat", "dog")}


def test_it_is_read_from_the_metadata_of_any_flavour(tmp_path):
    mlflow.pytorch.save_model(
        nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 10)).eval(),
        str(tmp_path / "model"),
        input_example=np.zeros((2, 3, 32, 32), np.float32),
        metadata={"pretrained_cfg": {**CFG, "std": [0.2, 0.3, 0.4], "input_size": [3, 32, 32]}},
        pip_requirements=["torch"],
        serialization_format="pt2",
    )
    contract = inspect(tmp_path / "model", Preprocessing()).contract
    assert contract.source("mean") == SOURCE
    assert (contract.fit.resize, contract.fit.resize_to) == ("crop", 36)  # floor(32 / .875)
    assert contract.questions == ()


@pytest.mark.parametrize(
    ("cfg", "message"),
    [
        ("resnet18", "Expected a mapping"),
        ({"mean": ["a"]}, "Expected numbers as mean"),
        ({"interpolation": "lanczos"}, "Expected interpolation nearest, bilinear, bicubic"),
        ({"input_size": [3, 32]}, "Expected input_size"),
        ({"input_size": [3, 32, 0]}, "Expected input_size"),
        ({"input_size": [3, 32, 32], "crop_pct": 2}, "Expected crop_pct"),
        ({"input_size": [3, 32, 32], "crop_pct": 1e-320}, "Expected crop_pct"),
        ({"input_size": [3, 32, 32], "crop_mode": "border"}, "Expected crop_mode center or squash"),
        ({"input_size": [3, 32, 24]}, "Expected crop_mode center or squash of a square"),
    ],
)
def test_values_that_no_contract_has_are_refused(cfg, message):
    with pytest.raises(ModelRefused, match=message) as refused:
        said_by_pretrained_cfg(cfg)
    assert "under preprocessing" in str(refused.value)
