"""Tries the image processor of a transformers model. This runs in the child process alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from audits.data.fit import fitted
from audits.errors import ModelRefused, one_line
from audits.models.contract import InputContract

# In units of pixels in [0, 1]. Chosen after looking: crops that lie half a pixel beside, and
# rounding to 8 bits, make at most 0.022, over all known classes with sizes from 28 to 512.
_TOLERANCE = 0.03
_SHAPES = ((1, 1), (1, 2), (2, 1))
_RAMP = 0.5  # from one side of an image to the other, so that half a pixel matters little


def expect_as_read(folder: Path, name: str | None, contract: InputContract) -> None:
    """Raises ModelRefused unless the processor feeds a network as `contract` says.

    `folder` has the processor's file, and `name` is its class in MLmodel, if it is a component.
    Images of one colour, or with a ramp, are given to the processor that MLflow would load.
    """
    import transformers

    cls: Any = getattr(transformers, str(name), transformers.AutoImageProcessor)
    side = 2 * max(contract.fit.height or 16, contract.fit.width or 16)
    images = _images(side)
    try:
        processor = cls.from_pretrained(str(folder), local_files_only=True)
        given = [_given(processor, image) for image in images]
    except (OSError, ValueError, RuntimeError, TypeError, KeyError, ImportError) as error:
        raise ModelRefused(
            f"Expected an image processor that transformers {transformers.__version__} runs, got "
            f"{type(error).__name__}: {one_line(error)[:200]}. Install the version that the "
            "model's requirements name, or log the model again."
        ) from error
    for image, processed in zip(images, given, strict=True):
        expected = fitted(image.permute(2, 0, 1) / 255, contract.fit)
        mean, std = (
            torch.tensor(values).reshape(-1, 1, 1)
            for values in (contract.pixel_mean, contract.pixel_std)
        )
        pixels = processed.float() * std + mean
        if pixels.shape != expected.shape or not (pixels - expected).abs().max() <= _TOLERANCE:
            raise ModelRefused(
                f"Expected {type(processor).__name__} of transformers {transformers.__version__} "
                "to do as its file says, got other pixels from it than the contract gives. Log "
                "the network as pt2 with mlflow.pytorch, and name what its processor does under "
                "preprocessing."
            )


def _given(processor: Any, image: Tensor) -> Tensor:
    from PIL import Image

    batch: Mapping[str, Any] = processor(Image.fromarray(image.numpy()), return_tensors="pt")
    pixels: Tensor = batch["pixel_values"][0]
    return pixels


def _images(side: int) -> list[Tensor]:
    """Images, uint8 (H, W, 3): five colours, and three ramps, square, wide and high."""
    colours = torch.tensor([[0, 0, 0], [1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    plain = [colour.expand(side, side, 3).float() for colour in colours]
    ramps = [ramp for sides in _SHAPES for ramp in _ramps(side * sides[0], side * sides[1])]
    return [(image * 255).round().to(torch.uint8).contiguous() for image in [*plain, *ramps]]


def _ramps(height: int, width: int) -> list[Tensor]:
    down = _RAMP * torch.linspace(0, 1, height)[:, None, None].expand(height, width, 3)
    along = _RAMP * torch.linspace(0, 1, width)[None, :, None].expand(height, width, 3)
    return [down, 1 - along, (down + along) / 2 + 0.25]
