"""Cut: a network opened at the last place where it still knows where in the image things are."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import isqrt
from typing import Literal

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Node

from fillblanks.concepts.graphs import NotCuttable, cut_points, graph_of, halves, values_at
from fillblanks.engine.aten import NotRewritable
from fillblanks.engine.same import expect_same

Layout = Literal["channels_first", "channels_last", "tokens"]

_LEAST_PLACES = 4
_LOOKED_BACK = 3  # candidates before the last one, for one without negative values
_MOST_OTHERS = 8  # tokens that are no place of the image: of the class, and registers
MOVERS = {
    "clone",
    "contiguous",
    "dropout",
    "flatten",
    "layer_norm",
    "native_layer_norm",
    "permute",
    "reshape",
    "slice",
    "transpose",
    "view",
}
"""Operations that move, normalise or copy values: their input says as much."""

# By the operation that reads the values: where their channels are.
_FIRST = {"conv2d", "convolution", "batch_norm", "adaptive_avg_pool2d", "avg_pool2d", "max_pool2d"}
_LAST = {"linear", "layer_norm", "native_layer_norm"}


@dataclass(frozen=True)
class Cut:
    """f = h(g(x)): the network up to a place inside, and from there.

    `encode` (g) maps normalised images (N, C, H, W) to values, `decode` (h) maps values to logits
    (N, K). Values are (N, channels, rows, columns), (N, rows, columns, channels) or, as tokens,
    (N, others + rows x columns, channels), whose first `others` are no places of the image.
    """

    encode: GraphModule
    decode: GraphModule
    name: str  # of the node in the network's graph
    layout: Layout
    channels: int
    rows: int
    columns: int
    others: int
    nonnegative: bool  # no value of the example was below 0

    def vectors(self, values: Tensor) -> Tensor:
        """The values of each place: (N, rows x columns, channels), row by row."""
        if self.layout == "channels_first":
            return values.flatten(2).transpose(1, 2)
        if self.layout == "channels_last":
            return values.flatten(1, 2)
        return values[:, self.others :]

    def with_vectors(self, values: Tensor, vectors: Tensor) -> Tensor:
        """`values` with the values of each place replaced by `vectors`; other tokens stay."""
        if self.layout == "channels_first":
            given = vectors.transpose(1, 2).reshape(values.shape)
        elif self.layout == "channels_last":
            given = vectors.reshape(values.shape)
        else:
            given = torch.cat([values[:, : self.others], vectors], dim=1)
        # The second half may look at its input as another shape, which needs the same strides.
        return torch.empty_like(values, dtype=given.dtype).copy_(given)


def cut(net: nn.Module, example: Tensor, at: str | None = None) -> Cut:
    """Opens `net`, in evaluation mode, at the node `at`, or at the last that tells places apart.

    Without `at` the node is the last with at least four places, half of which have a gradient of
    the logits, and with a weight still behind it: behind the last block of a ViT only the token of
    the class counts, and a map that is only averaged is the logits already. Of the last few such
    nodes one without negative values is preferred. `example` is (N, C, H, W), N >= 2, normalised as
    the network's input is.

    Raises NotCuttable if torch.export does not take the network, if no node is such, if a path goes
    around `at`, or if the halves do not compute the same as the network.
    """
    graph = graph_of(net, example)
    points = cut_points(graph)
    if at is not None:
        points = [node for node in points if node.name == at]
        if not points:
            halves(graph, at)  # it says which nodes can be cut
    seen = values_at(graph, points, example)
    found = _chosen(graph, points, seen, example, named=at is not None)
    if found is None:
        where, cure = (f"{at!r}", " Name another with `at`.") if at else ("a node", "")
        raise NotCuttable(
            f"Expected {where} to have values for at least {_LEAST_PLACES} places of the image on "
            f"which the logits depend, and a weight behind it; found none.{cure}"
        )
    try:
        for images in (example, example[:1]):
            expect_same(net, nn.Sequential(found.encode, found.decode), images)
    except NotRewritable as error:
        raise NotCuttable(f"The halves at {found.name!r}: {error}") from error
    return found


def _chosen(
    graph: GraphModule, points: list[Node], seen: dict[Node, Tensor], example: Tensor, named: bool
) -> Cut | None:
    good: list[Cut] = []
    for found in _candidates(graph, points, seen, example, named):
        good.append(found)
        if found.nonnegative or len(good) > _LOOKED_BACK:
            break
    return next((one for one in good if one.nonnegative), good[0] if good else None)


def _candidates(
    graph: GraphModule, points: list[Node], seen: dict[Node, Tensor], example: Tensor, named: bool
) -> Iterator[Cut]:
    """Cuts that tell places apart, from the last to the first."""
    for node in reversed(points):
        if node not in seen or (operation(node) in MOVERS and not named):
            continue
        found = described(graph, node, seen[node], example)
        if found is not None and _has_weights(found.decode) and _counts(found, seen[node]):
            yield found


def described(graph: GraphModule, node: Node, values: Tensor, example: Tensor) -> Cut | None:
    """The cut at a node that has these values, with its layout; None if they have no places."""
    if not values.is_floating_point() or len(values) != len(example) or values.ndim not in (3, 4):
        return None
    others = 0
    if values.ndim == 4:
        layout = _layout(node)
        if layout is None:
            return None
        first = layout == "channels_first"
        rows, columns = values.shape[2:] if first else values.shape[1:3]
        channels = values.shape[1] if first else values.shape[3]
    else:
        layout, channels = "tokens", values.shape[2]
        grid = _grid(values.shape[1], *example.shape[2:])
        if grid is None:
            return None
        others, rows, columns = grid
    if rows * columns < _LEAST_PLACES:
        return None
    encode, decode = halves(graph, node.name)
    nonnegative = bool((values >= 0).all())
    return Cut(encode, decode, node.name, layout, channels, rows, columns, others, nonnegative)


def _layout(node: Node) -> Layout | None:
    """Where the channels of a map are, by the first operation behind that says so."""
    left, seen = [node], {node}
    while left:
        for user in left.pop(0).users:
            name = operation(user)
            # Only maps whose channels come first are flattened without an average before it.
            if name in _FIRST or _is_flat(user):
                return "channels_first"
            if name in _LAST:
                return "channels_last"
            if name in ("mean", "permute"):
                return _by_axes(user)
            if user not in seen:
                seen.add(user)
                left.append(user)
    return None


def _by_axes(node: Node) -> Layout | None:
    """The layout that an average over places, or a change of the order of axes, tells."""
    axes = node.args[1] if len(node.args) > 1 else None
    if not isinstance(axes, list | tuple):
        return None
    order = [int(axis) % 4 for axis in axes if isinstance(axis, int)]
    if operation(node) == "mean":
        named: dict[tuple[int, ...], Layout] = {(2, 3): "channels_first", (1, 2): "channels_last"}
        return named.get(tuple(sorted(order)))
    moved: dict[tuple[int, ...], Layout] = {
        (0, 3, 1, 2): "channels_last",
        (0, 2, 3, 1): "channels_first",
    }
    return moved.get(tuple(order))


def _grid(tokens: int, height: int, width: int) -> tuple[int, int, int] | None:
    """How many tokens are no places, and rows and columns of the others; None if none fit.

    The places have the proportions of the image.
    """
    for others in range(min(_MOST_OTHERS, tokens - 1) + 1):
        rows = isqrt((tokens - others) * height // width)
        if rows and rows * rows * width == (tokens - others) * height:
            return others, rows, (tokens - others) // rows
    return None


def _counts(found: Cut, values: Tensor) -> bool:
    """Whether the logits depend on at least half of the places."""
    with torch.enable_grad():
        start = values.detach().clone().requires_grad_()
        logits = found.decode(start)
        if not logits.requires_grad:
            return False
        (slope,) = torch.autograd.grad(logits.square().sum(), start)
    used = found.vectors(slope).abs().amax(2) > 0
    return bool(used.double().mean() >= 0.5)


def _has_weights(half: GraphModule) -> bool:
    return any(node.op == "get_attr" and node.users for node in half.graph.nodes)


def operation(node: Node) -> str:
    """The name of a node's operation without its overload: "conv2d"."""
    target = node.target
    return target._schema.name.split("::")[1] if hasattr(target, "_schema") else str(target)


def _is_flat(node: Node) -> bool:
    """Whether a node's value is (N, F), as torch.export has noted it."""
    value = node.meta.get("val")
    return isinstance(value, Tensor) and value.ndim == 2
