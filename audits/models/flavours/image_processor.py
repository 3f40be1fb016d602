"""The input contract's fields in the preprocessor_config.json of transformers' image processors.

A key that the file leaves out has the default of the processor's class, which differs from class
to class and from release to release: every key that decides has to be in the file.
"""

import math
from collections.abc import Mapping
from typing import Any, NoReturn

from audits.errors import ModelRefused, quoted
from audits.models.contract import (
    LEAST_STD,
    MOST_SIDE,
    MOST_UNITS,
    finite_numbers,
    is_number,
    is_whole,
)

_RESAMPLE = {0: "nearest", 2: "bilinear", 3: "bicubic"}  # Pillow's numbers
_WHOLE_FROM = 384  # ConvNext stretches images of this size and above and crops no border
_LEVIT_SCALE = 256 / 224
_SAME_FACTOR = 1e-6  # of 1/255: files have it as a float or a double
# Classes whose steps are known: those with a centre crop, and those without.
_CROPPING = frozenset(
    {"Beit", "Bit", "CLIP", "DeiT", "EfficientNet", "Levit", "MobileNetV1", "MobileNetV2"}
    | {"MobileViT", "PoolFormer"}
)
_KINDS = _CROPPING | {"ConvNext", "Pvt", "Segformer", "Siglip", "ViT"}
# Keys of one class that switch on a step that no contract has; its default is on.
_OWN_SWITCHES = {"MobileViT": "do_flip_channel_order", "EfficientNet": "rescale_offset"}
# Steps that no contract can describe, with the values that switch them off.
_UNKNOWN_STEPS = {
    "do_flip_channel_order": (None, False),  # BGR
    "do_color_quantize": (None, False),
    "do_pad": (None, False),
    "do_thumbnail": (None, False),
    "do_align_long_axis": (None, False),
    "rescale_offset": (None, False),
    "data_format": (None, "channels_first"),
}
_READ = frozenset(
    {"do_resize", "size", "resample", "do_center_crop", "crop_size", "do_rescale"}
    | {"rescale_factor", "do_normalize", "image_mean", "image_std", "crop_pct", "include_top"}
)
# Keys that change no pixel of an RGB image that is given to a pipeline.
_HARMLESS = frozenset(
    {"image_processor_type", "feature_extractor_type", "processor_class", "do_convert_rgb"}
    | {"do_reduce_labels", "reduce_labels", "default_to_square", "disable_grouping"}
    | {"_valid_processor_keys"}
)
FIELDS = frozenset(
    {"range", "mean", "std", "height", "width", "resize", "resize_to", "interpolation", "antialias"}
)
"""The fields of a contract that an image processor decides, by its steps or by having none."""


def kind_of(name: object) -> str:
    """The class of an image processor without its endings: ViT of ViTImageProcessorFast."""
    kind = str(name).removesuffix("Fast").removesuffix("Pil")
    return kind.removesuffix("ImageProcessor").removesuffix("FeatureExtractor")


def kind_in(config: Mapping[str, Any]) -> str | None:
    """The class that the file names, as `kind_of` has it; None if it names none."""
    name = config.get("image_processor_type") or config.get("feature_extractor_type")
    return None if name is None else kind_of(name)


def contract_of(
    config: Mapping[str, Any], file: str = "preprocessor_config.json"
) -> dict[str, Any]:
    """The contract's fields that the file names. Raises ModelRefused for steps it cannot have.

    So it does if a key that decides is not there: transformers would take the class's own value.
    """
    try:
        return _contract(config)
    except _NotSuited as error:
        raise ModelRefused(
            f"Expected {error.expected} in {file}, got {error.got}. Wrap the network so that it "
            "takes RGB images that are resized and normalised alone, and log it with "
            "mlflow.pytorch."
        ) from error
    except _LeftOut as error:
        raise ModelRefused(
            f"Expected {error} in {file}, got none, so that transformers takes a value of "
            "its own. Write it into the file, and log the model again."
        ) from error


class _LeftOut(Exception):
    """Its text is the key."""


class _NotSuited(Exception):
    def __init__(self, expected: str, got: str):
        super().__init__(expected, got)
        self.expected, self.got = expected, got


def _contract(config: Mapping[str, Any]) -> dict[str, Any]:
    if (kind := kind_in(config)) is None:
        raise _LeftOut("image_processor_type")
    if kind not in _KINDS:
        _refuse(f"an image processor of {', '.join(sorted(_KINDS))}", kind)
    if (switch := _OWN_SWITCHES.get(kind)) is not None:
        _value(config, switch)
    for step, off in _UNKNOWN_STEPS.items():
        if config.get(step) not in off:
            _refuse(f"an image processor without {step}", config[step])
    known = _READ | _HARMLESS | _UNKNOWN_STEPS.keys()
    for key, value in config.items():
        if key not in known and value is not None:
            _refuse(f"an image processor without {str(key)[:40]}", value)
    return {**_normalisation(config, kind), **_resize(config, kind)}


