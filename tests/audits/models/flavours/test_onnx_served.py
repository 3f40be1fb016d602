"""The answers of an ONNX model are those of onnxruntime, which serves it, for every image."""

import numpy as np
import pytest
import torch
from torch import nn

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnx2torch")

from audits.errors import ModelRefused  # noqa: E402
from audits.models.flavours import onnx_net  # noqa: E402
from audits.models.flavours.onnx import Onnx  # noqa: E402
from audits.models.flavours.onnx_net import OnnxNet  # noqa: E402
from audits.models.flavours.onnx_session import expect_plain_session  # noqa: E402
from fillblanks.precision import rounding_of  # noqa: E402


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10)).eval()


@pytest.fixture(scope="module")
def file(net, tmp_path_factory):
    path = tmp_path_factory.mktemp("exported") / "model.onnx"
    axes = ({0: torch.export.Dim("batch")},)
    example = (torch.rand(2, 3, 8, 8),)
    torch.onnx.export(net, example, path, dynamo=True, dynamic_shapes=axes, verbose=False)
    return path


def _switched(net, of):
    """A conversion that is wrong for images whose first pixel is 0.5."""

    class Wrong(nn.Module):
        def forward(self, x):
            return torch.where((x[:, 0, 0, :1] == 0.5), of(net(x)), net(x))

    return lambda model, output: Wrong()


def _grey(rows):
    images = torch.rand(rows, 3, 8, 8)
    images[:, 0, 0, 0] = 0.5
    return images


def test_steps_of_a_whole_batch_are_allowed_for(net, file, tmp_path):
    quantization = pytest.importorskip("onnxruntime.quantization")
    quantization.quantize_dynamic(file, tmp_path / "dynamic.onnx")
    assert rounding_of(OnnxNet(file)).share == 1e-3
    assert rounding_of(OnnxNet(tmp_path / "dynamic.onnx")).share == 1 / 16


@pytest.mark.slow
def test_after_a_gradient_other_answers_than_those_that_serve_are_an_error(net, file, monkeypatch):
    monkeypatch.setattr(onnx_net, "converted", _switched(net, lambda logits: logits.roll(1, 1)))
    graph = OnnxNet(file)
    images = torch.rand(300, 3, 8, 8)
    torch.testing.assert_close(graph(images), net(images).detach(), rtol=1e-4, atol=1e-5)
    assert graph(images[:2].requires_grad_()).requires_grad
    grey = _grey(20)
    # Three of some 300 are taken for rounding; even for them onnxruntime, which serves, answers.
    torch.testing.assert_close(graph(grey[:3]), net(grey[:3]).detach(), rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match=r"as in onnxruntime, .* it answers differently by"):
        graph(grey)


def test_a_large_sum_hides_no_other_class(net, file, monkeypatch):
    far = torch.zeros(10)
    far[-1] = -1e9

    class Far(nn.Module):
        def __init__(self, more, wrong):
            super().__init__()
            self.more, self.wrong = more, wrong

        def forward(self, x):
            logits = net(x) + self.more
            return logits.roll(1, 1) if self.wrong else logits

    for more in (1e6, far):
        for wrong in (False, True):
            monkeypatch.setattr(onnx_net, "converted", lambda m, o: Far(more, wrong))  # noqa: B023
            monkeypatch.setattr(OnnxNet, "_run", lambda own, x: (net(x) + more).detach())  # noqa: B023
            graph = OnnxNet(file)
            graph(torch.rand(8, 3, 8, 8))
            assert ("answers differently" in graph.reason) == wrong


