"""Argument: a value that an operator is given or gives back, of the few kinds that are allowed."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from audits.models.pt2.documents import (
    Json,
    boolean,
    choice,
    field,
    integer,
    items,
    number,
    refused,
    text,
)
from audits.models.pt2.names import identifier
from audits.models.pt2.tensors import Device, scalar_type

_MANY = 10_000
_IN_LISTS = "as_optional_tensor"  # alone a tensor or none has a kind of its own
_TEXT = re.compile(r"[A-Za-z0-9_ ,.>-]{0,300}")  # einsum's equation, gelu's kind, a device


@dataclass(frozen=True)
class Argument:
    """A value by its kind in torch's schema; `names` are the values of the graph that it names."""

    kind: str
    value: Json
    names: tuple[str, ...] = ()

    def json(self) -> Json:
        """As torch writes it."""
        return {self.kind: self.value}


def argument(value: Json, what: str = "an argument") -> Argument:
    """The argument in a JSON value. Raises ModelRefused."""
    kind, inner = choice(value, what)
    if kind in _PLAIN:
        return Argument(kind, _PLAIN[kind](inner, what))
    if kind in _NAMED and kind != _IN_LISTS:
        found, names = _NAMED[kind](inner)
        return Argument(kind, found, names)
    if kind in _LISTS:
        return _list(kind, inner, what)
    raise refused(f"{what} of a kind that image networks have", kind)


def one_of(value: Json, what: str, kinds: tuple[str, ...]) -> Argument:
    """Like `argument`, of one of the kinds. Raises ModelRefused."""
    found = argument(value, what)
    if found.kind not in kinds:
        raise refused(f"{what} of a kind that image networks have", found.kind)
    return found


def tensor_name(value: Json) -> str:
    """The name in a TensorArgument. Raises ModelRefused."""
    return identifier(field(value, "name", "a tensor"))


def _list(kind: str, value: Json, what: str) -> Argument:
    given = items(value, what)
    if len(given) > _MANY:
        raise refused(f"at most {_MANY} values in a list", len(given))
    single = _LISTS[kind]
    if single in _PLAIN:
        return Argument(kind, [_PLAIN[single](one, what) for one in given])
    found = [_NAMED[single](one) for one in given]
    names = tuple(name for _, inner in found for name in inner)
    return Argument(kind, [one for one, _ in found], names)


def _none(value: Json, what: str) -> bool:
    return boolean(value, f"{what} that is none")


def _text(value: Json, what: str) -> str:
    if not _TEXT.fullmatch(text(value, what)):
        raise refused(f"{what} in plain letters", value)
    return str(value)


def _device(value: Json, what: str) -> Json:
    device = Device.read(value)
    return {"type": device.type, "index": device.index}


def _layout(value: Json, what: str) -> int:
    return integer(value, f"{what} that is the strided layout", 7, 7)


def _memory_format(value: Json, what: str) -> int:
    return integer(value, f"{what} that is a memory format", 1, 4)


def _tensor(value: Json) -> tuple[Json, tuple[str, ...]]:
    name = tensor_name(value)
    return {"name": name}, (name,)


def _optional_tensor(value: Json) -> tuple[Json, tuple[str, ...]]:
    kind, inner = choice(value, "a tensor or none")
    if kind == "as_none":
        return {kind: _none(inner, "a tensor")}, ()
    if kind != "as_tensor":
        raise refused("a tensor or none", kind)
    found, names = _tensor(inner)
    return {kind: found}, names


def _symbolic(
    kind: str, plain: Callable[[Json, str], Json]
) -> Callable[[Json], tuple[Json, tuple[str, ...]]]:
    """The reader of a value of the graph, by its name, or of a plain value in its place."""

    def read(value: Json) -> tuple[Json, tuple[str, ...]]:
        found, inner = choice(value, "a size in the graph")
        if found == "as_name":
            name = identifier(inner)
            return {found: name}, (name,)
        if found != kind:
            raise refused("a size in the graph", found)
        return {found: plain(inner, "a size in the graph")}, ()

    return read


_PLAIN: Mapping[str, Callable[[Json, str], Json]] = {
    "as_none": _none,
    "as_int": integer,
    "as_float": number,
    "as_bool": boolean,
    "as_string": _text,
    "as_scalar_type": lambda value, what: scalar_type(value),
    "as_memory_format": _memory_format,
    "as_layout": _layout,
    "as_device": _device,
}
_NAMED: Mapping[str, Callable[[Json], tuple[Json, tuple[str, ...]]]] = {
    "as_tensor": _tensor,
    "as_optional_tensor": _optional_tensor,
    "as_sym_int": _symbolic("as_int", integer),
    "as_sym_float": _symbolic("as_float", number),
    "as_sym_bool": _symbolic("as_bool", boolean),
}
_LISTS: Mapping[str, str] = {
    "as_ints": "as_int",
    "as_floats": "as_float",
    "as_bools": "as_bool",
    "as_tensors": "as_tensor",
    "as_optional_tensors": "as_optional_tensor",
    "as_sym_ints": "as_sym_int",
    "as_sym_floats": "as_sym_float",
    "as_sym_bools": "as_sym_bool",
}
