"""States: the values that a network has inside for each patch of an image, layer by layer."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

from fillblanks import masks
from fillblanks.classifier import Classifier
from fillblanks.concepts.cut import MOVERS, Cut, cut, described, operation
from fillblanks.concepts.graphs import cut_points, giving, values_at

_SUM = "add"  # a block of a transformer ends with the sum of its input and its own values


@dataclass(frozen=True)
class Layer:
    """A place inside the network at which each patch has values."""

    cut: Cut
    shares: Tensor  # of each patch's pixels, in each place: float (P, places), rows sum to 1
    mean: Tensor  # of the example's values, float (width,)
    deviation: Tensor

    def states(self, values: Tensor) -> Tensor:
        """The values of each patch, (n, P, width), standardised."""
        return (self.shares @ self.cut.vectors(values) - self.mean) / self.deviation


@dataclass(frozen=True)
class States:
    """A network that is opened: its logits, and its values for each patch in some layers.

    A patch has the mean of the places that it covers, each by its share of the patch's pixels.
    """

    classifier: Classifier
    layers: tuple[Layer, ...]  # the last one is where the network is cut
    encode: GraphModule  # normalised images -> the values at each layer
    where: Tensor  # row and column of each patch, from -1 to 1, (P, 2)

    @property
    def widths(self) -> tuple[int, ...]:
        """How many values a patch has in each layer."""
        own = [layer.cut.channels for layer in self.layers]
        return (own[0] + (0 if self._knows_where else 2), *own[1:])

    @property
    def _knows_where(self) -> bool:
        """Whether the first layer tells places apart: the embedding of tokens does."""
        return self.layers[0].cut.layout == "tokens"

    def __call__(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Logits (n, K) of images (n, C, H, W) in [0, 1], and states (n, P, width) of each layer.

        No gradient is computed.
        """
        with torch.no_grad():
            values = self.encode(self.classifier.normalised(images))
            logits = self.layers[-1].cut.decode(values[-1])
            states = [layer.states(one) for layer, one in zip(self.layers, values, strict=True)]
            if not self._knows_where:
                places = self.where.expand(len(images), -1, -1)
                states[0] = torch.cat([states[0], places], 2)
        return logits, states


def states_of(classifier: Classifier, example: Tensor, patch_size: int) -> States:
    """Opens a network at its last `cut` and at some places before.

    If it has tokens at the cut, these are all sums of tokens, from the embedding on: that of each
    token and its place, and those that end each block of attention and of a perceptron. Of other
    networks they are the last map of each size, and patches have their place in the image beside
    the values of the first one. `example` are images (n, C, H, W) in [0, 1], n >= 2, on the
    network's device, by which values are standardised; patches have `patch_size` pixels a side. The
    network must be in evaluation mode and frozen, see `Classifier.steady`. Raises NotCuttable as
    `cut` does.
    """
    given = classifier.normalised(example)
    found = cut(classifier.net, given)
    cuts = [*_before(found, given), found]
    encode = giving(found.encode, [one.name for one in cuts])
    with torch.no_grad():
        values = encode(given)
    height, width = example.shape[2:]
    layers = [
        _layer(one, own, _shares(one, height, width, patch_size).to(own))
        for one, own in zip(cuts, values, strict=True)
    ]
    rows, columns = masks.grid_shape(height, width, patch_size)
    sides = [torch.linspace(-1, 1, side) for side in (rows, columns)]
    where = torch.cartesian_prod(*sides).to(given)
    return States(classifier, tuple(layers), encode, where)


def _before(found: Cut, given: Tensor) -> list[Cut]:
    """The places before the cut, in their order."""
    points = [node for node in cut_points(found.encode) if node.name != found.name]
    seen = values_at(found.encode, points, given)
    kept: list[Cut] = []
    for node in points:
        one = (
            described(found.encode, node, seen[node], given) if _tells(found, node, seen) else None
        )
        if one is None or (one.layout == "tokens") != (found.layout == "tokens"):
            continue
        if found.layout == "tokens":
            if (one.rows, one.others, one.channels) == (found.rows, found.others, found.channels):
                kept.append(one)
        else:
            if kept and kept[-1].rows == one.rows:
                kept.pop()
            kept.append(one)
    if found.layout != "tokens" and kept and kept[-1].rows == found.rows:
        kept.pop()
    return kept


def _tells(found: Cut, node: Node, seen: dict[Node, Tensor]) -> bool:
    if node not in seen:
        return False
    if found.layout == "tokens":
        return operation(node) == _SUM
    return operation(node) not in MOVERS


def _layer(one: Cut, values: Tensor, shares: Tensor) -> Layer:
    deviation, mean = torch.std_mean((shares @ one.vectors(values)).flatten(0, 1), dim=0)
    # A value that is always the same becomes 0.
    return Layer(one, shares, mean, deviation.where(deviation > 0, 1))


def _shares(one: Cut, height: int, width: int, patch_size: int) -> Tensor:
    """The share of each patch's pixels that lies in each place, float64 (P, rows x columns)."""
    rows, columns = masks.grid_shape(height, width, patch_size)
    patch = masks.to_pixels(torch.arange(rows * columns)[None], height, width, patch_size)[0, 0]
    row = torch.arange(height) * one.rows // height
    column = torch.arange(width) * one.columns // width
    places = one.rows * one.columns
    pair = patch * places + row[:, None] * one.columns + column
    pixels = pair.flatten().bincount(minlength=rows * columns * places)
    counts = pixels.view(rows * columns, places).double()
    return counts / counts.sum(1, keepdim=True)
