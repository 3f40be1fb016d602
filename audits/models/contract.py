"""InputContract: everything between an image file and the network, each field with its source."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from audits.data.fit import Fit
from audits.errors import ModelRefused, few, one_line, seen, shortened

Range = Literal["0-1", "0-255", "-1..1"]
Layout = Literal["NCHW", "NHWC", "NHW", "flat"]
Outputs = Literal["logits", "probabilities", "log-probabilities"]

NOBODY = "nobody named it"
SIGNATURE = "the signature"  # the source of the fields that a model's signature fixes
_SCALE: dict[str, tuple[float, float]] = {  # a pixel in [0, 1] is scale * pixel + offset
    "0-1": (1.0, 0.0),
    "0-255": (255.0, 0.0),
    "-1..1": (2.0, -1.0),
}
WHOLE_NUMBERS = ("uint8", "int32", "int64")
"""The dtypes of inputs that are pixels from 0 to 255."""
_FIT = tuple(field.name for field in fields(Fit))
_SIZE = ("channels", "height", "width", "dtype", "layout")
_UNITS = ("range", "mean", "std")
MOST_CHANNELS = 3
# Of mean and std. Beyond them float32 has no room for normalised pixels, or float16 none for std.
MOST_UNITS, LEAST_STD = 1e6, 1e-6
MOST_SIDE = 8_192  # pixels; a colour image of this height and width takes 0.8 GB


@dataclass(frozen=True)
class Said:
    """The fields of a contract that one source names; `by` is the source in words.

    `decides` are fields of which no other of the model's sources may name another value, since the
    model is served by this one. Of those that `values` lack, the server does nothing.
    """

    by: str
    values: Mapping[str, Any]
    decides: frozenset[str] = frozenset()


@dataclass(frozen=True)
class InputContract:
    """How the model wants its images.

    An image in [0, 1] is fitted by `fit`, scaled to `range`, normalised with `mean` and `std` (in
    the units of `range`, one number or one a channel), and given in `layout` and `dtype`.
    `outputs` are the values that it gives, None if they are to be recognised. `classes` are the
    names of the logits in their order, None if no source has names. `sources` says for each field
    where it comes from; a field that it lacks has its default.
    """

    fit: Fit
    range: Range = "0-1"
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    layout: Layout = "NCHW"
    dtype: str = "float32"
    outputs: Outputs | None = None
    classes: tuple[str, ...] | None = None
    sources: Mapping[str, str] = field(default_factory=dict)

    def source(self, name: str) -> str:
        """The source of a field, in words."""
        return self.sources.get(name, NOBODY)

    @property
    def pixel_mean(self) -> tuple[float, ...]:
        """`mean` in the units of pixels in [0, 1]."""
        scale, offset = _SCALE[self.range]
        return tuple((value - offset) / scale for value in self.mean)

    @property
    def pixel_std(self) -> tuple[float, ...]:
        """`std` in the units of pixels in [0, 1]."""
        scale, _ = _SCALE[self.range]
        return tuple(value / scale for value in self.std)

    @property
    def questions(self) -> tuple[str, ...]:
        """Fields that decide the answer and that no source names, with the line that names them."""
        lines = {
            "normalisation": "Nobody named how pixels are normalised (neither config nor "
            "metadata): set preprocessing.range (0-1, 0-255 or -1..1), or preprocessing.mean and "
            "std.",
            "size": "Nobody named the size of the model's images (its signature has none): set "
            "preprocessing.size: [height, width].",
        }
        return tuple(lines[name] for name in self.unnamed)

    @property
    def unnamed(self) -> tuple[str, ...]:
        """Groups of fields that decide the answer and that no source names."""
        normalised = {"mean", "std", "range"} & self.sources.keys()
        sized = self.fit.has_size or self.sources.keys() & {"height", "width"}
        found = {"normalisation": normalised, "size": sized}
        return tuple(name for name, named in found.items() if not named)

    def rows(self) -> list[tuple[str, str, str]]:
        """Every field as (name, value, source), for people."""
        height, width = self.fit.height or "any", self.fit.width or "any"
        shown: dict[str, object] = {
            "channels": self.fit.channels or "any",
            "size": f"{height} x {width}",
            "resize": self.fit.resize,
            "interpolation": self.fit.interpolation,
            "antialias": str(self.fit.antialias).lower(),
            "range": self.range,
            "mean": _numbers(self.mean),
            "std": _numbers(self.std),
            "layout": self.layout,
            "dtype": self.dtype,
        }
        if self.fit.resize == "crop" and self.fit.resize_to:
            shown["resize"] = f"shorter side to {self.fit.resize_to}, then the centre"
        if self.fit.resize == "squash" and self.fit.resize_to:
            shown["resize"] = f"both sides to {self.fit.resize_to}, then the centre"
        if self.classes is not None:
            shown["classes"] = f"{len(self.classes)}: {few(self.classes)}"
        if self.outputs is not None:
            shown["outputs"] = self.outputs
        if self.fit.exif:
            shown["exif"] = "rotation applied"
        if self.fit.alpha != "drop":
            shown["alpha"] = f"over the colour {_numbers(self.fit.alpha)}"
        named = {"size": "height"}
        return [
            (name, str(value), self.sources.get(named.get(name, name), "default"))
            for name, value in shown.items()
        ]

    def to_json(self) -> dict[str, object]:
        """Plain values of all fields but the classes."""
        own = {f.name: getattr(self, f.name) for f in fields(self)}
        for name in ("fit", "classes", "sources"):
            del own[name]
        return {**{name: getattr(self.fit, name) for name in _FIT}, **own}


def merged(said: Sequence[Said]) -> InputContract:
    """The contract of several sources; for each field the first that names it decides.

    Range, mean and std are one group, since mean and std are in the units of the range: they must
    come from one source. Raises ModelRefused if they do not, or if fields do not suit each other.
    """
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for one in said:
        for name, value in one.values.items():
            if value is not None and name not in values:
                values[name], sources[name] = value, one.by
    if "classes" in values:
        values["classes"] = tuple(
            one_line(seen(name)) or str(i) for i, name in enumerate(values["classes"])
        )
    _expect_one_source(sources)
    _expect_units(values, sources)
    _settle_range(values, sources)
    _settle_channels(values, sources)
    _expect_side_in_use(said, values, sources)
    _expect_crop_that_fits(values, sources)
    _expect_room(values, sources)
    fit = Fit(**{name: values.pop(name) for name in _FIT if name in values})
    return InputContract(fit=fit, sources=sources, **values)


def expect_agreement(said: Sequence[Said], signature: Said) -> None:
    """Raises ModelRefused if a source contradicts a size or type that the signature fixes."""
    for one in said:
        for name in _SIZE:
            wanted, fixed = one.values.get(name), signature.values.get(name)
            if wanted is not None and fixed is not None and wanted != fixed:
                raise ModelRefused(
                    f"Expected {name} {fixed}, as the model's signature has it, got {wanted} from "
                    f"{one.by}. Correct it or leave it out."
                )


def _expect_one_source(sources: Mapping[str, str]) -> None:
    named = {name: sources[name] for name in _UNITS if name in sources}
    if len(set(named.values())) > 1:
        told = ", ".join(f"{name} from {by}" for name, by in named.items())
        raise ModelRefused(
            f"Expected range, mean and std from one source, since their units must agree, got "
            f"{told}. Name all of them under preprocessing."
        )


def _settle_range(values: dict[str, Any], sources: dict[str, str]) -> None:
    """The range that is implied: by 8-bit inputs, or 0-1 if only mean and std are named."""
    if values.get("dtype") in WHOLE_NUMBERS:
        _expect_bytes(values, sources)
        if "range" not in values:
            values["range"], sources["range"] = (
                "0-255",
                f"dtype {values['dtype']}, {sources['dtype']}",
            )
    if "range" in values:
        return
    for name in ("mean", "std"):
        largest = max(values.get(name, (0.0,)))
        if largest > 1:
            raise ModelRefused(
                f"Expected {name} of at most 1 for pixels in 0-1, got {largest:g} from "
                f"{sources[name]}. If pixels are 0-255, set preprocessing.range: 0-255, with mean "
                "and std."
            )


def _expect_room(values: Mapping[str, Any], sources: Mapping[str, str]) -> None:
    """Raises ModelRefused if an image would be larger than any classifier's."""
    for name in ("height", "width", "resize_to"):
        if name in values and values[name] > MOST_SIDE:
            raise ModelRefused(
                f"Expected {name} of at most {MOST_SIDE:,} pixels, got {values[name]:,} from "
                f"{sources[name]}. Correct it, or log the model again."
            )


