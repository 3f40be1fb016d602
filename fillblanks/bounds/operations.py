"""The operations of torch that can be bounded, each as steps.

`None` says that an operation has arguments of which no bound is known.
"""

from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.fx import Node
from torch.nn import functional
from torch.nn.grad import conv2d_input

from fillblanks.bounds.arithmetic import added, divided, scaled, subtracted
from fillblanks.bounds.steps import Shape

if TYPE_CHECKING:
    from fillblanks.bounds.reading import Reader

Operation = Callable[["Reader", Node, Shape], int | None]
_NORM_TERMS = 10  # of batch normalisation, however a kernel orders its operations


def _arguments(node: Node, *defaults: Any) -> list[Any]:
    """The arguments of a node behind the first, with the defaults of those that are left out."""
    given = list(node.args[1:])
    return given + list(defaults[len(given) :])


def _pair(value: Any) -> tuple[int, int]:
    both = tuple(value) if isinstance(value, list | tuple) else (value, value)
    return both if len(both) == 2 else (both[0], both[0])


def _conv(reader: "Reader", node: Node, shape: Shape) -> int | None:
    given = reader.step(node.args[0])
    if given is None or node.kwargs:
        return None
    weight, bias, stride, padding, dilation, groups = _arguments(node, None, None, 1, 0, 1, 1)
    kernel, offset = reader.constant(weight), reader.constant(bias)
    before = reader.shape_of(given)

    def conv(x: Tensor, weights: Tensor) -> Tensor:
        return functional.conv2d(x, weights, None, stride, padding, dilation, groups)

    def back(rows: Tensor) -> tuple[Tensor, ...]:
        size = (len(rows), *before)
        return (conv2d_input(size, kernel, rows, stride, padding, dilation, groups),)

    constant = None if offset is None else offset.view(1, -1, 1, 1).expand(1, *shape)
    return reader.affine(
        (given,),
        shape,
        lambda x: conv(x, kernel),
        lambda x: conv(x, kernel.abs()),
        constant=constant,
        terms=prod(kernel.shape[1:]) + 1,
        back=None if isinstance(padding, str) else back,
    )


def _linear(reader: "Reader", node: Node, shape: Shape) -> int | None:
    given = reader.step(node.args[0])
    if given is None or node.kwargs:
        return None
    weight, bias = _arguments(node, None, None)
    kernel, offset = reader.constant(weight), reader.constant(bias)
    return reader.affine(
        (given,),
        shape,
        lambda x: x @ kernel.T,
        lambda x: x @ kernel.T.abs(),
        constant=None if offset is None else offset.expand(1, *shape),
        terms=kernel.shape[1] + 1,
        back=lambda rows: (rows @ kernel,),
    )


def _multiplied(reader: "Reader", node: Node, shape: Shape) -> int | None:
    """Values (N, F) times a constant matrix (F, K)."""
    given = reader.step(node.args[0])
    if given is None or node.kwargs or len(reader.shape_of(given)) != 1:
        return None
    matrix = reader.constant(node.args[1])
    if matrix.ndim != 2:
        return None
    return reader.affine(
        (given,),
        shape,
        lambda x: x @ matrix,
        lambda x: x @ matrix.abs(),
        terms=len(matrix) + 1,
        back=lambda rows: (rows @ matrix.T,),
    )


def _batch_norm(reader: "Reader", node: Node, shape: Shape) -> int | None:
    given = reader.step(node.args[0])
    if given is None or node.kwargs:
        return None
    weight, bias, mean, variance, *rest = node.args[1:]
    epsilon: Any = rest[1] if len(rest) == 2 else rest[2]
    if len(rest) > 2 and rest[0]:  # in training mode
        return None
    gamma, beta, centre, spread = map(reader.constant, (weight, bias, mean, variance))
    scale = (spread + epsilon).rsqrt()
    if gamma is not None:
        scale = scale * gamma
    view = (1, -1, *([1] * (len(shape) - 1)))
    shift = -centre * scale
    offset = shift if beta is None else shift + beta
    # A shift of which much cancels is rounded by a share of its parts.
    parts = shift.abs() if beta is None else shift.abs() + beta.abs()
    scale, offset, parts = (one.view(view) for one in (scale, offset, parts))
    spare = (parts - offset.abs()).clamp(min=0)
    return reader.affine(
        (given,),
        shape,
        lambda x: x * scale,
        lambda x: x * scale.abs(),
        constant=offset.expand(1, *shape),
        spare=spare.expand(1, *shape),
        terms=_NORM_TERMS,
        back=lambda rows: (rows * scale,),
    )


def _relu(reader: "Reader", node: Node, shape: Shape) -> int | None:
    given = reader.step(node.args[0])
    return None if given is None else reader.relu(given)


def _reshaped(reader: "Reader", node: Node, shape: Shape) -> int | None:
    """Views keep the images first and the order of values, so a row's values are only renamed."""
    given = reader.step(node.args[0])
    if given is None or prod(reader.shape_of(given)) != prod(shape):
        return None
    before = reader.shape_of(given)
    return reader.affine(
        (given,),
        shape,
        lambda x: x.reshape(len(x), *shape),
        back=lambda rows: (rows.reshape(len(rows), *before),),
    )


def _same(reader: "Reader", node: Node, shape: Shape) -> int | None:
    return reader.step(node.args[0])


def _dropout(reader: "Reader", node: Node, shape: Shape) -> int | None:
    training = _arguments(node, 0.5, True)[1]
    return None if training else reader.step(node.args[0])


