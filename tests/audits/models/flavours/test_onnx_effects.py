"""ONNX graphs that draw random numbers or train are refused: by them a model counts its calls."""

import numpy as np
import pytest

from audits.errors import ModelRefused

onnx = pytest.importorskip("onnx")
effects = pytest.importorskip("audits.models.flavours.onnx_effects")

_FLAG = onnx.TensorProto.BOOL


def _node(kind, inputs=("x",), domain="", **attributes):
    return onnx.helper.make_node(kind, list(inputs), ["y"], domain=domain, **attributes)


def _graph(*nodes, constants=()):
    value = onnx.helper.make_tensor_value_info
    tensors = [onnx.numpy_helper.from_array(np.asarray(v), name) for name, v in constants]
    return onnx.helper.make_graph(
        nodes, "g", [value("x", 1, ["n", 2])], [value("y", 1, ["n", 2])], tensors
    )


def _model(graph, functions=()):
    opsets = [onnx.helper.make_opsetid("", 17)]
    return onnx.helper.make_model(graph, functions=functions, opset_imports=opsets)


_DRAWS = [
    _node("RandomUniform", (), shape=[1], seed=7.0),
    _node("RandomNormal", (), shape=[1]),
    _node("RandomUniformLike"),
    _node("RandomNormalLike"),
    _node("Bernoulli"),
    _node("Multinomial"),
    _node("Sampling", domain="com.microsoft"),
]
_TRAINS = [
    _node("Dropout", ("x", "ratio", "on")),
    _node("Dropout", ("x", "ratio", "computed"), seed=3),
    _node("BiasDropout", ("x", "bias", "", "ratio", "on"), domain="com.microsoft"),
    _node("BatchNormalization", ("x", "a", "b", "c", "d"), training_mode=1),
]
_CONSTANTS = (("ratio", np.float32(0.5)), ("on", True), ("off", False))


@pytest.mark.parametrize("node", _DRAWS, ids=lambda node: node.op_type)
@pytest.mark.parametrize("place", ["graph", "subgraph", "subgraph of a subgraph", "function"])
def test_random_numbers_are_refused_wherever_they_are_drawn(node, place):
    graph, functions = _graph(node), []
    for _ in range({"subgraph": 1, "subgraph of a subgraph": 2}.get(place, 0)):
        graph = _graph(_node("If", ("flag",), then_branch=graph, else_branch=_graph(_node("Abs"))))
    if place == "function":
        opsets = [onnx.helper.make_opsetid("", 17)]
        functions = [onnx.helper.make_function("own", "F", ["x"], ["y"], [node], opsets)]
        graph = _graph(_node("F", domain="own"))
    with pytest.raises(ModelRefused, match=f"'{node.op_type}', which draws random numbers"):
        effects.expect_steady(_model(graph, functions))


@pytest.mark.parametrize("node", _TRAINS, ids=lambda node: node.op_type)
def test_operators_in_training_mode_are_refused(node):
    with pytest.raises(ModelRefused, match="exported in evaluation mode"):
        effects.expect_steady(_model(_graph(node, constants=_CONSTANTS)))


def test_a_constant_of_two_values_does_not_switch_dropout_off():
    both = onnx.helper.make_node(
        "Constant", [], ["off"], value=onnx.numpy_helper.from_array(np.asarray(True))
    )
    graph = _graph(both, _node("Dropout", ("x", "ratio", "off")), constants=_CONSTANTS)
    with pytest.raises(ModelRefused, match="exported in evaluation mode"):
        effects.expect_steady(_model(graph))
    graph = _graph(_node("Dropout", ("x", "ratio", "off")), constants=_CONSTANTS)
    graph.input.append(onnx.helper.make_tensor_value_info("off", _FLAG, []))
    with pytest.raises(ModelRefused, match="exported in evaluation mode"):
        effects.expect_steady(_model(graph))


@pytest.mark.parametrize("inputs", [("x",), ("x", "ratio"), ("x", "ratio", "off")], ids=len)
def test_a_dropout_that_does_nothing_is_taken(inputs):
    effects.expect_steady(_model(_graph(_node("Dropout", inputs), constants=_CONSTANTS)))
