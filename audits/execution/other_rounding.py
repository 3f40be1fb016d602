"""Other rounding of what a network computes, as another processor or release of torch may round.

No list of servers is complete. A network that tells servers by how they round has to make much of
the last bits of some numbers, and an honest one makes next to nothing of them. So all numbers are
rounded otherwise here, in three ways that no machine has:

- by chance, whatever goes into an operator and comes out of it: Monte Carlo arithmetic (Parker,
  "Monte Carlo Arithmetic", 1997, inbound and outbound precision);
- to fewer bits, so that numbers become equal which differ by rounding alone;
- with the terms of sums in another order.

The last two treat all calls of a kind alike, so that equal calls still give equal answers: by
unequal ones a network could tell that its numbers are rounded by chance, and be honest then.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import resources
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

_MOST_BITS = 6  # the last bits of a number that are changed by chance, at most
_CUT = (6, 11)  # bits of float32 that are cut off, from and to
_ROUNDED_BEFORE = 3  # one of so many kinds of inexact operators gets rounded numbers
_POSITIVE = 2**62 - 1
# Whole numbers of as many bits, and how many more bits of a fraction there are than in float32.
_BITS = {torch.float32: (torch.int32, 0), torch.float64: (torch.int64, 29)}
_CHANCE = random.SystemRandom()  # nobody can foresee it

# Operators whose results are the same on any machine: they choose or copy numbers, or IEEE 754 says
# how they are rounded. So are those whose names end with _copy.
_EXACT = frozenset(
    resources.files("audits.execution").joinpath("exact_operators.txt").read_text().split()
)

# Where the two factors of a product are among the arguments, and the dimension that they share.
_PRODUCTS: dict[str, tuple[tuple[int, int], ...]] = {
    "mm": ((0, -1), (1, -2)),
    "bmm": ((0, -1), (1, -2)),
    "addmm": ((1, -1), (2, -2)),
    "baddbmm": ((1, -1), (2, -2)),
    "mv": ((0, -1), (1, 0)),
    "dot": ((0, 0), (1, 0)),
}
_SUMS = ("sum", "mean")
_TRANSPOSED, _GROUPS = 6, 8  # among the arguments of a convolution


def other_roundings(each: int) -> Iterator[tuple[str, TorchDispatchMode]]:
    """`each` contexts of each of the three ways, named in words, inside which torch rounds so."""
    for _ in range(each):
        yield "with its numbers rounded by chance", _ByChance()
        yield "with its numbers rounded to fewer bits", _ToFewerBits()
        yield "with the terms of its sums in another order", _InOtherOrders()


class _Call:
    """A call of an operator. `written` says of each argument whether the call writes into it."""

    def __init__(self, schema: Any, args: Sequence[Any], kwargs: Mapping[str, Any]):
        name = str(schema.name).rpartition(":")[2]
        self.name = name if name.endswith("__") else name.rstrip("_")
        self.args = args
        self.written = [one.alias_info is not None for one in schema.arguments]
        results = [one.alias_info for one in schema.returns]
        self.gives_views = any(one is not None and not one.is_write for one in results)
        chooses = self.name in _EXACT or self.name.endswith("_copy")
        names = [one.name for one in schema.arguments]
        named = {**dict(zip(names, args, strict=False)), **kwargs}
        odd = named.get("alpha", 1) != 1  # of add, which multiplies by it
        # Complex numbers are multiplied in several ways, and steps that are no whole numbers added.
        odd |= any(isinstance(one, Tensor) and one.is_complex() for one in args)
        odd |= self.name == "arange" and any(isinstance(one, float) and one % 1 for one in args)
        self.is_exact = chooses and not odd

    def with_inputs(self, changed: Callable[[Any], Any]) -> list[Any]:
        """The arguments, those changed into which nothing is written."""
        return [
            one if itself else _each(changed, one)
            for one, itself in zip(self.args, self.written, strict=False)
        ]

    def of_kind(self, seed: int) -> int:
        """A number by chance, the same for all calls with tensors of these shapes and strides."""
        tensors = [(one.shape, one.stride()) for one in self.args if isinstance(one, Tensor)]
        return hash((seed, self.name, *tensors)) & _POSITIVE


class _Otherwise(TorchDispatchMode):
    """Gives operators other numbers, and rounds their results if they are not exact."""

    def __init__(self) -> None:
        super().__init__()
        self.seed = _CHANCE.getrandbits(62)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        """The results of the operator `func`."""
        kwargs = kwargs or {}
        call = _Call(func._schema, args, kwargs)
        if call.gives_views:
            return func(*args, **kwargs)
        found = func(*self.given(call), **kwargs)
        if call.is_exact:
            return found
        if not any(call.written):
            return _each(self.rounded, found)
        for one, itself in zip(args, call.written, strict=False):
            if itself and isinstance(one, Tensor):
                one.copy_(self.rounded(one))
        return found

    def given(self, call: _Call) -> Sequence[Any]:
        """The arguments that the operator gets."""
        return call.args if call.is_exact else call.with_inputs(self.rounded)

    def rounded(self, value: Any) -> Any:
        """The result in place of `value`, which may be no tensor."""
        if not isinstance(value, Tensor) or not value.numel():
            return value
        if value.is_complex():
            parts = torch.view_as_real(value.resolve_conj())
            return torch.view_as_complex(self.rounded(parts))
        return self.rounded_real(value) if value.dtype in _BITS else value

    def rounded_real(self, values: Tensor) -> Tensor:
        """The results in place of real `values`, float32 or float64."""
        return values


class _ByChance(_Otherwise):
    """Changes each number by up to some of its last bits, as many for all numbers."""

    def __init__(self) -> None:
        super().__init__()
        self._most = 2.0 ** _CHANCE.randint(0, _MOST_BITS)

    def rounded_real(self, values: Tensor) -> Tensor:
        step = self._most * torch.finfo(values.dtype).eps
        found = torch.addcmul(values, values, torch.empty_like(values).uniform_(-step, step))
        # Processors give NaN with either sign.
        turned = torch.where(torch.rand_like(values) < 1 / 2, -values, values)
        return torch.where(found.isfinite(), found, torch.where(values.isnan(), turned, values))


class _ToFewerBits(_Otherwise):
    """Rounds to the nearest number with fewer bits.

    Numbers that are chosen, added or compared are always rounded before. Whether those are that
    other operators get is drawn: a product of rounded factors is another number than the rounded
    product.
    """

    def __init__(self) -> None:
        super().__init__()
        self._cut = _CHANCE.randint(*_CUT)

    def given(self, call: _Call) -> Sequence[Any]:
        before = call.is_exact or call.of_kind(self.seed) % _ROUNDED_BEFORE == 0
        return call.with_inputs(self.rounded) if before else call.args

    def rounded_real(self, values: Tensor) -> Tensor:
        whole, more = _BITS[values.dtype]
        bits = self._cut + more
        found = ((values.view(whole) + (1 << (bits - 1))) & -(1 << bits)).view(values.dtype)
        return torch.where(found.isfinite(), found, values)


class _InOtherOrders(_Otherwise):
    """Permutes the terms of sums and of products of matrices."""

    def given(self, call: _Call) -> Sequence[Any]:
        given = list(call.args)
        for terms in _terms(call):
            first, dimension = terms[0]
            drawn = torch.Generator().manual_seed(call.of_kind(self.seed))
            order = torch.randperm(given[first].shape[dimension], generator=drawn)
            for position, dimension in terms:
                values = given[position]
                dimension %= values.ndim
                given[position] = values.index_select(dimension, order.to(values.device))
        return given


def _each(changed: Callable[[Any], Any], value: Any) -> Any:
    """The value changed; if an operator takes or gives several, each of them."""
    return [changed(one) for one in value] if isinstance(value, list | tuple) else changed(value)


def _terms(call: _Call) -> Iterator[Sequence[tuple[int, int]]]:
    """For each dimension over which is summed, the arguments that have it, and where they do."""
    if call.name in _PRODUCTS:
        yield _PRODUCTS[call.name]
    elif call.name == "convolution":
        if call.args[_GROUPS] == 1 and not call.args[_TRANSPOSED]:
            yield (0, 1), (1, 1)
    elif call.name in _SUMS:
        named = call.args[1] if len(call.args) > 1 else None
        for dimension in named or range(call.args[0].ndim):
            yield ((0, dimension),)
