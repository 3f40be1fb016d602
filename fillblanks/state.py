"""State: the tensors that a network holds, and whether one of them has changed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor

_EXACT = 1 << 16  # elements up to which numbers are kept; of larger tensors a sum of their bits
_DEPTH = 4  # of lists and dicts within attributes
_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
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
    version = None if value.is_inference() else value._version
    if value.is_quantized:
        value = value.int_repr()
    if value.layout != torch.strided:
        return version
    if value.is_complex():
        value = torch.view_as_real(value.resolve_conj())
    bits = value.detach().resolve_neg().contiguous().view(_BITS[value.element_size()])
    if bits.numel() <= _EXACT:
        return bits.clone()
    # Wraps around; the version is there for changes that leave a sum as it is.
    return version, tuple(bits.shape), bits.sum(dtype=torch.int64)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one.shape == other.shape and one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, tuple) and isinstance(other, tuple):
        return one[:-1] == other[:-1] and torch.equal(one[-1], other[-1])
    return type(one) is type(other) and (one is other or bool(one == other))
