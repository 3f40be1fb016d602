"""Products of whole numbers in an ONNX graph, which onnxruntime may leave unwritten.

If a product of matrices or a convolution of whole numbers has a sum without a term, its result is
what was in that memory before, such as a number of the call before. So one factor must be constant,
with sizes above 0. onnxruntime makes products of whole numbers out of others if it finds
DequantizeLinear before them; so all products are looked at in a graph that rounds values of images.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Set
from typing import Any

from audits.errors import ModelRefused, quoted
from audits.models.flavours.onnx_operators import domain_of

_MS = "com.microsoft"
# The inputs that are factors, one of which must be constant.
_OF_WHOLE_NUMBERS = {
    ("", "ConvInteger"): (1,),
    ("", "MatMulInteger"): (0, 1),
    ("", "QLinearConv"): (3,),
    ("", "QLinearMatMul"): (0, 3),
    (_MS, "DynamicQuantizeMatMul"): (0, 1),
    (_MS, "MatMulIntegerToFloat"): (0, 1),
    (_MS, "MatMulNBits"): (1,),
    (_MS, "QAttention"): (1,),
    (_MS, "QGemm"): (0, 3),
}
_OTHERS = {
    ("", "Conv"): (1,),
    ("", "ConvTranspose"): (1,),
    ("", "Einsum"): (0, 1),
    ("", "Gemm"): (0, 1),
    ("", "MatMul"): (0, 1),
    (_MS, "FusedConv"): (1,),
    (_MS, "FusedGemm"): (0, 1),
    (_MS, "FusedMatMul"): (0, 1),
}
# Of a tensor without a size of 0 they make another without.
_KEEPING = (
    *("Cast", "DequantizeLinear", "Flatten", "Identity", "QuantizeLinear", "Reshape", "Squeeze"),
    *("Transpose", "Unsqueeze"),
)


def constants_of(graph: Any) -> Mapping[str, Any]:
    """The TensorProto of each constant in a graph or function: weights, and nodes Constant.

    Names that are there twice are left out: an input of the same name may replace a weight.
    """
    found = [(tensor.name, tensor) for tensor in getattr(graph, "initializer", ())]
    others = [getattr(value, "name", value) for value in graph.input]
    for node in graph.node:
        if _is(node, ("Constant",)) and len(node.output) == len(node.attribute) == 1:
            (value,) = node.attribute
            if value.name == "value" and value.HasField("t") and not value.ref_attr_name:
                found.append((node.output[0], value.t))
                continue
        others += node.output
    names = Counter([*others, *(name for name, _ in found)])
    return {name: tensor for name, tensor in found if names[name] == 1}


def expect_terms(graphs: list[Any]) -> None:
    """Raises ModelRefused if a product of a model's graphs may have a sum without a term."""
    full = [_full(graph) for graph in graphs]
    rounds = any(
        node.op_type == "DequantizeLinear" and not set(node.input[:1]) <= names
        for graph, names in zip(graphs, full, strict=True)
        for node in graph.node
    )
    looked_at = _OF_WHOLE_NUMBERS | (_OTHERS if rounds else {})
    for graph, names in zip(graphs, full, strict=True):
        for node in graph.node:
            places = looked_at.get((domain_of(node.domain), node.op_type), ())
            factors = {node.input[place] for place in places if place < len(node.input)}
            if places and not factors & names:
                raise ModelRefused(
                    f"Expected a constant factor with sizes above 0 in {quoted(node.op_type)} of a "
                    "graph that rounds values to whole numbers, got none: onnxruntime may leave "
                    "its result unwritten. Quantise the weights alone, or dynamically."
                )


def _full(graph: Any) -> Set[str]:
    """Names of constants without a size of 0, and of what is made of them alone."""
    tensors = constants_of(graph)
    found = {name for name, tensor in tensors.items() if all(size > 0 for size in tensor.dims)}
    for node in graph.node:
        if _is(node, _KEEPING) and set(node.input[:1]) & found:
            found |= set(node.output[:1])
    return found


def _is(node: Any, names: Collection[str]) -> bool:
    """Whether a node is an operator of these names, and no function of the model's own."""
    return node.op_type in names and domain_of(node.domain) in ("", _MS)
