"""Labels of an ONNX graph are taken by name, and name the classes if they lead to an output."""

import numpy as np
import pytest
import torch

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from audits.models.flavours import onnx_labels  # noqa: E402
from audits.models.flavours.onnx_labels import all_labels, labels_of  # noqa: E402
from audits.models.flavours.onnx_net import OnnxNet  # noqa: E402

H, FLOAT, INT64 = onnx.helper, onnx.TensorProto.FLOAT, onnx.TensorProto.INT64
NUMBERED, NAMED = [5, 7, 6], ["cat", "dog", "eel"]
WEIGHTS = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)


def _classifier(label, scores="scores", **labels):
    return H.make_node(
        "LinearClassifier",
        ["flat"],
        [label, scores],
        domain="ai.onnx.ml",
        coefficients=WEIGHTS.ravel().tolist(),
        intercepts=[0.0] * 3,
        post_transform="NONE",
        **labels,
    )


def _model(nodes, *outputs, functions=()):
    """A graph of images (N, 4) whose outputs are (name, type, further dimensions)."""
    told = [H.make_tensor_value_info(name, kind, ["N", *rest]) for name, kind, rest in outputs]
    given = [H.make_tensor_value_info("flat", FLOAT, ["N", 4])]
    weights = onnx.numpy_helper.from_array(WEIGHTS.T.copy(), "weights")
    graph = H.make_graph(nodes, "graph", given, told, [weights])
    opsets = [H.make_opsetid("", 17), H.make_opsetid("ai.onnx.ml", 1), H.make_opsetid("own", 1)]
    return H.make_model(graph, opset_imports=opsets, ir_version=8, functions=functions)


LABEL, SCORES = ("label", INT64, []), ("scores", FLOAT, [3])
LOGITS = ("logits", FLOAT, [3])
CALL = H.make_node("Classify", ["flat"], ["scores"], domain="own")
LARGEST = H.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0)
PRODUCT = H.make_node("MatMul", ["flat", "weights"], ["logits"])


@pytest.mark.parametrize(
    ("labels", "numbers"),
    [
        ({"classlabels_ints": NUMBERED}, NUMBERED),  # by their names: 5 is the first class
        ({"classlabels_ints": [0, 1, 2]}, [0, 1, 2]),
        ({"classlabels_strings": NAMED}, NAMED),
    ],
)
def test_a_label_alone_is_taken_by_its_name(labels, numbers, tmp_path):
    kind = onnx.TensorProto.STRING if "classlabels_strings" in labels else INT64
    model = _model([_classifier("label", **labels)], ("label", kind, []))
    onnx.save(model, tmp_path / "model.onnx")
    images = torch.randn(20, 4)
    net = OnnxNet(tmp_path / "model.onnx")
    served = net.session.run(["label"], {"flat": images.numpy()})[0].tolist()
    found = net(images).tolist()
    assert len(set(served)) > 1
    assert [numbers[place] for place in found] == served
    assert found == (images @ torch.from_numpy(WEIGHTS.T)).argmax(1).tolist()


def test_a_number_is_a_place_if_labels_are_words(tmp_path):
    nodes = [
        _classifier("word", classlabels_strings=NAMED),
        H.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0),
    ]
    onnx.save(_model(nodes, LABEL), tmp_path / "model.onnx")
    images = torch.randn(20, 4)
    found = OnnxNet(tmp_path / "model.onnx")(images)
    assert found.tolist() == (images @ torch.from_numpy(WEIGHTS.T)).argmax(1).tolist()


def _in_branch():
    def branch(name, **labels):
        inner = _classifier(f"{name}_label", f"{name}_scores", **labels)
        return H.make_graph(
            [inner], name, [], [H.make_tensor_value_info(f"{name}_scores", FLOAT, ["N", 3])]
        )

    yes = onnx.numpy_helper.from_array(np.array(True), "yes")
    return [
        H.make_node("Constant", [], ["always"], value=yes),
        H.make_node(
            "If",
            ["always"],
            ["scores"],
            then_branch=branch("then", classlabels_strings=NAMED),
            else_branch=branch("else", classlabels_strings=NAMED),
        ),
    ]


def _in_function():
    inner = _classifier("label", classlabels_strings=NAMED)
    opsets = [H.make_opsetid("ai.onnx.ml", 1)]
    return H.make_function("own", "Classify", ["flat"], ["scores"], [inner], opsets)


