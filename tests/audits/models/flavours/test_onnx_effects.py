"""ONNX graphs that could remember their calls are refused: all that draw, train, or are unknown."""

import numpy as np
import pytest

from audits.errors import ModelRefused

onnx = pytest.importorskip("onnx")

from audits.models.flavours import onnx_effects as effects  # noqa: E402
from audits.models.flavours import onnx_operators as operators  # noqa: E402

_FLAG = onnx.TensorProto.BOOL


def _node(kind, inputs=("x",), domain="", **attributes):
    return onnx.helper.make_node(kind, list(inputs), ["y"], domain=domain, **attributes)


def _graph(*nodes, constants=()):
    value = onnx.helper.make_tensor_value_info
    tensors = [onnx.numpy_helper.from_array(np.asarray(v), name) for name, v in constants]
    return onnx.helper.make_graph(
        nodes, "g", [value("x", 1, ["n", 2])], [value("y", 1, ["n", 2])], tensors
    )


def _model(graph, functions=(), **versions):
    versions = {"": 17} | {name.replace("_", "."): number for name, number in versions.items()}
    opsets = [onnx.helper.make_opsetid(name, number) for name, number in versions.items()]
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
    # Before opset 14 onnxruntime trains if there are further outputs.
    onnx.helper.make_node("BatchNormalization", list("xabcd"), ["y", "mean", "var", "m", "v"]),
    onnx.helper.make_node("BatchNormalization", list("xabcd"), ["y", ""]),
]
_CONSTANTS = (("ratio", np.float32(0.5)), ("on", True), ("off", False))


def _function(*nodes, domain="own", name="F", attributes=()):
    opsets = [onnx.helper.make_opsetid("", 17)]
    return onnx.helper.make_function(
        domain, name, ["x"], ["y"], nodes, opsets, attributes=list(attributes)
    )


def _by_attribute(kind, inputs, of, **attribute):
    """A node whose attribute is given by who calls the function that it is in."""
    node = _node(kind, inputs, **attribute)
    node.attribute[0].ref_attr_name = of
    return node


@pytest.mark.parametrize("node", _DRAWS, ids=lambda node: node.op_type)
@pytest.mark.parametrize("place", ["graph", "subgraph", "subgraph of a subgraph", "function"])
def test_random_numbers_are_refused_wherever_they_are_drawn(node, place):
    graph, functions = _graph(node), []
    for _ in range({"subgraph": 1, "subgraph of a subgraph": 2}.get(place, 0)):
        graph = _graph(_node("If", ("flag",), then_branch=graph, else_branch=_graph(_node("Abs"))))
    if place == "function":
        functions = [_function(node)]
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


def test_a_mode_that_the_caller_of_a_function_gives_is_refused():
    """An attribute in a function may stand for another of the node that calls it."""
    trains = _by_attribute("BatchNormalization", list("xabcd"), "mode", training_mode=0)
    off = onnx.numpy_helper.from_array(np.asarray(False))
    constant = _by_attribute("Constant", (), "flag", value=off)
    constant.output[0] = "on"
    drops = _function(constant, _node("Dropout", ("x", "", "on")), attributes=["flag"])
    for function in (_function(trains, attributes=["mode"]), drops):
        model = _model(_graph(_node("F", domain="own")), [function])
        with pytest.raises(ModelRefused, match="exported in evaluation mode"):
            effects.expect_steady(model)


@pytest.mark.parametrize(
    ("node", "told"),
    [
        (_node("Foo"), "got 'Foo' of 'ai.onnx'"),
        (_node("Relu", domain="my.ops"), "got 'Relu' of 'my.ops'"),
        (_node("Relu", domain="com.microsoft"), "got 'Relu' of 'com.microsoft'"),
        (_node("CausalConvWithState", domain="com.microsoft"), "got 'CausalConvWithState'"),
        (_node("EPContext", domain="com.microsoft"), "got 'EPContext'"),
        (_node("Momentum", domain="ai.onnx.preview.training"), "got 'Momentum'"),
        (_node("LSTM", ("x", "w", "r")), "got 'LSTM'"),
        (_node("ImageDecoder"), "got 'ImageDecoder'"),
        (_node("QLinearWhere", domain="com.microsoft"), "got 'QLinearWhere'"),
    ],
)
def test_operators_that_are_not_on_the_list_are_refused_by_name(node, told):
    with pytest.raises(ModelRefused, match=f"Expected operators of ONNX that .*, {told}"):
        effects.expect_steady(_model(_graph(node)))


@pytest.mark.parametrize(
    "domain", ["", "ai.onnx", "ai.onnx.ml", "com.microsoft", "com.ms.internal"]
)
def test_functions_that_are_called_like_operators_are_refused(domain):
    model = _model(_graph(_node("Relu")), [_function(_node("Abs"), domain=domain, name="Relu")])
    with pytest.raises(ModelRefused, match="functions in domains of their own, got 'Relu'"):
        effects.expect_steady(model)


def test_a_function_called_constant_is_no_constant():
    found = onnx.helper.make_node(
        "Constant", [], ["on"], "", value=onnx.numpy_helper.from_array(np.asarray(False))
    )
    found.domain = "own"
    graph = _graph(found, _node("Dropout", ("x", "", "on")))
    with pytest.raises(ModelRefused, match="exported in evaluation mode"):
        effects.expect_steady(_model(graph, [_function(_node("Abs"), name="Constant")]))


@pytest.mark.parametrize("versions", [{"": 6}, {"": 29}, {"ai_onnx": 6}, {"com_microsoft": 2}])
def test_versions_of_operators_that_nobody_has_read_are_refused(versions):
    with pytest.raises(ModelRefused, match=r"Expected opset \d+ to \d+ of the operators of"):
        effects.expect_steady(_model(_graph(_node("Abs")), **versions))


@pytest.mark.parametrize("kind", ["Linear", "SVM", "TreeEnsemble"])
def test_scores_that_are_left_unwritten_are_refused(kind):
    own = {"domain": "ai.onnx.ml", "post_transform": "PROBIT"}
    with pytest.raises(ModelRefused, match=f"'{kind}Classifier' with probabilities .*, got PROBIT"):
        effects.expect_steady(_model(_graph(_node(f"{kind}Classifier", **own))))
    effects.expect_steady(
        _model(_graph(_node(f"{kind}Classifier", **own | {"post_transform": "NONE"})))
    )


@pytest.mark.parametrize(
    "node",
    [
        _node("Attention", ("q", "k", "v", "", "past", "past")),
        _node("Attention", ("x", "w", "b", "", "past"), domain="com.microsoft"),
        _node("MultiHeadAttention", ("q", "k", "v", "", "", "", "p", "p"), domain="com.microsoft"),
    ],
)
def test_keys_of_earlier_calls_are_refused(node):
    with pytest.raises(ModelRefused, match="Export the model without a cache"):
        effects.expect_steady(_model(_graph(node)))


def test_every_operator_on_the_list_is_known_to_onnxruntime():
    runtime = pytest.importorskip("onnxruntime.capi.onnxruntime_pybind11_state")
    known = {(one.domain, one.name) for one in runtime.get_all_operator_schema()}
    listed = {(domain, name) for domain, names in operators.ALLOWED.items() for name in names}
    assert listed <= known
    assert len(listed) > 200
