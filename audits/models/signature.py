"""The input contract's fields that a model's signature fixes: size, layout, dtype, batch."""

from typing import Any

from mlflow.models import Model

from audits.data.imageset import MOST_CLASSES
from audits.errors import ModelRefused
from audits.models.contract import SIGNATURE, WHOLE_NUMBERS, Said

_DTYPES = (*WHOLE_NUMBERS, "float16", "float32", "float64")
_CHANNELS = (1, 3)


def said_by_signature(conf: Model) -> Said:
    """Size, layout and dtype of a signature of one image tensor.

    A signature of columns (a data frame) says nothing. Raises ModelRefused if the signature is not
    that of an image tensor.
    """
    inputs = conf.signature.inputs if conf.signature else None
    if inputs is None or not inputs.is_tensor_spec():
        return Said(SIGNATURE, {})
    specs = inputs.inputs
    if len(specs) != 1 or len(specs[0].shape) not in (2, 3, 4):
        raise ModelRefused(
            "Expected a signature of one image tensor (N, C, H, W), got "
            f"{', '.join(str(s) for s in specs)}."
        )
    return said_by_tensor(str(specs[0].type), tuple(specs[0].shape))


def said_by_tensor(dtype: str, shape: tuple[int, ...], by: str = SIGNATURE) -> Said:
    """Size, layout and dtype of a model's input tensor; -1 is any length.

    Raises ModelRefused if that is no tensor of images.
    """
    if dtype not in _DTYPES:
        raise ModelRefused(
            f"Expected a model of images in floats or in {', '.join(WHOLE_NUMBERS)}, got a "
            f"signature of {dtype}."
        )
    _, *sides = (None if side == -1 else int(side) for side in shape)
    return Said(by, {"dtype": dtype, **_sides(sides, shape)})


def _sides(sides: list[int | None], shape: tuple[Any, ...]) -> dict[str, Any]:
    if any(side is not None and side < 1 for side in sides):
        raise ModelRefused(
            f"Expected a signature with sides of at least 1, or -1 for any, got {shape}. "
            "Log the model with its right signature."
        )
    if len(sides) == 1:
        return {"layout": "flat", **_square(sides[0], shape)}
    if len(sides) == 2:
        return {"layout": "NHW", "channels": 1, "height": sides[0], "width": sides[1]}
    if sides == [None, None, None]:
        return {}
    first, height, width = sides
    if first in _CHANNELS or (first is None and width not in _CHANNELS):
        return {"layout": "NCHW", "channels": first, "height": height, "width": width}
    if sides[2] in _CHANNELS:
        return {"layout": "NHWC", "channels": sides[2], "height": sides[0], "width": sides[1]}
    raise ModelRefused(
        "Expected a model of 1 or 3 channels, (N, C, H, W) or (N, H, W, C), got a signature of "
        f"{shape}."
    )


def _square(length: int | None, shape: tuple[Any, ...]) -> dict[str, Any]:
    """Height and width of a grey image that is given as one row of pixels."""
    side = round((length or 0) ** 0.5)
    if length is None or side * side != length:
        raise ModelRefused(
            f"Expected a signature of images (N, C, H, W), or of square grey images as rows, got "
            f"{shape}. Log a model that takes images."
        )
    return {"channels": 1, "height": side, "width": side}


def logits_of(conf: Model) -> int | None:
    """The number of logits, from a signature whose output is one array (N, K), K > 1.

    Raises ModelRefused if there are more than any classifier has.
    """
    outputs = conf.signature.outputs if conf.signature else None
    shapes = [getattr(spec, "shape", None) for spec in outputs.inputs] if outputs else []
    if len(shapes) == 1 and shapes[0] is not None and len(shapes[0]) == 2 and shapes[0][1] > 1:
        if shapes[0][1] > MOST_CLASSES:
            raise ModelRefused(
                f"Expected a signature of at most {MOST_CLASSES:,} logits, got {shapes[0][1]:,}. "
                "Log the model again."
            )
        return int(shapes[0][1])
    return None
