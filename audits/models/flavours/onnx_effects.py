"""Operators of ONNX by which a graph would answer an image otherwise each time.

onnxruntime draws random numbers from sequences that go on from call to call: a graph that knows
them can count its calls, and turn after the audit.
"""

from collections.abc import Iterator
from typing import Any

from audits.errors import ModelRefused

_DRAWING = ("random", "bernoulli", "multinomial", "sampling")  # parts of names, in small letters


def expect_steady(model: Any) -> None:
    """Raises ModelRefused if a node of a ModelProto draws random numbers or trains.

    Nodes of subgraphs and of the model's own functions are looked at as well.
    """
    for body in (model.graph, *model.functions):
        for graph in _bodies(body):
            for node in graph.node:
                _expect_steady(node, graph)


def _bodies(body: Any) -> Iterator[Any]:
    """A graph or function, and the graphs of its nodes' attributes, however deep."""
    left = [body]
    while left:
        yield (graph := left.pop())
        for node in graph.node:
            for attribute in node.attribute:
                left += [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]


def _expect_steady(node: Any, graph: Any) -> None:
    name = node.op_type.lower()
    if any(part in name for part in _DRAWING):
        raise ModelRefused(
            f"Expected a graph that answers an image the same each time, got {node.op_type[:60]!r},"
            " which draws random numbers. Export the model without it."
        )
    if ("dropout" in name and not _is_off(node, graph)) or _attribute(node, "training_mode"):
        raise ModelRefused(
            f"Expected a graph exported in evaluation mode, got {node.op_type[:60]!r} in training "
            "mode. Call net.eval() before it is exported."
        )


def _is_off(dropout: Any, graph: Any) -> bool:
    """Whether a Dropout does nothing: its third input is left out, or is a constant False."""
    wanted = dropout.input[2] if len(dropout.input) > 2 else ""
    if not wanted:
        return dropout.op_type == "Dropout"
    constants = [tensor for tensor in getattr(graph, "initializer", ()) if tensor.name == wanted]
    for node in graph.node:
        if node.op_type == "Constant" and node.output[0] == wanted:
            constants += [attribute.t for attribute in node.attribute if attribute.name == "value"]
    if not constants or wanted in {getattr(value, "name", value) for value in graph.input}:
        return False
    return not any(
        any(tensor.int32_data) or any(tensor.raw_data) or tensor.external_data
        for tensor in constants
    )


def _attribute(node: Any, name: str) -> bool:
    return any(attribute.name == name and attribute.i for attribute in node.attribute)
