"""An ONNX graph that looks at the form of its input, or at onnxruntime's threads, is refused."""

import math

import numpy as np
import pytest
import torch
from mlflow.models import Model

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from audits.errors import Contradicted, ModelRefused  # noqa: E402
from audits.execution import asking, served_batches  # noqa: E402
from audits.execution.served_forms import expect_same_answers  # noqa: E402
from audits.execution.server_settings import settings  # noqa: E402
from audits.models.flavours.onnx import Onnx  # noqa: E402
from audits.models.flavours.onnx_net import OnnxNet  # noqa: E402
from fillblanks import Classifier  # noqa: E402

h = onnx.helper


def _step(value, found):
    """Nodes that give 1 in `found` for a `value` above 0, and else 0."""
    product = h.make_node("Mul", [value, "huge"], [f"{found} huge"])
    return [product, h.make_node("Clip", [f"{found} huge", "zero", "one"], [found])]


# Each gives `lie`, 1 or 0: (N, 1), or a number for the whole batch.
_WHOLE = [
    h.make_node("Round", ["flat"], ["round"]),
    h.make_node("Sub", ["flat", "round"], ["off"]),
    h.make_node("Abs", ["off"], ["away"]),
    h.make_node("ReduceMax", ["away"], ["most"], axes=[1], keepdims=1),
    *_step("most", "no"),
    h.make_node("Sub", ["one", "no"], ["lie"]),
]
_BETWEEN = [
    *_WHOLE[:3],
    h.make_node("Sub", ["away", "tenth"], ["far"]),
    h.make_node("ReduceMax", ["far"], ["most"], axes=[1], keepdims=1),
    *_step("most", "lie"),
]
_ROWS = [
    h.make_node("Shape", ["x"], ["shape"]),
    h.make_node("Gather", ["shape", "index"], ["rows"], axis=0),
    h.make_node("Div", ["rows", "thousand"], ["thousands"]),
    h.make_node("Cast", ["thousands"], ["count"], to=1),
    *_step("count", "lie"),
]


def _lying(nodes, **values):
    """Levels of 64 pixels to 4 logits, which are the opposite ones if `lie` is 1."""
    start = [
        h.make_node("Flatten", ["x"], ["flat"]),
        h.make_node("MatMul", ["flat", "weights"], ["logits"]),
    ]
    end = [
        h.make_node("Mul", ["lie", "minus two"], ["twice"]),
        h.make_node("Add", ["one", "twice"], ["sign"]),
        h.make_node("Mul", ["logits", "sign"], ["answer"]),
    ]
    return _model([*start, *nodes, *end], "answer", ["n", 4], **values)


def _model(nodes, output, shape, **values):
    values |= {"weights": np.random.default_rng(0).normal(size=(64, 4))}
    values |= {"zero": 0, "one": 1, "minus two": -2, "tenth": 0.1, "huge": 1e30}
    arrays = {name: np.float32(value) for name, value in values.items()}
    arrays |= {"index": np.array(0), "thousand": np.array(1000)}
    graph = h.make_graph(
        nodes,
        "crafted",
        [h.make_tensor_value_info("x", 1, ["n", 1, 8, 8])],
        [h.make_tensor_value_info(output, 1, shape)],
        [onnx.numpy_helper.from_array(value, name) for name, value in arrays.items()],
    )
    opsets = [h.make_opsetid("", 13), h.make_opsetid("ai.onnx.ml", 3)]
    return h.make_model(graph, opset_imports=opsets, ir_version=8)


def _sum_of_trees(rows=64, trees=500):
    """Nodes that give a `sum`, which is rounded by the number of threads that share the trees."""
    weights = np.random.default_rng(0).normal(size=trees)
    every = np.arange(trees)
    trees_node = h.make_node(
        "TreeEnsembleRegressor",
        ["rows of ones"],
        ["sums"],
        domain="ai.onnx.ml",
        n_targets=1,
        nodes_treeids=every.repeat(3).tolist(),
        nodes_nodeids=[0, 1, 2] * trees,
        nodes_featureids=[0] * 3 * trees,
        nodes_values=[0.5, 0.0, 0.0] * trees,
        nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"] * trees,
        nodes_truenodeids=[1, 0, 0] * trees,
        nodes_falsenodeids=[2, 0, 0] * trees,
        target_treeids=every.repeat(2).tolist(),
        target_nodeids=[1, 2] * trees,
        target_ids=[0, 0] * trees,
        target_weights=weights.repeat(2).tolist(),
    )
    return [
        h.make_node("ReduceMax", ["x"], ["brightest"], keepdims=0),
        h.make_node("Mul", ["brightest", "zero"], ["nothing"]),  # or it is folded when loaded
        h.make_node("Add", ["ones", "nothing"], ["rows of ones"]),
        trees_node,
        h.make_node("ReduceMax", ["sums"], ["sum"], keepdims=0),
    ], np.ones((rows, 1))


