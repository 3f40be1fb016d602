"""Calls each operator that a pt2 archive may name with arguments by chance. Run as a script.

    python tests/support/kernels_by_chance.py TRIES FIRST

It prints a line for each call, with a digest of its answer, for the operators from number FIRST
on. Whoever runs it twice, with other fillings of free memory (glibc's MALLOC_PERTURB_), finds the
operators that read beside their tensors: their lines differ. A line ends with UNDECLARED and the
name of an argument if the operator has changed it, or shares memory with it, though neither its
schema nor effects.py says so.
"""

import hashlib
import random
import resource
import sys
from importlib import resources

import torch

from audits.models.pt2.effects import _UNSET, may_pass_on
from audits.models.pt2.operators import _known
from audits.models.pt2.raw_kernels import mistake

OPERATORS = resources.files("audits.models.pt2").joinpath("operators.txt").read_text().split()
_SHAPES = [
    *((), (0,), (1,), (2,), (3,), (4,), (7,), (64,), (2, 3), (3, 4), (4, 4), (1, 3, 4), (2, 3, 4)),
    *((2, 4, 3), (1, 2, 4, 4), (2, 2, 4, 4), (2, 3, 4, 4), (1, 3, 8, 8), (2, 5, 3, 3)),
    *((2, 8, 4, 4), (2, 2, 8, 4), (1, 2, 2, 4), (4, 2, 8, 4), (1, 2, 3, 4, 4)),
]
_WHOLE = (0, 0, 1, 1, 1, 2, 2, 3, 4, 5, 8, -1, -2, 100)
_REAL = (0.0, 1.0, 0.5, 1e-5, -1.0, 2.0, 1e10, 0.1, 1e-30, -0.01)
_MODES = ("none", "mean", "bilinear", "nearest", "left", "right", "constant", "reflect", "floor")
_DTYPES = (torch.float32, torch.float64, torch.int64)
_LEFT_OUT = ("dtype", "layout", "device", "pin_memory", "memory_format", "generator", "train")
_TRAINED = ("train", "training")  # by these an archive is refused
_REFUSED = (RuntimeError, IndexError, ValueError, TypeError, AssertionError, OverflowError)
_GIB = 5


def _tensor(draw):
    dense = _dense(draw)
    if not dense.ndim or draw.random() < 0.7:
        return dense
    dim = draw.randrange(dense.ndim)  # of the same shape, but in other places of memory
    double = torch.cat([dense, dense], dim)[(slice(None),) * dim + (slice(None, None, 2),)]
    turned = dense.transpose(0, dim).contiguous().transpose(0, dim)
    spread = dense.narrow(dim, 0, min(1, dense.shape[dim])).expand_as(dense)
    return draw.choice((double, turned, spread, _windows(dense)))


def _windows(dense):
    """A tensor of the same shape whose numbers share memory, as windows of a row do."""
    need = sum(side - 1 for side in dense.shape) + 1
    if 0 in dense.shape:
        return dense
    return dense.flatten()[:need].clone().as_strided(dense.shape, [1] * dense.ndim)


def _dense(draw):
    generator = torch.Generator().manual_seed(draw.randrange(1 << 30))
    shape, kind = draw.choice(_SHAPES), draw.random()
    if kind < 0.7:  # randn would give others on another processor
        return torch.randint(-3000, 3000, shape, generator=generator) / 1000
    if kind < 0.92:
        return torch.randint(-2, 9, shape, generator=generator)
    return torch.randint(0, 2, shape, generator=generator).bool()


