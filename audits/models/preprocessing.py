"""Preprocessing: the fields of the input contract that a config or a model's metadata may name."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from audits.data.fit import Interpolation, Resize
from audits.data.imageset import MOST_CLASSES
from audits.errors import quoted
from audits.models.contract import (
    LEAST_STD,
    MOST_CHANNELS,
    MOST_SIDE,
    MOST_UNITS,
    Layout,
    Outputs,
    Range,
)
from audits.strict import Count, PlaceName, Share, Strict


def _as_tuple(value: Any) -> Any:
    """A strict tuple takes a list from JSON, but not from a validator."""
    if isinstance(value, list | tuple):
        if not value:
            raise ValueError("expected at least one number")
        return tuple(value)
    return (value,) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _as_size(value: Any) -> Any:
    if not isinstance(value, int) or isinstance(value, bool):
        return _as_tuple(value)
    if not 0 < value <= MOST_SIDE:  # here, so that it is told once
        raise ValueError(f"expected sides of 1 to {MOST_SIDE} pixels, got {quoted(value)}")
    return value, value


_Mean = Annotated[float, Field(ge=-MOST_UNITS, le=MOST_UNITS)]
_Std = Annotated[float, Field(ge=LEAST_STD, le=MOST_UNITS)]
_Channels = Field(max_length=MOST_CHANNELS)
_Side = Annotated[int, Field(gt=0, le=MOST_SIDE)]
Numbers = Annotated[tuple[_Mean, ...], _Channels, BeforeValidator(_as_tuple)]
Scales = Annotated[tuple[_Std, ...], _Channels, BeforeValidator(_as_tuple)]


def _expect_class(value: Any) -> Any:
    if isinstance(value, str) or (type(value) is int and 0 <= value < MOST_CLASSES):
        return value
    raise ValueError(f"expected the name or the index of a class of the model, got {quoted(value)}")


NameOrIndex = Annotated[str | int, BeforeValidator(_expect_class)]
"""A class of the model: its name, or its index from 0 in the order of the logits."""


class Preprocessing(Strict):
    """How an image becomes the network's input. Every field that is named here is not asked for."""

    mean: Numbers | None = Field(default=None, description="in the units of `range`")
    std: Scales | None = Field(default=None, description="in the units of `range`")
    range: Range | None = Field(default=None, description="of pixels before mean and std")
    size: Annotated[tuple[_Side, _Side], BeforeValidator(_as_size)] | None = Field(
        default=None, description="height and width, or one number for both"
    )
    channels: Count | None = Field(default=None, le=3)
    resize: Resize | None = Field(
        default=None,
        description="stretch; crop: shorter side to `resize_to`, then centre; squash: both sides "
        "to `resize_to`, then centre; pad",
    )
    resize_to: _Side | None = Field(default=None, description="pixels, of crop and squash")
    interpolation: Interpolation | None = None
    antialias: bool | None = None
    exif: bool | None = Field(default=None, description="rotate images as their EXIF tag says")
    alpha: (
        Annotated[tuple[Share, Share, Share], BeforeValidator(_as_tuple)] | Literal["drop"] | None
    ) = Field(
        default=None,
        description="colour in [0, 1] behind transparent parts; drop: the colours stored there",
    )
    layout: Layout | None = None
    dtype: str | None = Field(
        default=None,
        pattern="^(uint8|int32|int64|float16|bfloat16|float32|float64)$",
        description="of inputs",
    )
    classes: tuple[str, ...] | None = Field(  # in the order of the logits
        default=None, min_length=1, max_length=MOST_CLASSES
    )
    classes_file: PlaceName | None = Field(
        default=None,
        description="text or JSON file with the class names, relative to the working directory",
    )
    class_map: dict[str, NameOrIndex] | None = Field(
        default=None,
        max_length=MOST_CLASSES,
        description="for a class of the data: the name or the index of the model's class",
    )
    outputs: Outputs | None = Field(
        default=None,
        description="the values that the network gives; recognised by default, and needed if that "
        "is ambiguous",
    )
    overrides: bool = Field(
        default=True, description="false: values of the model's own files come first"
    )

    @model_validator(mode="after")
    def _named_once(self) -> Self:
        if self.classes is not None and self.classes_file is not None:
            raise ValueError("expected classes or classes_file, got both; leave one out")
        return self

    @model_validator(mode="after")
    def _in_one_unit(self) -> Self:
        largest = max((*(self.mean or ()), *(self.std or ())), default=0.0)
        if largest > 1 and self.range is None and self.dtype != "uint8" and self.overrides:
            raise ValueError(
                f"expected range beside a mean or std above 1, got {largest:g} and no range; if "
                "pixels are 0-255, set range: 0-255"
            )
        return self

    @property
    def contract_fields(self) -> dict[str, Any]:
        """The fields that are named, under the names of `InputContract` and `Fit`."""
        other = {"overrides", "size", "classes_file", "class_map"}
        named = self.model_dump(exclude=other, exclude_none=True)
        if self.size is not None:
            named |= {"height": self.size[0], "width": self.size[1]}
        return named