def _net(model, folder, **own):
    onnx.save(model, str(folder / "model.onnx"))
    return OnnxNet(folder / "model.onnx", **own)


@pytest.fixture(scope="module")
def trees():
    """Nodes with a `sum` of trees, the rows that they need, and their sum on this machine."""
    nodes, ones = _sum_of_trees()
    model = _model(nodes, "sum", [], ones=ones).SerializeToString()
    (usual,) = onnxruntime.InferenceSession(model).run(None, {"x": np.ones((1, 1, 8, 8), "f4")})
    return nodes, {"ones": ones, "usual": usual}


@pytest.fixture(autouse=True)
def _unhurried(monkeypatch):
    """Each form and batch is asked, however busy the machine is."""
    monkeypatch.setattr(asking, "_QUICK", math.inf)
    monkeypatch.setattr(served_batches, "_SECONDS", dict.fromkeys((64, 256, 1024), 60.0))


@pytest.fixture
def levels():
    return torch.randint(0, 256, (20, 1, 8, 8)).float()


def _ask(net, levels):
    """Asks a network of levels of 8 bits as an audit asks when a model is opened."""
    classifier = Classifier(net, mean=0.0, std=1 / 255)
    only_classes = net.graph is None
    expect_same_answers(classifier, levels / 255, only_classes=only_classes, norm=([0], [1 / 255]))


@pytest.mark.parametrize(
    ("nodes", "form"),
    [
        (_WHOLE, "by another formula"),
        (_BETWEEN, "between the levels"),
        (_ROWS, "in a batch of 1,0"),
    ],
    ids=["last bits", "between levels", "rows"],
)
def test_a_graph_that_looks_at_the_form_of_its_input_is_refused(nodes, form, levels, tmp_path):
    with pytest.raises(Contradicted, match=f"got other answers to 16 of 16 images .*{form}"):
        _ask(_net(_lying(nodes), tmp_path), levels)


def test_a_graph_that_tells_threads_of_onnxruntime_apart_is_refused(trees, levels, tmp_path):
    nodes, values = trees
    lie = [
        h.make_node("Sub", ["sum", "usual"], ["apart"]),
        h.make_node("Abs", ["apart"], ["distance"]),
        *_step("distance", "lie"),
    ]
    with pytest.raises(
        Contradicted, match=r"got other answers to 16 of 16 images with \d+ threads"
    ):
        _ask(_net(_lying([*nodes, *lie], **values), tmp_path), levels)


def test_a_graph_whose_sums_depend_on_threads_is_not_refused(trees, levels, tmp_path):
    nodes, values = trees
    tiny = [h.make_node("Mul", ["sum", "tiny"], ["lie"])]
    _ask(_net(_lying([*nodes, *tiny], tiny=1e-9, **values), tmp_path), levels)


def test_the_number_of_threads_that_a_model_states_is_asked_first(levels, tmp_path):
    model = _lying([h.make_node("Sub", ["one", "one"], ["lie"])])
    onnx.save(model, str(tmp_path / "model.onnx"))
    entry = {"data": "model.onnx", "onnx_session_options": {"intra_op_num_threads": 7}}
    conf = Model(flavors={"onnx": entry})
    conf.save(str(tmp_path / "MLmodel"))
    flavour = Onnx()
    net = flavour.load(tmp_path, flavour.data(tmp_path, conf), "cpu", trusted=False)
    usual = net.session
    form, inside = next(settings(net, many=False))
    assert form == "with 7 threads"
    with inside:
        assert net.session.get_session_options().intra_op_num_threads == 7
    assert net.session is usual
    entry["onnx_session_options"]["intra_op_num_threads"] = 10**6
    with pytest.raises(ModelRefused, match=r"up to 256, .*got 'intra_op_num_threads: 1000000'"):
        flavour.data(tmp_path, Model(flavors={"onnx": entry}))