def _first(reader: "Reader", node: Node, shape: Shape) -> int | None:
    """The first of the values that batch normalisation gives."""
    return reader.step(node.args[0]) if node.args[1] == 0 else None


def _averaged(reader: "Reader", node: Node, shape: Shape) -> int | None:
    """Average pooling, with the arguments that it has."""
    given, target = reader.step(node.args[0]), node.target
    if given is None or node.kwargs or not callable(target):
        return None
    rest = [reader.constant(one) for one in node.args[1:]]
    return reader.affine(
        (given,), shape, lambda x: target(x, *rest), terms=prod(reader.shape_of(given)[1:]) + 1
    )


def _mean(reader: "Reader", node: Node, shape: Shape) -> int | None:
    given = reader.step(node.args[0])
    if given is None or len(node.args) < 2 or set(node.kwargs) - {"dtype"}:
        return None
    axes, keep = _arguments(node, None, False)[:2]
    count = len(reader.shape_of(given)) + 1
    axes = [axis % count for axis in axes or ()]
    if not axes or 0 in axes or node.kwargs.get("dtype") not in (None, reader.dtype):
        return None
    return reader.affine(
        (given,),
        shape,
        lambda x: x.mean(axes, keepdim=keep),
        terms=prod(reader.shape_of(given)[axis - 1] for axis in axes) + 1,
    )


def _moved(reader: "Reader", node: Node, shape: Shape) -> int | None:
    """Axes in another order, the images first."""
    given = reader.step(node.args[0])
    if given is None:
        return None
    count = len(reader.shape_of(given)) + 1
    if len(node.args) == 2:
        order = [int(axis) % count for axis in node.args[1]]  # type: ignore[union-attr, arg-type]
    else:
        order = list(range(count))
        first, second = (int(axis) % count for axis in node.args[1:3])  # type: ignore[arg-type]
        order[first], order[second] = order[second], order[first]
    if order[0] != 0:
        return None
    return reader.affine((given,), shape, lambda x: x.permute(order))


def _joined(reader: "Reader", node: Node, shape: Shape) -> int | None:
    parts: Any = node.args[0]
    axis: Any = _arguments(node, 0)[0]
    steps = [reader.step(one) for one in parts]
    if None in steps or axis % (len(shape) + 1) == 0:
        return None
    return reader.affine(tuple(steps), shape, lambda *xs: torch.cat(xs, axis))  # type: ignore[arg-type]


def _max_pool(reader: "Reader", node: Node, shape: Shape) -> int | None:
    """The maximum of a window as a tree of maxima of two: max(a, b) = a + relu(b - a)."""
    given = reader.step(node.args[0])
    if given is None or node.kwargs:
        return None
    sizes, steps, pads, spread, _ = _arguments(node, 1, [], 0, 1, False)
    kernel, padding = _pair(sizes), _pair(pads)
    stride = _pair(steps) if steps else kernel
    if _pair(spread) != (1, 1):
        return None
    height, width = reader.shape_of(given)[1:]
    rows, columns = (torch.arange(side) for side in shape[1:])
    # A place outside the image stands for the nearest one inside, which is in the window too.
    level = [
        _picked(
            reader,
            given,
            shape,
            (rows * stride[0] - padding[0] + row).clamp(0, height - 1),
            (columns * stride[1] - padding[1] + column).clamp(0, width - 1),
        )
        for row in range(kernel[0])
        for column in range(kernel[1])
    ]
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2], strict=False)
        last = level[-1:] if len(level) % 2 else []
        level = [_larger(reader, shape, a, b) for a, b in pairs] + last
    return level[0]


def _picked(reader: "Reader", given: int, shape: Shape, rows: Tensor, columns: Tensor) -> int:
    """One place of each window."""
    return reader.affine((given,), shape, lambda x: x[:, :, rows][:, :, :, columns])


def _larger(reader: "Reader", shape: Shape, a: int, b: int) -> int:
    more = reader.affine(
        (a, b), shape, lambda x, y: y - x, lambda x, y: x + y, back=lambda rows: (-rows, rows)
    )
    return reader.affine(
        (a, reader.relu(more)),
        shape,
        lambda x, y: x + y,
        back=lambda rows: (rows, rows),
        largest_of=(a, b),
    )


OPERATIONS: dict[str, Operation] = {
    "_adaptive_avg_pool2d": _averaged,
    "_native_batch_norm_legit_no_training": _batch_norm,
    "_unsafe_view": _reshaped,
    "adaptive_avg_pool2d": _averaged,
    "add": added,
    "alias": _same,
    "avg_pool2d": _averaged,
    "batch_norm": _batch_norm,
    "cat": _joined,
    "clone": _same,
    "contiguous": _same,
    "conv2d": _conv,
    "detach": _same,
    "div": divided,
    "dropout": _dropout,
    "flatten": _reshaped,
    "getitem": _first,
    "linear": _linear,
    "max_pool2d": _max_pool,
    "max_pool2d_with_indices": _max_pool,
    "matmul": _multiplied,
    "mean": _mean,
    "mm": _multiplied,
    "mul": scaled,
    "permute": _moved,
    "relu": _relu,
    "reshape": _reshaped,
    "squeeze": _reshaped,
    "sub": subtracted,
    "transpose": _moved,
    "unsqueeze": _reshaped,
    "view": _reshaped,
}
"""By the name of the operation without its overload; all others cannot be bounded."""
