"""State: the tensors that a network holds, and whether one of them has changed."""

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor

_EXACT = 1 << 16  # elements up to which numbers are kept; of larger tensors sums of their bits
_AT_ONCE = 4  # sums made at a time: their products fit into the processor's cache
_DEPTH = 4  # of lists and dicts within attributes
_BITS = {1: torch.uint8, 2: torch.int16}  # of wider elements, pieces of 32 bits
_OWN = ("_parameters", "_buffers", "_modules")


class Changed(ValueError):
    """A network has changed while it answered; `name` is that of its classifier, often ""."""

    def __init__(self, message: str, name: str = ""):
        super().__init__(message)
        self.name = name


class Held(NamedTuple):
    """A value that a network holds: "parameter", "buffer", or "attribute", and its name."""

    kind: str
    name: str
    value: Tensor | int | float


@dataclass(frozen=True)
class State:
    """The numbers of all that a network holds at one moment, by kind and name."""

    prints: Mapping[tuple[str, str], Any]

    @classmethod
    def of(cls, net: nn.Module) -> "State":
        """Reads parameters, buffers, and tensors in attributes, in lists and dicts there too.

        Of a network of TorchScript, the numbers in its attributes are read as well.
        """
        with torch.no_grad():
            return cls({(kind, name): _print(value) for kind, name, value in _held(net)})

    def changed(self, later: "State") -> str:
        """The kind and name of what differs `later`, for people; "" if nothing does.

        An attribute that was not there before may be a table that is made when it is first needed,
        and is no difference; nor is one that is gone.
        """
        for key, found in later.prints.items():
            kind, name = key
            if key not in self.prints:
                if kind == "buffer":
                    return f"{kind} {name!r}"
            elif not _same(self.prints[key], found):
                return f"{kind} {name!r}"
        return ""


def _held(net: nn.Module) -> Iterator[Held]:
    for path, module in net.named_modules():
        start = f"{path}." if path else ""
        for name, parameter in module.named_parameters(recurse=False):
            yield Held("parameter", start + name, parameter)
        for name, buffer in module.named_buffers(recurse=False):
            yield Held("buffer", start + name, buffer)
        script = isinstance(module, torch.jit.ScriptModule)
        for name, value in _attributes(module, script):
            yield from _within(start + name, value, script, 0)


def _attributes(module: nn.Module, script: bool) -> Iterator[tuple[str, Any]]:
    if not script:
        yield from [(k, v) for k, v in vars(module).items() if k not in _OWN]
        return
    inner: Any = module
    if hasattr(inner, "_concrete_type"):
        yield from [(k, inner._c.getattr(k)) for k in inner._concrete_type.get_attributes()]


def _within(name: str, value: Any, numbers: bool, depth: int) -> Iterator[Held]:
    if isinstance(value, Tensor) or (numbers and isinstance(value, int | float)):
        yield Held("attribute", name, value)
    elif depth < _DEPTH and isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _within(f"{name}[{key!r}]", inner, numbers, depth + 1)
    elif depth < _DEPTH and isinstance(value, list | tuple):
        for at, inner in enumerate(value):
            yield from _within(f"{name}[{at}]", inner, numbers, depth + 1)


def _print(value: Tensor | int | float) -> Any:
    """Something that differs if the numbers do."""
    if not isinstance(value, Tensor):
        return value
    if isinstance(value, FakeTensor) or value.device.type == "meta":
        return None
    if value.is_quantized:
        value = value.int_repr()
    if value.layout != torch.strided:
        return None if value.is_inference() else value._version
    places = value.stride(), value.storage_offset()  # a transposed tensor of zeros is another
    if value.is_complex():
        value = torch.view_as_real(value.resolve_conj())
    bits = value.detach().resolve_neg().contiguous()
    bits = bits.reshape(-1).view(_BITS.get(bits.element_size(), torch.int32))
    kept = bits.clone() if len(bits) <= _EXACT else _sums(bits)
    return value.dtype, tuple(value.shape), places, kept


def _sums(bits: Tensor) -> Tensor:
    """A sum for each `_EXACT` elements, int64 that wraps around.

    Each place has a random factor, so that no network knows changes that leave the sums as they
    are: of elements of 32 bits, one change in 2^32 does.
    """
    factors = _factors().to(bits.device)
    whole = len(bits) // _EXACT * _EXACT
    rows = bits[:whole].view(-1, _EXACT)
    found = [(some * factors).sum(1) for some in rows.split(_AT_ONCE)]
    rest = bits[whole:]
    return torch.cat([*found, (rest * factors[: len(rest)]).sum()[None]])


@cache
def _factors() -> Tensor:
    return torch.frombuffer(bytearray(secrets.token_bytes(8 * _EXACT)), dtype=torch.int64)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one.shape == other.shape and one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, tuple) and isinstance(other, tuple):
        return one[:-1] == other[:-1] and _same(one[-1], other[-1])
    return type(one) is type(other) and (one is other or bool(one == other))
