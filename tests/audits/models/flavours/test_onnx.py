"""ONNX graphs run in torch, with gradients, if they agree with onnxruntime; else they run in it."""

import mlflow
import numpy as np
import pytest
import torch
from mlflow.models import ModelSignature, infer_signature
from mlflow.types import Schema, TensorSpec
from sklearn.linear_model import LogisticRegression
from torch import nn

from audits.errors import ModelRefused
from audits.models.files import inspect
from audits.models.flavours import onnx_net
from audits.models.flavours.onnx_to_torch import Unconvertible
from audits.models.preprocessing import Preprocessing

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnx2torch")


class _Net(nn.Module):
    """Convolution, means over axes, a flatten and a GELU: all changed in later opsets."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.GELU())
        self.pool = nn.AvgPool2d(2)
        self.head = nn.Linear(8 + 72, 10)

    def forward(self, x):
        x = self.stem(x)
        return self.head(torch.cat([x.mean((2, 3)), self.pool(x).flatten(1)], 1))


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return _Net().eval()


def _export(net, file, dynamo=True, dynamic=True, shape=(2, 3, 8, 8)):
    example = (torch.rand(shape),)
    if dynamo:
        axes = ({0: torch.export.Dim("batch")},) if dynamic else None
        torch.onnx.export(net, example, file, dynamo=True, dynamic_shapes=axes, verbose=False)
    else:
        axes = {"x": {0: "batch"}} if dynamic else None
        torch.onnx.export(net, example, file, dynamo=False, input_names=["x"], dynamic_axes=axes)
    return onnx.load(str(file))


@pytest.fixture(scope="module")
def exported_bytes(net, tmp_path_factory):
    file = tmp_path_factory.mktemp("exported") / "net.onnx"
    return _export(net, file).SerializeToString()


@pytest.fixture
def exported(exported_bytes):
    """The network as torch exports it by default, for any batch."""
    return onnx.load_model_from_string(exported_bytes)


def _save(model, folder, **arguments):
    mlflow.onnx.save_model(model, str(folder), pip_requirements=["onnx"], **arguments)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("dynamo", [True, False], ids=["dynamo", "legacy"])
def test_an_export_of_torch_has_gradients_and_needs_no_trust(
    dynamo, net, exported, tmp_path, loaded
):
    model = exported if dynamo else _export(net, tmp_path / "net.onnx", dynamo=False)
    folder = _save(model, tmp_path / "model")
    files = inspect(folder, Preprocessing())
    assert not files.trusted
    contract = files.contract
    assert (contract.fit.channels, contract.fit.height, contract.layout) == (3, 8, "NCHW")
    assert contract.source("height") == "the ONNX graph"
    graph = loaded(files)
    assert graph.reason == ""
    images = torch.rand(3, 3, 8, 8, requires_grad=True)
    torch.testing.assert_close(graph(images), net(images), rtol=1e-4, atol=1e-5)
    (gradient,) = torch.autograd.grad(graph(images)[:, 1].sum(), images)
    (expected,) = torch.autograd.grad(net(images)[:, 1].sum(), images)
    torch.testing.assert_close(gradient, expected, rtol=1e-3, atol=1e-6)


def test_the_first_images_are_compared_and_a_wrong_conversion_is_given_up(
    net, exported, tmp_path, loaded, monkeypatch
):
    """A conversion that is right for random inputs and wrong for the audit's own images."""
    folder = _save(exported, tmp_path / "model")
    files = inspect(folder, Preprocessing())

    class Wrong(nn.Module):
        def forward(self, x):
            return net(x) + (0.1 if (x == 0.5).all() else 0.0)

    monkeypatch.setattr(onnx_net, "converted", lambda model, output: Wrong())
    graph = loaded(files)
    assert graph.reason == ""
    grey = torch.full((2, 3, 8, 8), 0.5)
    torch.testing.assert_close(graph(grey), net(grey).detach(), rtol=1e-4, atol=1e-5)
    assert "answers differently by 0.1" in graph.reason
    assert not graph(grey.requires_grad_()).requires_grad


