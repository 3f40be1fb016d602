"""The input contract's fields in the preprocessor_config.json of transformers' image processors."""

import math
from collections.abc import Mapping
from typing import Any, NoReturn

from audits.errors import ModelRefused
from audits.models.contract import finite_numbers, is_number, is_whole

_RESAMPLE = {0: "nearest", 2: "bilinear", 3: "bicubic"}  # Pillow's numbers
_CROP_SHARE = 224 / 256  # of ConvNext and PoolFormer, if the file names none
_WHOLE_FROM = 384  # ConvNext stretches images of this size and above and crops no border
_LEVIT_SCALE = 256 / 224
# Steps that no contract can describe, with the values that switch them off.
_UNKNOWN_STEPS = {
    "do_flip_channel_order": (None, False),  # BGR
    "do_color_quantize": (None, False),
    "do_pad": (None, False),
    "do_thumbnail": (None, False),
    "do_align_long_axis": (None, False),
    "rescale_offset": (None, False),
}


def contract_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """The contract's fields that the file names. Raises ModelRefused for steps it cannot have."""
    kind = str(config.get("image_processor_type") or config.get("feature_extractor_type") or "")
    kind = kind.removesuffix("Fast").removesuffix("Pil")
    kind = kind.removesuffix("ImageProcessor").removesuffix("FeatureExtractor")
    for step, off in _UNKNOWN_STEPS.items():
        if config.get(step) not in off:
            _refuse(f"an image processor without {step}", config[step])
    said = {**_normalisation(config), **_resize(config, kind)}
    if kind == "EfficientNet" and config.get("include_top") and "std" in said:
        said["std"] = tuple(std**2 for std in said["std"])  # the processor divides by std twice
    if "height" in said and (resample := config.get("resample")) is not None:
        if resample not in _RESAMPLE:
            _refuse("resample 0 (nearest), 2 (bilinear) or 3 (bicubic)", resample)
        # transformers shrinks with Pillow, or with torchvision's antialias.
        said |= {"interpolation": _RESAMPLE[resample], "antialias": True}
    return said


def _normalisation(config: Mapping[str, Any]) -> dict[str, Any]:
    said: dict[str, Any] = {}
    if config.get("do_rescale", True):
        factor = config.get("rescale_factor", 1 / 255)
        if not is_number(factor) or not math.isclose(factor, 1 / 255, rel_tol=1e-3):
            _refuse("rescale_factor 1/255", factor)
        said["range"] = "0-1"
    else:
        said["range"] = "0-255"
    if config.get("do_normalize"):
        for name in ("mean", "std"):
            if (value := config.get(f"image_{name}")) is not None:
                said[name] = _numbers(value, f"image_{name}")
    return said


def _resize(config: Mapping[str, Any], kind: str) -> dict[str, Any]:
    size, crop = _sides(config.get("size")), _sides(config.get("crop_size"))
    if not config.get("do_resize", True):
        if not config.get("do_center_crop") or crop is None:
            return {}
        _refuse("an image processor that resizes", "do_resize: false with a centre crop")
    if size is None:
        return {}
    shortest = size.get("shortest_edge")
    if kind in ("ConvNext", "PoolFormer") and shortest is not None:
        return _share_cropped(config, shortest, kind)
    if kind == "Perceiver" and config.get("do_center_crop", True):
        _refuse("an image processor that resizes and then crops", "Perceiver's, which crops first")
    if kind == "Levit" and shortest is not None:
        shortest = int(_LEVIT_SCALE * shortest)
    if shortest is not None:
        if not config.get("do_center_crop") or crop is None:
            _refuse("a centre crop after shortest_edge", "none, so images have several sizes")
        return {**_box(crop), "resize": "crop", "resize_to": shortest}
    if "height" not in size:
        _refuse("size as height and width, or as shortest_edge", dict(size))
    if config.get("do_center_crop") and crop is not None and _box(crop) != _box(size):
        return _stretched_then_cropped(size, crop)
    return {**_box(size), "resize": "stretch"}


def _share_cropped(config: Mapping[str, Any], shortest: int, kind: str) -> dict[str, Any]:
    crop = _sides(config.get("crop_size")) or {"shortest_edge": shortest}
    square = {"height": shortest, "width": shortest}
    if kind == "ConvNext" and shortest >= _WHOLE_FROM:
        return {**square, "resize": "stretch"}
    share = config.get("crop_pct") or _CROP_SHARE
    if not is_number(share) or not 0 < share <= 1:
        _refuse("crop_pct above 0 and at most 1", share)
    box = _box(crop) if kind == "PoolFormer" else square
    return {**box, "resize": "crop", "resize_to": int(shortest / share)}


def _stretched_then_cropped(size: Mapping[str, int], crop: Mapping[str, int]) -> dict[str, Any]:
    """A stretch to a square, then its centre: exact for square images; others keep their shape."""
    inner = _box(crop)
    if size["height"] != size["width"] or inner["height"] > size["height"]:
        _refuse("a square size no smaller than crop_size", f"{dict(size)} and {dict(crop)}")
    return {**inner, "resize": "crop", "resize_to": size["height"]}


def _sides(value: Any) -> dict[str, int] | None:
    """A size as transformers writes it: a number, or a mapping of sides."""
    if value is None:
        return None
    if is_whole(value):
        return {"height": value, "width": value}
    if isinstance(value, Mapping):
        sides = {str(name): side for name, side in value.items() if side is not None}
        if sides and all(is_whole(side) and side > 0 for side in sides.values()):
            return sides
    _refuse("whole numbers as size", value)


def _box(sides: Mapping[str, int]) -> dict[str, int]:
    edge = sides.get("shortest_edge")
    return {"height": sides.get("height", edge or 0), "width": sides.get("width", edge or 0)}


def _numbers(value: Any, name: str) -> tuple[float, ...]:
    numbers = finite_numbers(value)
    if numbers is None:
        _refuse(f"numbers as {name}", value)
    return numbers


def _refuse(expected: str, got: object) -> NoReturn:
    raise ModelRefused(
        f"Expected {expected} in preprocessor_config.json, got {str(got)[:60]!r}. Wrap the network "
        "so that it takes RGB images that are resized and normalised alone, and log it with "
        "mlflow.pytorch."
    )