def _expect_bytes(values: Mapping[str, Any], sources: Mapping[str, str]) -> None:
    """Raises ModelRefused if images are to be whole numbers and something else at once."""
    fitting = {"range": ("0-255",), "mean": ((0.0,), (0.0,) * 3), "std": ((1.0,), (1.0,) * 3)}
    for name, allowed in fitting.items():
        if name in values and values[name] not in allowed:
            raise ModelRefused(
                f"Expected pixels as whole numbers from 0 to 255 for inputs of {values['dtype']} "
                f"({sources['dtype']}), got {name} {values[name]} from {sources[name]}. Leave "
                f"{name} out, or log the model with a signature of floats."
            )


def _settle_channels(values: dict[str, Any], sources: dict[str, str]) -> None:
    """One channel, if the layout has no place for several."""
    layout = values.get("layout")
    if layout not in ("NHW", "flat"):
        return
    if values.get("channels") is None:
        values["channels"], sources["channels"] = 1, f"layout {layout}, {sources['layout']}"
    if values["channels"] != 1:
        raise ModelRefused(
            f"Expected 1 channel for layout {layout} ({sources['layout']}), got "
            f"{values['channels']} from {sources['channels']}. Set preprocessing.channels: 1."
        )


def _expect_side_in_use(
    said: Sequence[Said], values: Mapping[str, Any], sources: Mapping[str, str]
) -> None:
    """Raises ModelRefused if `resize_to` is named for a rule that has no use for it.

    A source that comes first may name another rule than a later one, and leave its side unused.
    """
    rule = values.get("resize")
    named = ({n for n, value in one.values.items() if value is not None} for one in said)
    first = next((one for one in named if one & {"resize", "resize_to"}), set())
    if rule not in ("crop", "squash") and "resize_to" in first:
        got = f"{rule} from {sources['resize']}" if rule else "no rule"
        raise ModelRefused(
            f"Expected resize: crop or squash beside resize_to ({values['resize_to']} from "
            f"{sources['resize_to']}), got {got}. Set preprocessing.resize, or leave resize_to out."
        )