def test_a_conversion_that_fails_leaves_a_black_box(net, exported, tmp_path, loaded, monkeypatch):
    folder = _save(exported, tmp_path / "model")

    def refuse(model, output):
        raise Unconvertible("no converter")

    monkeypatch.setattr(onnx_net, "converted", refuse)
    graph = loaded(inspect(folder, Preprocessing()))
    images = torch.rand(3, 3, 8, 8, requires_grad=True)
    answer = graph(images)
    assert (graph.reason, answer.requires_grad) == ("no converter", False)
    torch.testing.assert_close(answer, net(images).detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_other_batches_than_the_fixed_one_are_refused(net, tmp_path, loaded):
    folder = _save(_export(net, tmp_path / "net.onnx", dynamic=False), tmp_path / "model")
    files = inspect(folder, Preprocessing())
    graph = loaded(files)
    assert graph(torch.rand(2, 3, 8, 8)).shape == (2, 10)
    with pytest.raises(ValueError, match=r"Expected 2 image\(s\), the fixed batch, got 3"):
        graph(torch.rand(3, 3, 8, 8))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64])
def test_channels_last_and_whole_numbers_are_read_from_the_graph(dtype, net, tmp_path, loaded):
    class Bytes(nn.Module):
        def forward(self, x):
            return net(x.permute(0, 3, 1, 2).float() / 255)

    file = tmp_path / "net.onnx"
    example = (torch.zeros(2, 8, 8, 3, dtype=dtype),)
    axes = ({0: torch.export.Dim("batch")},)
    torch.onnx.export(
        Bytes().eval(), example, file, dynamo=True, dynamic_shapes=axes, verbose=False
    )
    files = inspect(_save(onnx.load(str(file)), tmp_path / "model"), Preprocessing())
    contract = files.contract
    name = str(dtype).removeprefix("torch.")
    assert (contract.layout, contract.dtype, contract.range) == ("NHWC", name, "0-255")
    images = torch.randint(0, 256, (3, 8, 8, 3), dtype=dtype)
    torch.testing.assert_close(
        loaded(files)(images), Bytes()(images).detach(), atol=1e-4, rtol=1e-4
    )


def test_sides_that_the_graph_leaves_open_are_those_of_the_signature(net, tmp_path, loaded):
    model = _export(net, tmp_path / "net.onnx")
    for dim, name in zip(model.graph.input[0].type.tensor_type.shape.dim, "NCHW", strict=True):
        dim.dim_param = name
    last = Schema([TensorSpec(np.dtype(np.float32), (-1, 8, 8, 3))])
    folder = _save(model, tmp_path / "model", signature=ModelSignature(inputs=last))
    contract = inspect(folder, Preprocessing()).contract
    assert (contract.layout, contract.source("layout")) == ("NHWC", "the signature")


def test_a_signature_of_doubles_is_cast_as_mlflow_casts_it(net, exported, tmp_path, loaded):
    images = torch.rand(3, 3, 8, 8).double().numpy()
    signature = infer_signature(images)
    folder = _save(exported, tmp_path / "model", signature=signature)
    files = inspect(folder, Preprocessing())
    assert files.contract.dtype == "float32"
    (served,) = mlflow.pyfunc.load_model(str(folder)).predict(images).values()
    answer = loaded(files)(torch.from_numpy(images))
    np.testing.assert_allclose(answer.detach(), served, atol=1e-5)


@pytest.mark.parametrize("zipmap", [True, False], ids=["mappings", "table"])
@pytest.mark.parametrize("named", [True, False], ids=["names", "numbers"])
def test_a_classifier_of_scikit_learn_gives_its_probabilities(
    zipmap, named, digits, tmp_path, loaded
):
    skl2onnx = pytest.importorskip("skl2onnx")
    (images, target), (others, _) = digits
    names = np.array([f"d{n}" for n in range(10)])
    rows = [part.reshape(-1, 64).astype(np.float32) / 255 for part in (images, others)]
    model = LogisticRegression(max_iter=500).fit(rows[0], names[target] if named else target)
    exported = skl2onnx.to_onnx(model, rows[0][:1], options={"zipmap": zipmap})
    files = inspect(_save(exported, tmp_path / "model"), Preprocessing())
    assert (files.contract.layout, files.contract.fit.height) == ("flat", 8)
    assert files.classes == (tuple(names) if named else None)
    graph = loaded(files)
    answer = graph(torch.from_numpy(rows[1]))
    assert graph.reason
    np.testing.assert_allclose(answer, model.predict_proba(rows[1]), atol=1e-5)