def _value(kind, draw, shape):
    """A value of a type; `shape` is that of the tensor before it, for operators that look at it."""
    if kind.startswith("Optional["):
        return None if draw.random() < 0.45 else _value(kind[len("Optional[") : -1], draw, shape)
    if kind in ("List[int]", "List[SymInt]") and draw.random() < 0.5:
        ones, dims = [1] * len(shape), list(range(len(shape)))
        return draw.choice(([*shape], [*shape], [*shape[2:]], [0] * len(shape), ones, dims, []))
    if kind.startswith("List["):
        inner = kind[len("List[") : -1]
        return [_value(inner, draw, shape) for _ in range(draw.choice((1, 2, 2, 3, 4)))]
    made = {
        "Tensor": lambda: _tensor(draw),
        "int": lambda: draw.choice((*_WHOLE, *shape)),
        "SymInt": lambda: draw.choice((*_WHOLE, *shape)),
        "float": lambda: draw.choice(_REAL),
        "bool": lambda: draw.random() < 0.5,
        "number": lambda: draw.choice((*_REAL, *_WHOLE)),
        "str": lambda: draw.choice(_MODES),
        "ScalarType": lambda: draw.choice(_DTYPES),
    }
    return made[kind]() if kind in made else None


def _call(overload, draw):
    """The arguments, by name, of one call."""
    given, shape = {}, ()
    for one in overload._schema.arguments:
        if one.kwarg_only and (one.name in _LEFT_OUT or draw.random() < 0.5):
            continue
        value = False if one.name in _TRAINED else _value(str(one.real_type), draw, shape)
        like = isinstance(value, torch.Tensor) and shape and draw.random() < 0.3
        given[one.name] = torch.zeros(shape, dtype=value.dtype) if like else value
        shape = tuple(value.shape) if isinstance(value, torch.Tensor) and not like else shape
    return given


def _tensors(value):
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _tensors(one)


def _held(value):
    """The bytes of a value's tensors, with those between their elements."""
    return [bytes(one.untyped_storage()) for one in _tensors(value)]


def _places(value):
    storages = [one.untyped_storage() for one in _tensors(value)]
    return {one.data_ptr() for one in storages if one.nbytes()}


def _undeclared(overload, given, before, answer):
    """The arguments that are changed, or shared with the answer, as nobody has said."""
    passed = may_pass_on(f"torch.ops.{overload!s}")
    written = {one.name for one in overload._schema.arguments if one.is_write}
    for name, value in given.items():
        changed = name not in written and _held(value) != before[name]
        back = {id(one) for one in _tensors(value)} & {id(one) for one in _tensors(answer)}
        shared = name not in passed and (back or _places(value) & _places(answer))
        if changed or shared:
            yield f" UNDECLARED {name}"


def _digest(value):
    if isinstance(value, torch.Tensor):
        numbers = value.detach().contiguous().resolve_conj().resolve_neg().view(-1)
        told = f"{tuple(value.shape)} {value.dtype}".encode()
        return hashlib.md5(told + numbers.numpy().tobytes()).hexdigest()[:12]
    if isinstance(value, list | tuple):
        return ",".join(map(_digest, value))
    return repr(value)


def _overloads(name):
    packet = getattr(torch.ops.aten, name, None)
    for kind in packet.overloads() if packet is not None else ():
        found = getattr(packet, kind)
        types = [str(one.type) for one in found._schema.arguments]
        if _known(f"torch.ops.aten.{name}.{kind}") and any("Tensor" in one for one in types):
            yield found


def main(tries, first):
    resource.setrlimit(resource.RLIMIT_DATA, (_GIB << 30, _GIB << 30))
    torch.set_num_threads(1)
    for number, name in enumerate(OPERATORS[first:], first):
        overloads = [] if name in _UNSET else [*_overloads(name), *_overloads(f"{name}_")]
        for attempt in range(tries if overloads else 0):
            draw = random.Random(f"{name} {attempt}")
            overload = draw.choice(overloads)
            given = _call(overload, draw)
            before = {one: _held(value) for one, value in given.items()}
            print(number, attempt, overload, end=" ", flush=True)  # the last one if it crashes
            try:
                answer = None
                torch.manual_seed(0)  # for those that draw
                if not mistake(overload, given):
                    with torch.no_grad():
                        answer = overload(**given)
            except (*_REFUSED, NotImplementedError, MemoryError):
                answer = None
            wrong = "" if answer is None else "".join(_undeclared(overload, given, before, answer))
            print(_digest(answer) + wrong, flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
