"""Sums and products of values and constants, as steps that can be bounded.

`None` says that no bound is known, see operations.py.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.fx import Node

from fillblanks.bounds.steps import Shape

if TYPE_CHECKING:
    from fillblanks.bounds.reading import Reader


def added(reader: "Reader", node: Node, shape: Shape) -> int | None:
    return _sum(reader, node, shape, 1.0)


def subtracted(reader: "Reader", node: Node, shape: Shape) -> int | None:
    return _sum(reader, node, shape, -1.0)


def _sum(reader: "Reader", node: Node, shape: Shape, sign: float) -> int | None:
    if set(node.kwargs) - {"alpha"} or node.kwargs.get("alpha", 1) != 1 or len(node.args) != 2:
        return None
    one, other = map(reader.step, node.args)
    if one is not None and other is not None:
        if not reader.shape_of(one) == reader.shape_of(other) == shape:
            return None
        return reader.affine(
            (one, other),
            shape,
            lambda a, b: a + sign * b,
            lambda a, b: a + b,
            terms=2,
            back=lambda rows: (rows, sign * rows),
        )
    at, value = (one, node.args[1]) if one is not None else (other, node.args[0])
    assert at is not None
    own, shift = (1.0, sign) if one is not None else (sign, 1.0)
    constant = _spread(shift * torch.as_tensor(reader.constant(value)).double(), shape)
    if constant is None or reader.shape_of(at) != shape:
        return None
    return reader.affine(
        (at,),
        shape,
        lambda x: own * x,
        lambda x: x,
        constant=constant,
        terms=2,
        back=lambda rows: (own * rows,),
    )


def _spread(value: Tensor, shape: Shape) -> Tensor | None:
    """A constant as (1, *shape); None if it differs from image to image."""
    if value.ndim == len(shape) + 1 and len(value) != 1:
        return None
    value = value.reshape(value.shape[1:]) if value.ndim == len(shape) + 1 else value
    return value.expand(shape)[None] if value.ndim <= len(shape) else None


def scaled(reader: "Reader", node: Node, shape: Shape) -> int | None:
    return _product(reader, node, shape, divided=False)


def divided(reader: "Reader", node: Node, shape: Shape) -> int | None:
    return _product(reader, node, shape, divided=True)


def _product(reader: "Reader", node: Node, shape: Shape, *, divided: bool) -> int | None:
    if node.kwargs or len(node.args) != 2:
        return None
    one, other = map(reader.step, node.args)
    if (one is None) == (other is None) or (divided and one is None):
        return None
    at, value = (one, node.args[1]) if one is not None else (other, node.args[0])
    assert at is not None
    factor = _spread(torch.as_tensor(reader.constant(value)).double(), shape)
    if factor is None or reader.shape_of(at) != shape:
        return None
    scale = 1 / factor if divided else factor
    return reader.affine(
        (at,),
        shape,
        lambda x: x * scale,
        lambda x: x * scale.abs(),
        terms=2,
        back=lambda rows: (rows * scale,),
    )
