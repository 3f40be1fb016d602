"""A network that looks at where its input lies in memory is refused."""

import math

import numpy as np
import pytest
import torch
from lying_nets import Lying, expect_refusal
from onnx import TensorProto, helper, numpy_helper, save
from torch import nn

from audits.errors import Contradicted
from audits.execution import asking
from audits.execution.memory_places import ORDERS, places
from audits.execution.served_forms import expect_same_answers
from audits.models.adapter import AdaptedNet
from audits.models.flavours.onnx_net import OnnxNet
from audits.models.form import Adaptation, InputSide
from fillblanks import Classifier

PLACES = places(torch.device("cpu"))


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """Each form is asked for all images, however busy the machine is."""
    monkeypatch.setattr(asking, "_QUICK", math.inf)
    monkeypatch.setattr(asking, "_FAST", math.inf)


@pytest.mark.parametrize("bytes_", [4, 8, 12, 16, 32])
def test_a_lie_to_images_behind_other_numbers_is_found(bytes_, images):
    told = expect_refusal(lambda x: x.data_ptr() % 64 == bytes_, images)
    assert "other number(s) in memory" in told


def test_a_lie_to_one_image_behind_other_numbers_is_found(images):
    told = expect_refusal(lambda x: len(x) == 1 and x.data_ptr() % 64 == 4, images)
    assert "behind 1 other number(s) in memory" in told


def test_a_lie_to_images_behind_a_byte_is_found(images):
    assert "behind a byte" in expect_refusal(lambda x: x.data_ptr() % 4 == 1, images)


@pytest.mark.parametrize(
    ("order", "stride"),
    [
        ("with channels last", (1, 24, 3)),
        ("with the last dimension second in memory", (8, 1, 24)),
        ("as rows of a table behind a column", (193, 64, 8, 1)),
        ("as a crop of larger images", (121, 11, 1)),
        ("as every second column of larger images", (128, 16, 2)),
    ],
)
def test_a_lie_to_images_in_another_order_is_found(order, stride, images):
    told = expect_refusal(lambda x: x.stride()[-len(stride) :] == stride, images)
    assert order in told


def test_a_lie_to_columns_of_a_frame_is_found(images):
    told = expect_refusal(lambda x: len(x) > 1 and x.stride(0) == 1, images)
    assert "with the last dimension first in memory" in told


@pytest.mark.parametrize("place", [*PLACES.values(), *ORDERS.values()])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.uint8])
def test_numbers_stay_as_they_are(place, dtype):
    for shape in ((3, 2, 5, 4), (3, 5, 4, 2), (3, 5, 4), (3, 20), (1, 1, 1, 1)):
        given = (100 * torch.rand(shape)).to(dtype)
        placed = place(given)
        assert torch.equal(placed, given)
        assert placed.dtype == given.dtype


def test_places_begin_otherwise_and_have_the_usual_order():
    for form, place in PLACES.items():
        placed = place(torch.rand(2, 3, 8, 8))
        assert placed.is_contiguous()
        assert placed.data_ptr() % 64 or "number(s)" in form  # the drawn one may be 16, 32 or 48


class _Summed(nn.Module):
    """Another class if MKL sums otherwise, as it does behind other numbers."""

    def forward(self, x):
        logits, here, copied = x.flatten(1)[:, :4], x.reshape(-1), x.clone().reshape(-1)
        turned = here.flip(0)
        apart = torch.dot(here, turned) != torch.dot(copied, turned)
        return torch.where(apart, logits.roll(1, 1), logits)


def _expect_told(net, images):
    """Skips if sums are rounded alike at any place, as other processors may do."""
    place = PLACES["behind 1 other number(s) in memory"]
    with torch.no_grad():
        if all(torch.equal(net(one), net(place(one))) for one in images.split(1)):
            pytest.skip("this machine sums alike wherever numbers lie")


def test_sums_of_mkl_do_not_tell_a_server(images):
    _expect_told(_Summed(), images)
    with pytest.raises(Contradicted, match=r"other answers .* in memory"):
        expect_same_answers(Classifier(_Summed().eval()), images, only_classes=False)


def test_sums_of_onnxruntime_do_not_tell_a_server(images, tmp_path):
    """ReduceSum of the input itself against that of a copy."""
    weights = np.random.default_rng(0).normal(size=(192, 4)).astype(np.float32)
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("Gemm", ["flat", "weights"], ["logits"]),
        helper.make_node("Clip", ["x", "least", "most"], ["copied"]),
        helper.make_node("ReduceSum", ["x"], ["here"], keepdims=0),
        helper.make_node("ReduceSum", ["copied"], ["there"], keepdims=0),
        helper.make_node("Equal", ["here", "there"], ["same"]),
        helper.make_node("Neg", ["logits"], ["others"]),
        helper.make_node("Where", ["same", "logits", "others"], ["y"]),
    ]
    constants = {"weights": weights, "least": np.float32(-9), "most": np.float32(9)}
    graph = helper.make_graph(
        nodes,
        "sums",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    file = tmp_path / "model.onnx"
    opset = helper.make_opsetid("", 17)
    save(helper.make_model(graph, opset_imports=[opset], ir_version=8), file)
    _expect_told(OnnxNet(file), images)
    net = AdaptedNet(OnnxNet(file), Adaptation(inputs=InputSide(dtype="float32")))
    with pytest.raises(Contradicted, match=r"other answers .* in memory"):
        expect_same_answers(Classifier(net), images, only_classes=False)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC", "flat"])
def test_the_place_is_that_of_the_inputs_as_the_network_takes_them(layout, images):
    class Looking(nn.Module):
        def forward(self, x):
            seen.append((x.data_ptr() % 64, x.is_contiguous()))
            return x.flatten(1)[:, :4]

    seen: list[tuple[int, bool]] = []
    net = AdaptedNet(Looking(), Adaptation(inputs=InputSide(layout=layout)))
    expect_same_answers(Classifier(net), images, only_classes=False)
    assert {(at, True) for at in (4, 8, 12, 16, 32)} <= set(seen)


def test_a_network_that_takes_no_other_order_is_taken(images):
    class Viewing(Lying):
        def forward(self, x):
            return super().forward(x.view(len(x), 3, 8, 8)) + 0 * x.view(len(x), -1)[:, :1]

    expect_same_answers(Classifier(Viewing(lambda x: False)), images, only_classes=False)


@pytest.mark.parametrize("order", ["channels", "frame"])
def test_a_lie_to_large_batches_in_another_order_is_found_for_a_slow_network_too(
    order, images, monkeypatch
):
    monkeypatch.setattr(asking, "_QUICK", 0.0)

    def lies(x):
        return len(x) > 8 and x.stride(1 if order == "channels" else 0) == 1

    assert "in a batch of" in expect_refusal(lies, images)


def test_networks_of_torchscript_are_asked_elsewhere_too(images):
    traced = torch.jit.trace(nn.Sequential(nn.Flatten(), nn.Linear(192, 4)), images[:2])
    expect_same_answers(Classifier(traced), images, only_classes=False)
    summed = torch.jit.trace(_Summed().eval(), images[:2])
    _expect_told(summed, images)
    with pytest.raises(Contradicted, match=r"other answers .* in memory"):
        expect_same_answers(Classifier(summed), images, only_classes=False)
