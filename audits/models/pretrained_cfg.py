"""The input contract's fields in timm's `pretrained_cfg`, the record of how a network is fed."""

import math
from collections.abc import Mapping
from typing import Any, NoReturn

from audits.errors import ModelRefused
from audits.models.contract import Said, finite_numbers, is_number, is_whole

SOURCE = "timm's pretrained_cfg in the model's metadata"
_RULES = {"center": "crop", "squash": "squash"}  # timm's crop modes
_INTERPOLATIONS = ("nearest", "bilinear", "bicubic")


def said_by_pretrained_cfg(cfg: Any, by: str = SOURCE) -> Said:
    """Size, resize rule, interpolation, mean, std and label names, as timm's evaluation takes them.

    `cfg` is the value of `pretrained_cfg`, None if there is none. Raises ModelRefused if a value
    makes no sense, or if it asks for a resize rule that no contract has.
    """
    if cfg is None:
        return Said(by, {})
    if not isinstance(cfg, Mapping):
        _refuse("a mapping", cfg)
    said: dict[str, Any] = {
        name: _numbers(cfg[name], name) for name in ("mean", "std") if cfg.get(name) is not None
    }
    if said:
        said["range"] = "0-1"
    if (interpolation := cfg.get("interpolation")) in _INTERPOLATIONS:
        said["interpolation"] = interpolation
    elif interpolation not in (None, "random"):
        _refuse(f"interpolation {', '.join(_INTERPOLATIONS)}", interpolation)
    said |= _size(cfg)
    if (names := cfg.get("label_names")) and isinstance(names, list | tuple):
        said["classes"] = tuple(str(name) for name in names)
    return Said(by, said)


def _size(cfg: Mapping[str, Any]) -> dict[str, Any]:
    """Channels, height, width and the resize rule: as timm.data.create_transform has it."""
    given = cfg.get("input_size")
    if given is None:
        return {}
    if not isinstance(given, list | tuple) or len(given) != 3:
        _refuse("input_size (channels, height, width)", given)
    if not all(is_whole(side) and side > 0 for side in given):
        _refuse("input_size (channels, height, width)", given)
    channels, height, width = given
    share, mode = cfg.get("crop_pct", 0.875), cfg.get("crop_mode", "center")
    if not is_number(share) or not 0.01 <= share <= 1:
        _refuse("crop_pct of 0.01 to 1", share)
    if mode == "squash" and share == 1:
        rule: dict[str, Any] = {"resize": "stretch"}
    elif mode in _RULES and height == width:
        rule = {"resize": _RULES[mode], "resize_to": math.floor(height / share)}
    else:
        _refuse(
            "crop_mode center or squash of a square, or squash with crop_pct 1",
            f"{mode} of {height} x {width} with crop_pct {share}",
        )
    return {"channels": channels, "height": height, "width": width, "antialias": True, **rule}


def _numbers(value: Any, name: str) -> tuple[float, ...]:
    numbers = finite_numbers(value)
    if numbers is None:
        _refuse(f"numbers as {name}", value)
    return numbers


def _refuse(expected: str, got: object) -> NoReturn:
    raise ModelRefused(
        f"Expected {expected} in timm's pretrained_cfg, got {str(got)[:60]!r}. Correct it, or log "
        "the model without it and name these fields under preprocessing."
    )
