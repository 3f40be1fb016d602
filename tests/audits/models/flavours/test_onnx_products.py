"""Products of whole numbers whose sums may have no term are refused: they are left unwritten."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from audits.errors import ModelRefused  # noqa: E402
from audits.models.flavours.onnx_effects import expect_steady  # noqa: E402
from audits.models.flavours.onnx_file import expect_whole, model_of  # noqa: E402

h = onnx.helper
_MS = {"domain": "com.microsoft"}
_WEIGHTS = {"full": np.ones((3, 4), "u1"), "none": np.ones((0, 4), "u1"), "scale": np.float32(1)}


def _taken(*nodes, inputs=("x", "other")):
    """Raises ModelRefused unless a graph of these nodes is taken."""
    value = h.make_tensor_value_info
    graph = h.make_graph(
        nodes,
        "g",
        [value(name, 1, ["n", "m"]) for name in inputs],
        [value("y", 1, ["n", "m"])],
        [onnx.numpy_helper.from_array(np.asarray(one), name) for name, one in _WEIGHTS.items()],
    )
    expect_steady(h.make_model(graph, opset_imports=[h.make_opsetid("", 17)]))


def _of_whole_numbers(factor):
    return [
        h.make_node("MatMulInteger", ["x", factor], ["y"]),
        h.make_node("ConvInteger", ["x", factor], ["y"]),
        h.make_node("QLinearMatMul", ["x", "s", "z", factor, "s", "z", "s", "z"], ["y"]),
        h.make_node("QLinearConv", ["x", "s", "z", factor, "s", "z", "s", "z"], ["y"]),
        h.make_node("QGemm", ["x", "s", "z", factor, "s", "z"], ["y"], **_MS),
        h.make_node("DynamicQuantizeMatMul", ["x", factor, "s", "z"], ["y"], **_MS),
        h.make_node("MatMulIntegerToFloat", ["x", factor, "s", "s"], ["y"], **_MS),
    ]


@pytest.mark.parametrize("node", _of_whole_numbers("full"), ids=lambda node: node.op_type)
def test_products_with_constant_weights_are_taken(node):
    _taken(node)


@pytest.mark.parametrize("factor", ["other", "none", "", "nowhere"])
@pytest.mark.parametrize("place", range(7))
def test_products_of_whole_numbers_without_a_constant_factor_are_refused(place, factor):
    node = _of_whole_numbers(factor)[place]
    with pytest.raises(ModelRefused, match=f"a constant factor .* in '{node.op_type}'"):
        _taken(node)


def test_weights_that_an_input_may_replace_are_not_constant():
    with pytest.raises(ModelRefused, match="a constant factor"):
        _taken(h.make_node("MatMulInteger", ["x", "full"], ["y"]), inputs=("x", "full"))


_ROUND = [
    h.make_node("QuantizeLinear", ["x", "scale"], ["whole"]),
    h.make_node("DequantizeLinear", ["whole", "scale"], ["rounded"]),
    h.make_node("DequantizeLinear", ["full", "scale"], ["weights"]),
    h.make_node("Transpose", ["weights"], ["turned"]),
]


@pytest.mark.parametrize("kind", ["MatMul", "Gemm", "Einsum"])
def test_a_graph_that_rounds_values_needs_constant_factors(kind):
    """onnxruntime makes a product of whole numbers out of these nodes."""
    for factor in ("weights", "turned", "full"):
        _taken(*_ROUND, h.make_node(kind, ["rounded", factor], ["y"]))
    for factor in ("rounded", "other", "none"):
        with pytest.raises(ModelRefused, match=f"a constant factor .* in '{kind}'"):
            _taken(*_ROUND, h.make_node(kind, ["rounded", factor], ["y"]))


def test_a_graph_with_rounded_weights_alone_may_multiply_its_values():
    _taken(*_ROUND[2:], h.make_node("MatMul", ["x", "other"], ["y"]))


@pytest.mark.parametrize("kind", ["dynamic", "QDQ", "QOperator"])
def test_networks_that_onnxruntime_quantises_are_taken(kind, tmp_path):
    quantization = pytest.importorskip("onnxruntime.quantization")
    _network(tmp_path / "net.onnx")
    made = tmp_path / f"{kind}.onnx"
    if kind == "dynamic":
        quantization.quantize_dynamic(tmp_path / "net.onnx", made)
    else:
        quantization.quantize_static(
            tmp_path / "net.onnx",
            made,
            _Images(),
            quant_format=quantization.QuantFormat[kind],
        )
    model = model_of(made)
    kinds = {node.op_type for node in model.graph.node}
    whole = {"dynamic": "ConvInteger", "QDQ": "DequantizeLinear", "QOperator": "QLinearConv"}
    assert whole[kind] in kinds
    expect_whole(model)
    expect_steady(model)


class _Images:
    """What onnxruntime's quantiser reads to find the ranges of values."""

    def __init__(self):
        self.left = iter([np.random.default_rng(i).random((1, 1, 8, 8), "f4") for i in range(2)])

    def get_next(self):
        images = next(self.left, None)
        return None if images is None else {"x": images}


def _network(file):
    """Convolution, pooling and a last layer, as exporters write them."""
    rng, value = np.random.default_rng(0), h.make_tensor_value_info
    weights = {"k": rng.normal(size=(4, 1, 3, 3)), "w": rng.normal(size=(4, 3)), "b": np.ones(3)}
    nodes = [
        h.make_node("Conv", ["x", "k"], ["c"], kernel_shape=[3, 3]),
        h.make_node("Relu", ["c"], ["r"]),
        h.make_node("GlobalAveragePool", ["r"], ["p"]),
        h.make_node("Flatten", ["p"], ["f"]),
        h.make_node("Gemm", ["f", "w", "b"], ["logits"]),
    ]
    graph = h.make_graph(
        nodes,
        "net",
        [value("x", 1, ["n", 1, 8, 8])],
        [value("logits", 1, ["n", 3])],
        [onnx.numpy_helper.from_array(one.astype("f4"), name) for name, one in weights.items()],
    )
    onnx.save(h.make_model(graph, opset_imports=[h.make_opsetid("", 17)], ir_version=8), str(file))
