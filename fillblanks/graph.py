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
_CONV, _NORM, _RELU = _ATEN.conv2d.default, _ATEN.batch_norm.default, _ATEN.relu.default
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


def rewritten(net: nn.Module, example: Tensor, *, fused: bool, mixed: bool) -> GraphModule:
    """A copy of `net`, in evaluation mode, that computes the same for inputs like `example`.

    `example` is (N, C, H, W), N >= 2, as the network gets it. `fused`: batch normalisation becomes
    part of the convolution before it, and a ReLU whose input nobody else needs is done in place.
    `mixed`: convolutions take their input gradient in bfloat16.

    Raises NotRewritable.
    """
    graph = _graph_of(net, example)
    nodes = list(graph.graph.nodes)
    if fused:
        for node in nodes:
            if node.target == _NORM:
                _fold(graph, node)
            elif node.target == _RELU and _only_user(node.args[0]):
                node.target = _ATEN.relu_.default
    if mixed:
        for node in list(graph.graph.nodes):
            if node.target == _CONV:
                _mix(graph, node)
    graph.recompile()
    for parameter in graph.parameters():
        parameter.requires_grad_(False)
    _check(net, graph, example)
    return graph


def _graph_of(net: nn.Module, example: Tensor) -> GraphModule:
    if isinstance(net, GraphModule) and any(n.target == _CONV for n in net.graph.nodes):
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
    return len(node.users) == 1 and node.target in (_CONV, _ATEN.add.Tensor)


def _fold(graph: GraphModule, norm: Node) -> None:
    """conv then norm becomes one conv (in float64 before it is rounded), where nothing is lost."""
    conv = norm.args[0]
    if not isinstance(conv, Node) or conv.target != _CONV or len(conv.users) > 1 or norm.args[5]:
        return
    value, weight, bias, *rest = _conv_arguments(conv)
    kernel, offset = _value(graph, weight), _value(graph, bias)
    weights = (weight, bias, *norm.args[1:5])
    if any(node is not None and _value(graph, node) is None for node in weights):
        return  # it is computed, and may be another each time
    gamma, beta, mean, variance = (_value(graph, argument) for argument in norm.args[1:5])
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


def _mix(graph: GraphModule, conv: Node) -> None:
    value, weight, bias, *rest = _conv_arguments(conv)
    kernel = _value(graph, weight)
    if kernel is None:
        return
    reduced = _add(graph, conv, "weight_bfloat16", kernel.bfloat16())
    with graph.graph.inserting_before(conv):
        mixed = graph.graph.call_function(mixed_convolution, (value, weight, bias, reduced, *rest))
    conv.replace_all_uses_with(mixed)
    graph.graph.erase_node(conv)


def _conv_arguments(conv: Node) -> list[Any]:
    """Input, weight, bias, stride, padding, dilation, groups."""
    return [*conv.args, *_CONV_DEFAULTS[len(conv.args) - 2 :]]


def _value(graph: GraphModule, node: Any) -> Tensor | None:
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
    with torch.no_grad():
        expected, got = net(example), graph(example.clone())
    tolerance = 1e-3 * float(expected.abs().max().clamp(min=1))
    if expected.shape != got.shape or not (expected - got).abs().max() <= tolerance:
        raise NotRewritable(
            "Expected the same logits from the network and from its graph, got different ones."
        )


class _MixedConvolution(torch.autograd.Function):
    @staticmethod
    def forward(
        context: Any, x: Tensor, weight: Tensor, bias: Tensor | None, reduced: Tensor, *rest: Any
    ) -> Tensor:
        context.shape, context.rest = x.shape, rest
        context.save_for_backward(reduced)
        return torch.conv2d(x, weight, bias, *rest)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Any:
        (reduced,) = context.saved_tensors
        stride, padding, dilation, groups = context.rest
        gradient = gradients[0].to(reduced.dtype)
        # Of the input, only the shape counts for its own gradient.
        shape = gradient.new_empty(1).expand(context.shape)
        result = _ATEN.convolution_backward(
            gradient,
            shape,
            reduced,
            None,
            stride,
            padding,
            dilation,
            False,
            (0, 0),
            groups,
            (True, False, False),
        )[0]
        return (result.to(gradients[0].dtype), *[None] * (3 + len(context.rest)))


def mixed_convolution(*arguments: Any) -> Tensor:
    """conv2d(x, weight, bias, reduced, stride, padding, dilation, groups); frozen weights.

    The value is that of `weight`; the gradient at x is computed with `reduced`, in its dtype.
    """
    return _MixedConvolution.apply(*arguments)