def _normalisation(config: Mapping[str, Any], kind: str) -> dict[str, Any]:
    said: dict[str, Any] = {"range": "0-255", "mean": (0.0,), "std": (1.0,)}
    if _switch(config, "do_rescale"):
        factor = _value(config, "rescale_factor")
        if not is_number(factor) or not math.isclose(factor, 1 / 255, rel_tol=_SAME_FACTOR):
            _refuse("rescale_factor 1/255", factor)
        said["range"] = "0-1"
    if kind == "MobileViT":  # has no such step, and names none
        if config.get("do_normalize"):
            _refuse("an image processor MobileViT without do_normalize", config["do_normalize"])
    elif _switch(config, "do_normalize"):
        said |= {name: _numbers(config, f"image_{name}") for name in ("mean", "std")}
    if kind == "EfficientNet" and _switch(config, "include_top"):
        # The processor divides by std once more, also if it has not been asked to normalise.
        again = _numbers(config, "image_std")
        said["std"] = tuple(std**2 for std in again) if _switch(config, "do_normalize") else again
    return said


def _resize(config: Mapping[str, Any], kind: str) -> dict[str, Any]:
    crops = _crops(config, kind)
    if not _switch(config, "do_resize"):
        if crops:
            _refuse("an image processor that resizes", "do_resize: false with a centre crop")
        return {}
    resample = _value(config, "resample")
    if not is_whole(resample) or resample not in _RESAMPLE:
        _refuse("resample 0 (nearest), 2 (bilinear) or 3 (bicubic)", resample)
    # transformers shrinks with Pillow, or with torchvision's antialias.
    how = {"interpolation": _RESAMPLE[resample], "antialias": True}
    return {**_fitted(config, kind, crops), **how}


def _crops(config: Mapping[str, Any], kind: str) -> bool:
    if kind in _CROPPING:
        return _switch(config, "do_center_crop")
    if config.get("do_center_crop") not in (None, False):
        _refuse(f"an image processor {kind} without do_center_crop", config["do_center_crop"])
    return False


def _fitted(config: Mapping[str, Any], kind: str, crops: bool) -> dict[str, Any]:
    size = _sides(config, "size")
    shortest = size.get("shortest_edge")
    if kind in ("ConvNext", "PoolFormer"):
        if shortest is None:
            _refuse(f"size as shortest_edge for {kind}", size)
        return _share_cropped(config, shortest, kind, crops)
    if kind == "Levit" and shortest is not None:
        shortest = int(_LEVIT_SCALE * shortest)
    if shortest is not None:
        if not crops:
            _refuse("a centre crop after shortest_edge", "none, so images have several sizes")
        return {**_crop(config), "resize": "crop", "resize_to": shortest}
    if crops and (crop := _crop(config)) != size:
        return _stretched_then_cropped(size, crop)
    return {**size, "resize": "stretch"}


def _share_cropped(
    config: Mapping[str, Any], shortest: int, kind: str, crops: bool
) -> dict[str, Any]:
    square = {"height": shortest, "width": shortest}
    if kind == "ConvNext" and shortest >= _WHOLE_FROM:
        return {**square, "resize": "stretch"}
    share = _value(config, "crop_pct")
    if not is_number(share) or not 0.01 <= share <= 1:
        _refuse("crop_pct of 0.01 to 1", share)
    if kind == "PoolFormer" and not crops:
        _refuse("a centre crop after shortest_edge", "none, so images have several sizes")
    box = _crop(config) if kind == "PoolFormer" else square
    return {**box, "resize": "crop", "resize_to": int(shortest / share)}


def _stretched_then_cropped(size: Mapping[str, int], crop: Mapping[str, int]) -> dict[str, Any]:
    """A stretch to a square, then its centre."""
    if size["height"] != size["width"] or max(crop.values()) > size["height"]:
        _refuse("a square size no smaller than crop_size", f"{dict(size)} and {dict(crop)}")
    return {**crop, "resize": "squash", "resize_to": size["height"]}


def _crop(config: Mapping[str, Any]) -> dict[str, int]:
    crop = _sides(config, "crop_size")
    if "height" not in crop:
        _refuse("crop_size as height and width", crop)
    return crop


def _sides(config: Mapping[str, Any], name: str) -> dict[str, int]:
    """Height and width, or shortest_edge. A number alone means either, by the class."""
    value = _value(config, name)
    if isinstance(value, Mapping):
        sides = {str(key): side for key, side in value.items() if side is not None}
        whole = all(is_whole(side) and 0 < side <= MOST_SIDE for side in sides.values())
        if whole and sides.keys() in ({"height", "width"}, {"shortest_edge"}):
            return sides
    _refuse(f"{name} as height and width, or as shortest_edge, of 1 to {MOST_SIDE} pixels", value)


def _numbers(config: Mapping[str, Any], name: str) -> tuple[float, ...]:
    value = _value(config, name)
    numbers = finite_numbers(value)
    if numbers is None or len(numbers) not in (1, 3):
        _refuse(f"1 or 3 numbers as {name}", value)
    least = LEAST_STD if name == "image_std" else -MOST_UNITS
    if not all(least <= number <= MOST_UNITS for number in numbers):
        _refuse(f"{name} from {least:g} to {MOST_UNITS:g}", value)
    return numbers


def _switch(config: Mapping[str, Any], name: str) -> bool:
    value = _value(config, name)
    if not isinstance(value, bool):
        _refuse(f"true or false as {name}", value)
    return value


def _value(config: Mapping[str, Any], name: str) -> Any:
    """A value that decides. Raises _LeftOut if the file has none, or null."""
    if (value := config.get(name)) is None:
        raise _LeftOut(name)
    return value


def _refuse(expected: str, got: object) -> NoReturn:
    raise _NotSuited(expected, quoted(got))
