"""The network's graph, rewritten to compute the same with less work.

The graph is that of torch.export: a model that was saved as pt2 is one already, any other network
is exported here. The rewritten graph is checked against the network itself.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.fx import GraphModule, Node

from fillblanks.engine.aten import NotRewritable, Operations, operations
from fillblanks.engine.same import expect_same

# On a GPU torch chooses another batch normalisation for larger ones, so that export refuses a
# network that is to take batches of any size.
_LARGEST_BATCH = 65_535
_CONV_DEFAULTS = (None, (1, 1), (0, 0), (1, 1), 1)  # bias, stride, padding, dilation, groups
# The errors of torch.export for networks that it cannot take.
_EXPORT_ERRORS = (
    RuntimeError,
    ValueError,
    TypeError,
    AttributeError,
    AssertionError,
    KeyError,
    IndexError,
)


def rewritten(net: nn.Module, example: Tensor, *, fused: bool) -> GraphModule:
    """A copy of `net`, in evaluation mode, that computes the same for inputs like `example`.

    `example` is (N, C, H, W), N >= 2, normalised as the network's input is. If `fused`, batch
    normalisation becomes part of the convolution before it; a ReLU is computed after max pooling or
    concatenation, not before, and in place if nothing else needs its input.

    Raises NotRewritable if torch lacks a name that this takes, if torch.export does not take the
    network, or if the copy gives other logits or other gradients than the network.
    """
    aten = operations()
    graph = _graph_of(net, example, aten)
    if fused:
        _Fusion(graph, aten).run()
    graph.recompile()
    for parameter in graph.parameters():
        parameter.requires_grad_(False)
    expect_same(net, graph, example)
    return graph


def _graph_of(net: nn.Module, example: Tensor, aten: Operations) -> GraphModule:
    if isinstance(net, GraphModule) and any(n.target == aten.conv for n in net.graph.nodes):
        return copy.deepcopy(net)
    # The program shares the weights, so a copy of it is changed.
    return copy.deepcopy(exported(net, example).module())


def exported(net: nn.Module, example: Tensor) -> ExportedProgram:
    """The program of `net` for inputs like `example` (N, C, H, W), N >= 2.

    It takes batches of at most 65,535 images.

    Raises NotRewritable if torch.export does not take the network.
    """
    try:
        batch = {0: torch.export.Dim("batch", max=_LARGEST_BATCH)}
        return torch.export.export(net, (example,), dynamic_shapes=(batch,))
    except _EXPORT_ERRORS as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else "no message"
        raise NotRewritable(
            f"Expected a network that torch.export takes, got {type(error).__name__}: {first}"
        ) from error


class _Fusion:
    """Makes a graph do the same with less work, in place."""

    def __init__(self, graph: GraphModule, aten: Operations):
        self._module, self._graph, self._aten = graph, graph.graph, aten
        # Operations that give a new value and keep nothing of it.
        self._makers = (aten.conv, aten.add, aten.cat, aten.max_pool)

    def run(self) -> None:
        for node in list(self._graph.nodes):
            if node.target == self._aten.batch_norm:
                self._fold(node)
            elif node.target in (self._aten.cat, self._aten.max_pool):
                self._defer_relu(node)
        for node in self._graph.nodes:
            if node.target == self._aten.relu and self._only_user(node.args[0]):
                node.target = self._aten.relu_in_place

    def _only_user(self, node: Any) -> bool:
        """Whether nothing sees that the node's value is overwritten: one user, no other memory."""
        return len(node.users) == 1 and node.target in self._makers

    def _is_relu(self, node: Node) -> bool:
        in_place = node.target == self._aten.relu_in_place
        return node.target == self._aten.relu or (in_place and self._only_user(node.args[0]))

    def _defer_relu(self, node: Node) -> None:
        """cat or max_pool of ReLUs becomes one ReLU of cat or max_pool, on fewer values."""
        concatenates = node.target == self._aten.cat
        relus: Any = node.args[0] if concatenates else [node.args[0]]
        for relu in relus:
            # A ReLU in place may overwrite what other nodes need.
            if len(relu.users) > 1 or not self._is_relu(relu):
                return
        if len(set(relus)) < len(relus):
            return
        values = [relu.args[0] for relu in relus]
        node.args = (values if concatenates else values[0], *node.args[1:])
        for relu in relus:
            self._graph.erase_node(relu)
        with self._graph.inserting_after(node):
            deferred = self._graph.call_function(self._aten.relu, (node,))
        node.replace_all_uses_with(deferred, delete_user_cb=lambda user: user is not deferred)

    def _fold(self, norm: Node) -> None:
        """conv then norm becomes one conv (in float64 before it is rounded), if nothing is lost."""
        conv = norm.args[0]
        if not isinstance(conv, Node) or conv.target != self._aten.conv:
            return
        if len(conv.users) > 1 or norm.args[5]:  # the norm is in training mode
            return
        value, weight, bias, *rest = conv_arguments(conv)
        kernel, offset = weight_of(self._module, weight), weight_of(self._module, bias)
        weights = (weight, bias, *norm.args[1:5])
        if any(node is not None and weight_of(self._module, node) is None for node in weights):
            return  # it is computed, and may differ each time
        gamma, beta, mean, variance = (weight_of(self._module, w) for w in norm.args[1:5])
        if kernel is None or mean is None or variance is None:
            return
        epsilon: Any = norm.args[7]
        scale = (variance.double() + epsilon).rsqrt()
        if gamma is not None:
            scale = scale * gamma.double()
        shift = ((0 if offset is None else offset.double()) - mean.double()) * scale
        if beta is not None:
            shift = shift + beta.double()
        folded_weight = (kernel.double() * scale.view(-1, 1, 1, 1)).to(kernel.dtype)
        conv.args = (
            value,
            self._added(conv, "folded_weight", folded_weight),
            self._added(conv, "folded_bias", shift.to(kernel.dtype)),
            *rest,
        )
        norm.replace_all_uses_with(conv)
        self._graph.erase_node(norm)

    def _added(self, before: Node, name: str, value: Tensor) -> Node:
        """A node for a new weight, before another node."""
        name = f"_{before.name}_{name}"
        self._module.register_buffer(name, value)
        with self._graph.inserting_before(before):
            return self._graph.get_attr(name)


def conv_arguments(conv: Node) -> list[Any]:
    """All 7 arguments of a convolution: input, weight, bias, stride, padding, dilation, groups."""
    return [*conv.args, *_CONV_DEFAULTS[len(conv.args) - 2 :]]


def weight_of(graph: GraphModule, node: Any) -> Tensor | None:
    """The weight that a node stands for; None if there is none or the node is computed."""
    if not isinstance(node, Node) or node.op != "get_attr":
        return None
    value: Any = graph
    for name in str(node.target).split("."):
        value = getattr(value, name)
    return value.detach()