def test_weights_in_files_of_their_own_decide_the_digest_and_stay_inside(exported, tmp_path):
    folder = tmp_path / "model"
    _save(exported, folder, save_as_external_data=True, size_threshold=0, location="weights.bin")
    before = inspect(folder, Preprocessing()).digest
    weights = folder / "weights.bin"
    content = weights.read_bytes()
    weights.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    assert inspect(folder, Preprocessing()).digest != before
    weights.rename(tmp_path / "weights.bin")
    with pytest.raises(ModelRefused, match=r"weights inside its folder, got 'weights.bin'"):
        inspect(folder, Preprocessing())
    weights.symlink_to(tmp_path / "weights.bin")
    with pytest.raises(ModelRefused, match=r"plain files .* got the link 'weights.bin'"):
        inspect(folder, Preprocessing())


def _change(folder, change):
    file = folder / "model.onnx"
    model = onnx.load(str(file))
    change(model)
    file.write_bytes(model.SerializeToString())


def test_graphs_that_cannot_be_audited_are_refused_in_one_line(exported, tmp_path):
    folder = _save(exported, tmp_path / "model")
    good = (folder / "model.onnx").read_bytes()

    def custom(model):
        model.opset_import.append(onnx.helper.make_opsetid("my.ops", 1))
        model.graph.node[0].domain = "my.ops"

    def outside(model):
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="../../etc/passwd")

    def two(model):
        model.graph.input.append(onnx.helper.make_tensor_value_info("more", 1, [1]))

    for change, message in (
        (custom, "Expected operators of ONNX that .*, got 'Conv' of 'my.ops'"),
        (outside, "weights inside its folder, got '../../etc/passwd'"),
        (two, "one image tensor as its input, got 2"),
    ):
        (folder / "model.onnx").write_bytes(good)
        _change(folder, change)
        with pytest.raises(ModelRefused, match=message) as refused:
            inspect(folder, Preprocessing())
        assert "\n" not in str(refused.value)
    conf = folder / "MLmodel"
    said = conf.read_text()
    (folder / "model.ort").write_bytes(good)
    conf.write_text(said.replace("model.onnx", "model.ort"))
    with pytest.raises(ModelRefused, match=r"with the ending .onnx, got 'model.ort'"):
        inspect(folder, Preprocessing())
    conf.write_text(said)
    (folder / "model.onnx").write_bytes(b"no protobuf")
    with pytest.raises(ModelRefused, match="Expected an ONNX file"):
        inspect(folder, Preprocessing())


@pytest.mark.parametrize(
    ("told", "names"),
    [
        ("{0: 'cat', 1: 'dog', 2: 'eel'}", ("cat", "dog", "eel")),
        ('["cat", "dog", "eel"]', ("cat", "dog", "eel")),
        ("{'cat': 0, 'eel': 1, 'dog': 2}", ("cat", "eel", "dog")),
        ("((" * 1000, None),
        ("print(1)", None),
        ("{0: 'cat'", None),
    ],
)
def test_names_in_the_graphs_metadata_are_those_of_the_classes(told, names, exported, tmp_path):
    one = exported.metadata_props.add()
    one.key, one.value = "names", told
    folder = _save(exported, tmp_path / "model")
    assert inspect(folder, Preprocessing()).classes == names
    turned = Preprocessing(classes=("eel", "dog", "cat"))
    if names is None:
        assert inspect(folder, turned).classes == ("eel", "dog", "cat")
        return
    with pytest.raises(ModelRefused, match="in another order than in the ONNX graph"):
        inspect(folder, turned)
