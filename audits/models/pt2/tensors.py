"""TensorMeta: the dtype, sizes, strides and device of one tensor, whole numbers or shapes."""

import math
from dataclasses import dataclass

from audits.models.pt2.documents import Json, boolean, choice, field, integer, items, refused
from audits.models.pt2.shapes import Integer, Shape, shape, symbols

_DIMENSIONS = 16
_ELEMENTS = 1 << 40
_STRIDED = 7
# Bytes of an element by torch's number of its dtype: all that images and networks have, and no
# float8, complex half or other rare kinds.
ITEM_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 2, 7: 4, 8: 8, 10: 8, 11: 16, 12: 1, 13: 2}


@dataclass(frozen=True)
class Device:
    """A device, for example cpu or cuda:0."""

    type: str
    index: int | None

    @classmethod
    def read(cls, value: Json) -> "Device":
        """Raises ModelRefused unless the device is the CPU or a GPU of NVIDIA."""
        kind = field(value, "type", "a device")
        if kind not in ("cpu", "cuda"):
            raise refused("the device cpu or cuda", kind)
        index = value.get("index")
        return cls(kind, index if index is None else integer(index, "a device's number", 0, 63))


@dataclass(frozen=True)
class Size:
    """A size that is a whole number, or a shape with the value that it had at the export."""

    value: int | Shape
    hint: int | None = None

    @classmethod
    def read(cls, value: Json, least: int = 0) -> "Size":
        """Raises ModelRefused."""
        kind, inner = choice(value, "a size")
        if kind == "as_int":
            return cls(integer(inner, "a size", least, _ELEMENTS))
        if kind != "as_expr":
            raise refused("a size that is a number or a shape", kind)
        text = field(inner, "expr_str", "a shape")
        if not isinstance(text, str):
            raise refused("a symbolic shape", text)
        hint = inner.get("hint")
        if hint is not None:
            kind, hint = choice(hint, "a hint")
            if kind != "as_int":
                raise refused("a hint that is a number", kind)
            hint = integer(hint, "a hint", -_ELEMENTS, _ELEMENTS)
        found = shape(text)
        return cls(found.value if isinstance(found, Integer) else found, hint)

    @property
    def known(self) -> int | None:
        """The size in numbers: as it was at the export, if it is a shape."""
        return self.value if isinstance(self.value, int) else self.hint

    def json(self) -> Json:
        """As torch writes it."""
        if isinstance(self.value, int):
            return {"as_int": self.value}
        hint = None if self.hint is None else {"as_int": self.hint}
        return {"as_expr": {"expr_str": str(self.value), "hint": hint}}


@dataclass(frozen=True)
class TensorMeta:
    """Everything about a tensor but its numbers."""

    dtype: int
    sizes: tuple[Size, ...]
    requires_grad: bool
    device: Device
    strides: tuple[Size, ...]
    storage_offset: Size
    layout: int = _STRIDED

    @classmethod
    def read(cls, value: Json) -> "TensorMeta":
        """Raises ModelRefused."""
        what = "a tensor"
        dtype = scalar_type(field(value, "dtype", what))
        sizes = [Size.read(one) for one in items(field(value, "sizes", what), "sizes")]
        strides = [Size.read(one) for one in items(field(value, "strides", what), "strides")]
        if len(sizes) > _DIMENSIONS or len(sizes) != len(strides):
            raise refused(f"as many strides as sizes, up to {_DIMENSIONS}", len(sizes))
        elements = math.prod(size.known or 0 for size in sizes)
        if elements > _ELEMENTS:
            raise refused(f"tensors of at most {_ELEMENTS} elements", elements)
        if field(value, "layout", what) != _STRIDED:
            raise refused("strided tensors", f"layout {value['layout']}")
        return cls(
            dtype=dtype,
            sizes=tuple(sizes),
            requires_grad=boolean(field(value, "requires_grad", what), "requires_grad"),
            device=Device.read(field(value, "device", what)),
            strides=tuple(strides),
            storage_offset=Size.read(field(value, "storage_offset", what)),
        )

    @property
    def symbols(self) -> set[str]:
        """The names of the symbols in its sizes."""
        shapes = [one.value for one in self.sizes if not isinstance(one.value, int)]
        return {name for one in shapes for name in symbols(one)}

    @property
    def item_bytes(self) -> int:
        """The bytes of an element."""
        return ITEM_BYTES[self.dtype]


def scalar_type(value: Json) -> int:
    """torch's number of a dtype. Raises ModelRefused."""
    if isinstance(value, bool) or not isinstance(value, int) or value not in ITEM_BYTES:
        raise refused("a dtype of image networks", value)
    return value