def _expect_crop_that_fits(values: Mapping[str, Any], sources: Mapping[str, str]) -> None:
    """Raises ModelRefused if an image of the side `resize_to` does not fill the size."""
    to, sides = values.get("resize_to"), (values.get("height"), values.get("width"))
    least = min((side for side in sides if side is not None), default=0)
    if to is not None and values.get("resize") in ("crop", "squash") and to < least:
        raise ModelRefused(
            f"Expected resize_to of at least {least}, the model's size ({sources['height']}), "
            f"got {to} from {sources['resize_to']}. Set preprocessing.resize_to."
        )


def is_number(value: Any) -> bool:
    """Whether it is a number; Python takes true and false for 1 and 0."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_whole(value: Any) -> bool:
    """Whether it is a whole number."""
    return isinstance(value, int) and not isinstance(value, bool)


def _expect_units(values: Mapping[str, Any], sources: Mapping[str, str]) -> None:
    """Raises ModelRefused if mean or std are none that images can be normalised with."""
    for name, least in (("mean", -MOST_UNITS), ("std", LEAST_STD)):
        found = values.get(name, (1.0,))
        if len(found) > MOST_CHANNELS or not all(least <= one <= MOST_UNITS for one in found):
            raise ModelRefused(
                f"Expected {name} of up to {MOST_CHANNELS} numbers from {least:g} to "
                f"{MOST_UNITS:g}, got {shortened(found)} from {sources[name]}. Correct it."
            )


def finite_numbers(value: Any) -> tuple[float, ...] | None:
    """One finite number, or a list of them, as a tuple; None for anything else, as for truths."""
    values = value if isinstance(value, list | tuple) else [value]
    if not values or not all(is_number(v) for v in values):
        return None
    try:
        numbers = tuple(float(v) for v in values)
    except OverflowError:  # a whole number above all floating-point numbers
        return None
    return numbers if all(map(math.isfinite, numbers)) else None


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)
