"""A network whose gradient is not that of its answers is opened, and may not pass."""

import copy

import pytest
import torch
from adapted_nets import OneProbability, Softmax
from torch import nn
from torchvision.models.vision_transformer import VisionTransformer

from audits.data.fit import AS_IT_IS
from audits.execution.setting import Setting
from audits.models.contract import InputContract
from audits.models.opening import _has_another_gradient, opened
from fillblanks import Classifier


def _net(seed=0):
    torch.manual_seed(seed)
    layers = (nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten())
    return nn.Sequential(*layers, nn.Linear(8 * 256, 2)).eval()


class _Borrowing(nn.Module):
    """Answers as one network, and has the gradient of another."""

    def __init__(self, net, other):
        super().__init__()
        self.net, self.other = net, other

    def forward(self, x):
        gradient = self.other(x)
        return self.net(x).detach() + gradient - gradient.detach()


def _exported(net):
    batch = {0: torch.export.Dim("batch")}
    example = (torch.rand(2, 3, 32, 32),)
    return torch.export.export(net, example, dynamic_shapes=(batch,)).module()


def _opened(net, outputs="logits"):
    return opened(net, InputContract(AS_IT_IS, outputs=outputs), torch.rand(8, 3, 32, 32), 2, 8)


@pytest.mark.parametrize(
    ("make", "outputs", "gives"),
    [
        (_net, "logits", "gradients"),
        (lambda: _exported(_net()), "logits", "gradients"),
        (lambda: Softmax(_net()), "probabilities", "gradients"),
        (lambda: OneProbability(_net()), "probabilities", "gradients"),
        (lambda: _net().bfloat16(), "logits", "gradients"),
        (lambda: _net().double(), "logits", "gradients"),
        (lambda: VisionTransformer(32, 8, 1, 2, 16, 32, num_classes=2).eval(), "logits", "tokens"),
    ],
    ids=["plain", "exported", "softmax", "one probability", "bfloat16", "float64", "vit"],
)
def test_honest_networks_keep_their_gradient(make, outputs, gives):
    found = _opened(make(), outputs)
    assert (found.gives, found.other_gradient) == (gives, False)


@pytest.mark.parametrize("export", [lambda net: net, _exported], ids=["module", "exported"])
@pytest.mark.parametrize(
    ("around", "outputs"), [(nn.Sequential, "logits"), (Softmax, "probabilities")]
)
def test_a_borrowed_gradient_is_seen(export, around, outputs):
    net = export(around(_Borrowing(_net(), _net(1))).eval())
    honest = _opened(around(copy.deepcopy(_net())), outputs)
    found = _opened(net, outputs)
    assert (honest.other_gradient, found.other_gradient) == (False, True)


class _Raising(_Borrowing):
    """Borrows, and raises an error if the first pixel of an image is another than it was."""

    def __init__(self, net, other, error):
        super().__init__(net, other)
        self.error = error

    def forward(self, x):
        if not x.flatten(1)[:, 0].eq(0.5).all():
            raise self.error
        return super().forward(x)


@pytest.mark.parametrize(
    "error", [IndexError("index 1 is out of bounds"), RuntimeError("cannot allocate memory")]
)
def test_a_network_that_raises_an_error_if_it_is_tried_is_in_doubt(error):
    images = torch.rand(8, 3, 32, 32)
    images[:, 0, 0, 0] = 0.5
    net = Classifier(_Raising(_net(), _net(1), error).eval(), mean=0.0, std=1.0)
    with net.steady():
        assert _has_another_gradient(net, net.to_input(images), 8)


def test_only_checks_that_need_a_gradient_are_in_doubt():
    honest = Setting("cpu", "float32", "2", "AVX")
    setting = Setting("cpu", "float32", "2", "AVX", other_gradient=True)
    assert honest.doubts(["gradients"]) == setting.doubts(["predictions", "logits"]) == ()
    for needs in ("gradients", "tokens"):
        (doubt,) = setting.doubts(["predictions", needs])
        assert doubt.startswith("The model's gradient at its input is not that of its answers")
    assert setting.lacks("gradients") == ""
