"""The network's graph, rewritten to compute the same with less work.

The graph is that of torch.export: a model that was saved as pt2 is one already, any other network
is exported here. What is rewritten is checked against the network itself.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Node

_ATEN = torch.ops.aten
CONV, _NORM, _RELU = _ATEN.conv2d.default, _ATEN.batch_norm.default, _ATEN.relu.default
_CAT, _MAX_POOL = _ATEN.cat.default, _ATEN.max_pool2d.default
_CONV_DEFAULTS = (None, (1, 1), (0, 0), (1, 1), 1)  # bias, stride, padding, dilation, groups
# What torch.export raises for networks that it cannot take.
_EXPORT_ERRORS = (
    RuntimeError,
    ValueError,
    TypeError,
    AttributeError,
    AssertionError,
    KeyError,
    IndexError,
)


class NotRewritable(ValueError):
    """The network's graph cannot be had, or what was made of it does not compute the same."""


def rewritten(net: nn.Module, example: Tensor, *, fused: bool) -> GraphModule:
    """A copy of `net`, in evaluation mode, that computes the same for inputs like `example`.

    `example` is (N, C, H, W), N >= 2, as the network gets it. `fused`: batch normalisation becomes
    part of the convolution before it; a ReLU is done after max pooling or concatenation, not
    before, and in place where nobody else needs its input.

    Raises NotRewritable.
    """
    graph = _graph_of(net, example)
    nodes = list(graph.graph.nodes)
    if fused:
        for node in nodes:
            if node.target == _NORM:
                _fold(graph, node)
            elif node.target == _CAT or node.target == _MAX_POOL:
                _defer_relu(graph, node)
        for node in graph.graph.nodes:
            if node.target == _RELU and _only_user(node.args[0]):
                node.target = _ATEN.relu_.default
    graph.recompile()
    for parameter in graph.parameters():
        parameter.requires_grad_(False)
    _check(net, graph, example)
    return graph


def _graph_of(net: nn.Module, example: Tensor) -> GraphModule:
    if isinstance(net, GraphModule) and any(n.target == CONV for n in net.graph.nodes):
        return copy.deepcopy(net)
    try:
        batch = {0: torch.export.Dim("batch")}
        # The program shares the weights; the copy is what is changed.
        program = torch.export.export(net, (example,), dynamic_shapes=(batch,))
        return copy.deepcopy(program.module())
    except _EXPORT_ERRORS as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else "no message"
        raise NotRewritable(
            f"Expected a network that torch.export takes, got {type(error).__name__}: {first}"
        ) from error


def _only_user(node: Any) -> bool:
    """Whether overwriting the node's value is unseen: it has one user and its maker is done."""
    return len(node.users) == 1 and node.target in (CONV, _ATEN.add.Tensor, _CAT, _MAX_POOL)


def _defer_relu(graph: GraphModule, node: Node) -> None:
    """cat or max_pool of ReLUs becomes one ReLU of cat or max_pool: the same, on fewer values."""
    relus: Any = node.args[0] if node.target == _CAT else [node.args[0]]
    for relu in relus:
        # What a ReLU in place overwrites may be needed by others.
        if len(relu.users) > 1 or not _is_relu(relu):
            return
    if len(set(relus)) < len(relus):
        return
    values = [relu.args[0] for relu in relus]
    node.args = (values if node.target == _CAT else values[0], *node.args[1:])
    for relu in relus:
        graph.graph.erase_node(relu)
    with graph.graph.inserting_after(node):
        deferred = graph.graph.call_function(_RELU, (node,))
    node.replace_all_uses_with(deferred, delete_user_cb=lambda user: user is not deferred)


def _is_relu(node: Node) -> bool:
    overwrites = node.target == _ATEN.relu_.default
    return node.target == _RELU or (overwrites and _only_user(node.args[0]))


def _fold(graph: GraphModule, norm: Node) -> None:
    """conv then norm becomes one conv (in float64 before it is rounded), where nothing is lost."""
    conv = norm.args[0]
    if not isinstance(conv, Node) or conv.target != CONV or len(conv.users) > 1 or norm.args[5]:
        return
    value, weight, bias, *rest = conv_arguments(conv)
    kernel, offset = weight_of(graph, weight), weight_of(graph, bias)
    weights = (weight, bias, *norm.args[1:5])
    if any(node is not None and weight_of(graph, node) is None for node in weights):
        return  # it is computed, and may be another each time
    gamma, beta, mean, variance = (weight_of(graph, argument) for argument in norm.args[1:5])
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
        _add(graph, conv, "folded_weight", folded_weight),
        _add(graph, conv, "folded_bias", shift.to(kernel.dtype)),
        *rest,
    )
    norm.replace_all_uses_with(conv)
    graph.graph.erase_node(norm)


def conv_arguments(conv: Node) -> list[Any]:
    """Input, weight, bias, stride, padding, dilation, groups."""
    return [*conv.args, *_CONV_DEFAULTS[len(conv.args) - 2 :]]


def weight_of(graph: GraphModule, node: Any) -> Tensor | None:
    """The weight that a node stands for; None for no weight and for what is computed."""
    if not isinstance(node, Node) or node.op != "get_attr":
        return None
    value: Any = graph
    for name in str(node.target).split("."):
        value = getattr(value, name)
    return value.detach()


def _add(graph: GraphModule, before: Node, name: str, value: Tensor) -> Node:
    name = f"_{before.name}_{name}"
    graph.register_buffer(name, value)
    with graph.graph.inserting_before(before):
        return graph.graph.get_attr(name)


def _check(net: nn.Module, graph: GraphModule, example: Tensor) -> None:
    # Exporting leaves out what a network does to its gradients: hooks, a backward of its own.
    (expected, slope), (got, own) = answer(net, example), answer(graph, example)
    tolerance = 1e-3 * float(expected.abs().max().clamp(min=1))
    if expected.shape != got.shape or not (expected - got).abs().max() <= tolerance:
        raise NotRewritable(
            "Expected the same logits from the network and from its graph, got different ones."
        )
    if not (slope - own).norm() <= 0.01 * slope.norm():
        raise NotRewritable(
            "Expected the same gradients from the network and from its graph, got different ones."
        )


def answer(net: nn.Module, example: Tensor) -> tuple[Tensor, Tensor]:
    """Logits, and the gradient at the input of their sum with different weights; 0 for none."""
    with torch.enable_grad():
        x = example.clone().requires_grad_()
        logits = net(x)
        if not logits.requires_grad:
            return logits, torch.zeros_like(x)
        weights = torch.linspace(-1, 1, logits.shape[-1], dtype=logits.dtype, device=logits.device)
        (slope,) = torch.autograd.grad(logits, x, weights.expand_as(logits), allow_unused=True)
    return logits.detach(), torch.zeros_like(x) if slope is None else slope