def test_operators_that_the_conversion_takes_otherwise_change_no_prediction(tmp_path):
    """onnx2torch takes CumSum without `reverse` as reversed: it sees a switch that is not there."""
    h, number = onnx.helper, onnx.numpy_helper.from_array
    nodes = [
        h.make_node("Flatten", ["x"], ["flat"]),
        h.make_node("MatMul", ["flat", "weights"], ["logits"]),
        h.make_node("ReduceMax", ["flat"], ["most"], axes=[1], keepdims=1),
        h.make_node("Less", ["most", "dark"], ["less"]),
        h.make_node("Cast", ["less"], ["flag"], to=1),
        h.make_node("Mul", ["flag", "zero"], ["nothing"]),
        h.make_node("Concat", ["nothing", "flag"], ["pair"], axis=1),
        h.make_node("CumSum", ["pair", "axis"], ["sums"]),
        h.make_node("Gather", ["sums", "first"], ["switch"], axis=1),
        h.make_node("Sub", ["flag", "switch"], ["on"]),
        h.make_node("Mul", ["on", "change"], ["more"]),
        h.make_node("Add", ["logits", "more"], ["answer"]),
    ]
    generator = np.random.default_rng(0)
    values = {
        "weights": generator.normal(size=(64, 3)).astype(np.float32),
        "dark": np.float32(0.3),
        "zero": np.float32(0),
        "axis": np.array(1),
        "first": np.array([0]),
        "change": np.array([[100, 0, -100]], np.float32),
    }
    graph = h.make_graph(
        nodes,
        "switched",
        [h.make_tensor_value_info("x", 1, ["n", 1, 8, 8])],
        [h.make_tensor_value_info("answer", 1, ["n", 3])],
        [number(np.asarray(value), name) for name, value in values.items()],
    )
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(tmp_path / "model.onnx"))
    net = OnnxNet(tmp_path / "model.onnx")
    bright, dark = torch.rand(8, 1, 8, 8), torch.rand(4, 1, 8, 8) * 0.2
    assert net(bright.requires_grad_()).requires_grad
    with pytest.raises(ValueError, match="Expected the ONNX graph to answer in torch"):
        net(dark)
    again = OnnxNet(tmp_path / "model.onnx")
    (served,) = again.session.run(["answer"], {"x": dark.numpy()})
    np.testing.assert_allclose(again(dark), served, rtol=1e-5)


def _labelled(operator):
    """The class of the largest of eight pixels, and a label by `operator`."""
    h = onnx.helper
    nodes = [
        h.make_node("Flatten", ["x"], ["probabilities"]),
        h.make_node(operator, ["probabilities"], ["label"], axis=1, keepdims=0),
    ]
    value = h.make_tensor_value_info
    outputs = [value("label", 7, ["n"]), value("probabilities", 1, ["n", 8])]
    graph = h.make_graph(nodes, "labelled", [value("x", 1, ["n", 1, 2, 4])], outputs)
    return h.make_model(graph, opset_imports=[h.make_opsetid("", 17)], ir_version=8)


def test_a_label_that_is_another_class_than_the_audited_output_is_refused(tmp_path):
    images = torch.rand(5, 1, 2, 4)
    onnx.save(_labelled("ArgMax"), str(tmp_path / "good.onnx"))
    torch.testing.assert_close(OnnxNet(tmp_path / "good.onnx")(images), images.flatten(1))
    onnx.save(_labelled("ArgMin"), str(tmp_path / "bad.onnx"))
    with pytest.raises(ModelRefused, match=r"got another one from 'label' than from 'probab"):
        OnnxNet(tmp_path / "bad.onnx")(images)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("onnx_session_options", {"extra_session_config": {"session.set_denormal_as_zero": "1"}}),
        ("onnx_session_options", {"graph_optimization_level": 1}),
        ("providers", ["DmlExecutionProvider"]),
        ("providers", [["CUDAExecutionProvider", {"use_tf32": "1"}]]),
    ],
)
def test_settings_that_change_answers_where_mlflow_serves_are_refused(key, value):
    plain = {
        "graph_optimization_level": 99,
        "intra_op_num_threads": 1,
        "execution_mode": "PARALLEL",
    }
    given = ["CUDAExecutionProvider", "CPUExecutionProvider"]  # as MLflow writes them
    good = {"onnx_session_options": plain, "providers": given}
    expect_plain_session(good)
    expect_plain_session({"onnx_session_options": None, "providers": "CPUExecutionProvider"})
    with pytest.raises(ModelRefused, match="the server may answer otherwise"):
        expect_plain_session({**good, key: value})


@pytest.mark.parametrize("place", ["values", "indices", "sparse attribute", "subgraph"])
def test_weights_outside_the_folder_are_found_wherever_a_graph_holds_them(place, tmp_path):
    model = _labelled("ArgMax")
    sparse = onnx.SparseTensorProto(dims=[8])
    node = model.graph.node[0]
    if place == "sparse attribute":
        kind = onnx.AttributeProto.SPARSE_TENSOR
        node.attribute.add(name="sparse_value", type=kind)
        tensor = node.attribute[-1].sparse_tensor.values
    elif place == "subgraph":
        node.attribute.add(name="body", type=onnx.AttributeProto.GRAPH)
        tensor = node.attribute[-1].g.sparse_initializer.add().values
    else:
        model.graph.sparse_initializer.append(sparse)
        tensor = getattr(model.graph.sparse_initializer[0], place)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../secret.bin")
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelRefused, match=r"weights inside its folder, got '../secret.bin'"):
        Onnx().check(tmp_path / "model.onnx", trusted=False)