@pytest.mark.parametrize(
    ("model", "found"),
    [
        (_model([_classifier("word", classlabels_strings=NAMED)], SCORES), tuple(NAMED)),
        (_model([_classifier("word", classlabels_ints=[0, 1, 2])], SCORES), None),
        (
            _model(
                [
                    _classifier("word", "raw", classlabels_strings=NAMED),
                    H.make_node("Normalizer", ["raw"], ["scores"], domain="ai.onnx.ml", norm="L1"),
                ],
                SCORES,
            ),
            tuple(NAMED),
        ),
        (_model([*_in_branch(), LARGEST], SCORES, LABEL), tuple(NAMED)),
        (_model([CALL, LARGEST], SCORES, LABEL, functions=[_in_function()]), tuple(NAMED)),
        (_model([CALL, PRODUCT], SCORES, LOGITS, functions=[_in_function()]), None),
    ],
    ids=["node", "numbers from 0", "normalised", "branch", "function", "no label"],
)
def test_labels_that_lead_to_an_output_name_the_classes(model, found):
    assert labels_of(model) == found
    assert found is None or set(all_labels(model)) == {found}


@pytest.mark.parametrize("functions", [[], [_in_function()]], ids=["node", "function"])
def test_labels_that_lead_nowhere_name_no_class_but_are_told(functions):
    dead = [] if functions else [_classifier("word", classlabels_strings=NAMED)]
    model = _model([PRODUCT, *dead], LOGITS, functions=functions)
    assert labels_of(model) is None
    assert all_labels(model) == [tuple(NAMED)]


def test_labels_of_scores_that_are_added_to_the_output_name_no_class():
    nodes = [
        _classifier("word", classlabels_strings=NAMED),
        H.make_node("Sub", ["scores", "scores"], ["nothing"]),
        PRODUCT,
        H.make_node("Add", ["logits", "nothing"], ["sum"]),
    ]
    model = _model(nodes, ("sum", FLOAT, [3]))
    assert labels_of(model) is None
    assert all_labels(model) == [tuple(NAMED)]


def test_a_function_that_calls_itself_has_an_end():
    call = H.make_node("Endless", ["flat"], ["scores"], domain="own")
    endless = H.make_function("own", "Endless", ["flat"], ["scores"], [call], [])
    assert labels_of(_model([call, LARGEST], SCORES, LABEL, functions=[endless])) is None


def test_functions_that_call_each_other_twice_have_an_end():
    def twice(n):
        called = f"f{n + 1}"
        nodes = [
            H.make_node(called, ["flat"], ["once"], domain="own"),
            H.make_node(called, ["once"], ["scores"], domain="own"),
        ]
        return H.make_function("own", f"f{n}", ["flat"], ["scores"], nodes, [])

    last = H.make_function(
        "own", "f40", ["flat"], ["scores"], [_classifier("word", classlabels_strings=NAMED)], []
    )
    first = H.make_node("f0", ["flat"], ["scores"], domain="own")
    model = _model([first, LARGEST], SCORES, LABEL, functions=[*map(twice, range(40)), last])
    assert labels_of(model) == tuple(NAMED)


def test_graphs_within_graphs_are_walked_once():
    graph = H.make_graph(
        [H.make_node("Identity", ["flat"], ["out"]) for _ in range(50)],
        "inner",
        [],
        [H.make_tensor_value_info("out", FLOAT, ["N", 4])],
    )
    for _ in range(30):
        branches = {"then_branch": graph, "else_branch": _in_graph(SCORES)}
        node = H.make_node("If", ["flat"], ["out"], **branches)
        graph = H.make_graph([node], "outer", [], [graph.output[0]])
    top = H.make_node("If", ["flat"], ["scores"], then_branch=graph, else_branch=_in_graph(SCORES))
    model = _model([top, LARGEST], SCORES, LABEL)
    walked = sum(1 for _ in onnx_labels._leading(model, {"scores"}))
    assert walked <= 50 + 3 * 31


def _in_graph(output):
    given = H.make_tensor_value_info(output[0], output[1], ["N", *output[2]])
    return H.make_graph([H.make_node("Identity", ["flat"], [output[0]])], "other", [], [given])


def test_numbers_from_0_end_the_search_but_names_of_the_metadata_are_read():
    nodes = [
        H.make_node("OneHotEncoder", ["flat"], ["hot"], domain="ai.onnx.ml", cats_int64s=[0, 255]),
        _classifier("label", classlabels_ints=[0, 1, 2]),
    ]
    nodes[1].input[0] = "hot"
    model = _model(nodes, LABEL, SCORES)
    assert labels_of(model) is None
    onnx.helper.set_model_props(model, {"names": str(dict(enumerate(NAMED)))})
    assert labels_of(model) == tuple(NAMED)
