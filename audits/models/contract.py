"""InputContract: everything between an image file and the network, each field with its source."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from audits.data.fit import Fit
from audits.errors import ModelRefused, few

Range = Literal["0-1", "0-255", "-1..1"]
Layout = Literal["NCHW", "NHWC", "NHW", "flat"]
Outputs = Literal["logits", "probabilities", "log-probabilities"]

NOBODY = "nobody named it"
_SCALE: dict[str, tuple[float, float]] = {  # a pixel in [0, 1] is scale * pixel + offset
    "0-1": (1.0, 0.0),
    "0-255": (255.0, 0.0),
    "-1..1": (2.0, -1.0),
}
_FIT = tuple(field.name for field in fields(Fit))
_SIZE = ("channels", "height", "width", "dtype", "layout")


@dataclass(frozen=True)
class Said:
    """The fields of a contract that one source names; `by` is the source in words."""

    by: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class InputContract:
    """How the model wants its images.

    An image in [0, 1] is fitted by `fit`, scaled to `range`, normalised with `mean` and `std` (in
    the units of `range`, one number or one a channel), and given in `layout` and `dtype`. `batch`
    is the fixed number of rows that the model takes, None for any. `outputs` are the values that it
    gives, None if they are to be recognised. `classes` are the names of the
    logits in their order, None if no source has names. `sources` says for each field where it comes
    from; a field that it lacks has its default.
    """

    fit: Fit
    range: Range = "0-1"
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    layout: Layout = "NCHW"
    dtype: str = "float32"
    batch: int | None = None
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
        asked = []
        if not {"mean", "std", "range"} & set(self.sources):
            asked.append(
                "Nobody named how pixels are normalised (neither config nor metadata): set "
                "preprocessing.range (0-1, 0-255 or -1..1), or preprocessing.mean and std."
            )
        if not self.fit.has_size and not self.sources.keys() & {"height", "width"}:
            asked.append(
                "Nobody named the size of the model's images (its signature has none): set "
                "preprocessing.size: [height, width]."
            )
        return tuple(asked)

    def rows(self) -> list[tuple[str, str, str]]:
        """Every field as (name, value, source), for people."""
        height, width = self.fit.height or "any", self.fit.width or "any"
        shown: dict[str, object] = {
            "channels": self.fit.channels or "any",
            "size": f"{height} x {width}",
            "resize": self.fit.resize,
            "interpolation": self.fit.interpolation
            + (", antialiased" if self.fit.antialias else ", not antialiased"),
            "range": self.range,
            "mean": _numbers(self.mean),
            "std": _numbers(self.std),
            "layout": self.layout,
            "dtype": self.dtype,
        }
        if self.fit.resize == "crop" and self.fit.resize_to:
            shown["resize"] = f"shorter side to {self.fit.resize_to}, then the centre"
        if self.classes is not None:
            shown["classes"] = f"{len(self.classes)}: {few(self.classes)}"
        if self.outputs is not None:
            shown["outputs"] = self.outputs
        if self.fit.exif:
            shown["exif"] = "rotation applied"
        if self.fit.alpha is not None:
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

    Raises ModelRefused if `mean` or `std` do not suit the range.
    """
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for one in said:
        for name, value in one.values.items():
            if value is not None and name not in values:
                values[name], sources[name] = value, one.by
    _settle_range(values, sources)
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


def _settle_range(values: dict[str, Any], sources: dict[str, str]) -> None:
    """The range that is implied: by 8-bit inputs, or 0-1 if only mean and std are named."""
    if "range" not in values and values.get("dtype") == "uint8":
        values["range"], sources["range"] = "0-255", f"dtype uint8, {sources['dtype']}"
    if "range" in values:
        return
    for name in ("mean", "std"):
        largest = max(values.get(name, (0.0,)))
        if largest > 1:
            raise ModelRefused(
                f"Expected {name} of at most 1 for pixels in 0-1, got {largest:g} from "
                f"{sources[name]}. If pixels are 0-255, set preprocessing.range: 0-255."
            )


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)
