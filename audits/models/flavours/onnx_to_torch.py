"""Turns an ONNX graph into a torch network by onnx2torch, which knows operators up to opset 17.

Newer opsets mostly widen types or turn an attribute into an input. The converters of such operators
are registered again under the newer versions, and the graph is rewritten in the older way. Whoever
uses the result compares it with onnxruntime, so a change of meaning is found.
"""

import copy
import logging
from functools import cache
from typing import Any

from torch import Tensor, nn

_NEWEST = 25  # the latest version of an operator for which an older converter is tried


# The errors that converters raise for graphs that they do not know.
_ERRORS = (
    NotImplementedError,
    RuntimeError,
    AssertionError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
)


class Unconvertible(Exception):
    """The graph cannot be turned into a torch network."""


class _Reshape(nn.Module):
    """ONNX's Reshape to a constant shape, in which 0 keeps a length. torch can export it."""

    def __init__(self, shape: list[int]):
        super().__init__()
        self.shape = shape

    def forward(self, values: Tensor) -> Tensor:
        return values.reshape([values.shape[i] if n == 0 else n for i, n in enumerate(self.shape)])


def converted(model: Any, output: str) -> nn.Module:
    """The graph of a ModelProto as a torch network with its one `output`. Raises Unconvertible."""
    try:
        import onnx2torch
    except ImportError as error:
        raise Unconvertible(f"onnx2torch is not installed ({error})") from error
    _register()
    logging.getLogger("onnx2torch").setLevel(logging.ERROR)
    model = _older(copy.deepcopy(model))
    for value in list(model.graph.output):
        if value.name != output:
            model.graph.output.remove(value)
    try:
        net: nn.Module = onnx2torch.convert(model)
    except _ERRORS as error:
        raise Unconvertible(f"{type(error).__name__}: {str(error)[:120]}") from error
    for parameter in net.parameters():
        parameter.requires_grad_(False)
    return net.eval()


@cache
def _register() -> None:
    """Converters for newer versions of operators, and for two that need their own."""
    import onnx
    from onnx2torch.node_converters import registry
    from onnx2torch.node_converters.reshape import OnnxReshape
    from onnx2torch.utils.common import (
        OnnxMapping,
        OperationConverterResult,
        get_const_value,
        onnx_mapping_from_node,
    )

    def gelu(node: Any, graph: Any) -> Any:
        module = nn.GELU(approximate=node.attributes.get("approximate", "none"))
        return OperationConverterResult(module, onnx_mapping_from_node(node))

    def reshape(node: Any, graph: Any) -> Any:
        try:
            shape = get_const_value(node.input_values[1], graph).tolist()
        except KeyError:  # the shape is computed
            return OperationConverterResult(OnnxReshape(), onnx_mapping_from_node(node))
        if node.attributes.get("allowzero", 0) and 0 in shape:
            raise NotImplementedError("allowzero with a length of 0")
        mapping = OnnxMapping(inputs=(node.input_values[0],), outputs=node.output_values)
        return OperationConverterResult(_Reshape(shape), mapping)

    own = {"Gelu": gelu, "Reshape": reshape}
    known: dict[str, int] = {}
    for described in registry._CONVERTER_REGISTRY:
        if described.domain == "":
            version = max(described.version, known.get(described.operation_type, 0))
            known[described.operation_type] = version
    for schema in onnx.defs.get_all_schemas_with_history():
        name, version = schema.name, schema.since_version
        newer = known.get(name, 0) < version <= _NEWEST
        if schema.domain or not newer or (name not in known and name not in own):
            continue
        converter = own.get(name) or registry.get_converter(name, known[name])
        registry.add_converter(name, version)(converter)


def _older(model: Any) -> Any:
    """The graph with attributes in place of inputs that hold constants, as before opset 18."""
    from onnx import helper, numpy_helper

    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in list(graph.node):
        if node.op_type == "Identity" and node.input[0] in constants:
            # The older exporter shares equal weights by nodes without an operation.
            shared = copy.deepcopy(constants[node.input[0]])
            shared.name = node.output[0]
            graph.initializer.append(shared)
            constants[shared.name] = shared
            graph.node.remove(node)
        elif node.op_type == "Constant":
            for attribute in node.attribute:
                if attribute.name == "value":
                    constants[node.output[0]] = attribute.t
    for node in graph.node:
        reduces = node.op_type.startswith("Reduce") and node.op_type != "ReduceSum"
        if reduces and len(node.input) == 2 and node.input[1] in constants:
            axes = numpy_helper.to_array(constants[node.input[1]]).tolist()
            node.attribute.append(helper.make_attribute("axes", axes))
            del node.input[1]
    return model
