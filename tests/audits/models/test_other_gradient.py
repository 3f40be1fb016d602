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
from audits.models.opening import opened


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


def test_only_checks_that_need_a_gradient_are_in_doubt():
    honest = Setting("cpu", "float32", "2", "AVX")
    setting = Setting("cpu", "float32", "2", "AVX", other_gradient=True)
    assert honest.doubts(["gradients"]) == setting.doubts(["predictions", "logits"]) == ()
    for needs in ("gradients", "tokens"):
        (doubt,) = setting.doubts(["predictions", needs])
        assert doubt.startswith("The model's gradient at its input is not that of its answers")
    assert setting.lacks("gradients") == ""
