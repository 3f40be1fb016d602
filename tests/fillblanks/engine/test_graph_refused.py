"""`rewritten` refuses networks that cannot be exported or whose graph answers differently."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from fillblanks import Classifier, Plan
from fillblanks.engine.aten import NotRewritable
from fillblanks.engine.engine import Engine
from fillblanks.engine.graph import rewritten

SHAPE = (3, 13, 11)


class Net(nn.Module):
    """Numbered layers, connected by a function."""

    def __init__(self, forward: Callable[..., Tensor], *layers: nn.Module):
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self._forward = forward

    def forward(self, x: Tensor) -> Tensor:
        return self._forward(x, *self.layers).mean((2, 3)).sin()


def chain(x: Tensor, *layers: nn.Module) -> Tensor:
    return nn.Sequential(*layers)(x)


class Turned(torch.autograd.Function):
    """ReLU in the forward pass; the backward pass returns the negative of its input."""

    @staticmethod
    def forward(context, x: Tensor) -> Tensor:
        return x.relu()

    @staticmethod
    def backward(context, gradient: Tensor) -> Tensor:
        return -gradient


def hooked(x: Tensor, *layers: nn.Module) -> Tensor:
    value = chain(x, *layers)
    if value.requires_grad:
        value.register_hook(Tensor.sign)
    return value


def conv(inputs: int = 3, outputs: int = 6, **options) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, **options)


def norm(count: int = 6, **options) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(count, **options)


def images(count: int = 2, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(count)
    return (torch.rand(count, *SHAPE, generator=generator, dtype=torch.float64) - 0.4).to(dtype)


def settled(net: nn.Module, dtype: torch.dtype = torch.float64) -> nn.Module:
    """The network in evaluation mode, with norms that change their input."""
    generator = torch.Generator().manual_seed(11)
    for name, values in [*net.named_parameters(), *net.named_buffers()]:
        if values.is_floating_point():
            values.data = torch.rand(values.shape, generator=generator) - 0.3 * ("var" not in name)
    return net.to(dtype).eval()


@pytest.mark.parametrize("fused", [False, True])
def test_a_network_that_cannot_be_exported_is_refused_in_one_line(fused):
    net = settled(Net(lambda x, c: c(x) if x.sum() > 0 else -c(x), conv()))
    with pytest.raises(
        NotRewritable, match=r"^Expected a network that torch\.export takes, got .+"
    ) as e:
        rewritten(net, images(), fused=fused)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("offset", [1.0, torch.nan])
def test_a_network_whose_graph_computes_something_else_is_refused(offset):
    net = settled(Net(lambda x, c: c(x) + offset * torch.compiler.is_compiling(), conv()))
    with pytest.raises(NotRewritable, match="the same logits from the network and from its graph"):
        rewritten(net, images(), fused=True)


@pytest.mark.parametrize(
    "forward", [lambda x, *layers: Turned.apply(chain(x, *layers)), hooked], ids=["own", "hook"]
)
@pytest.mark.parametrize("fused", [False, True])
def test_gradients_that_exporting_leaves_out_are_noticed(forward, fused):
    net = Net(forward, conv(), norm()).eval()
    with pytest.raises(NotRewritable, match="the same gradients"):
        rewritten(net, torch.rand(2, *SHAPE), fused=fused)


def test_a_hook_of_a_module_is_noticed():
    net = Net(chain, conv(), norm()).eval()
    net.layers[1].register_full_backward_hook(lambda _, given, __: (-given[0],))
    with pytest.raises(NotRewritable, match="the same gradients"):
        rewritten(net, torch.rand(2, *SHAPE), fused=True)


class KnowsItsCopy(nn.Module):
    """Answers as one linear network, and as another where normalisation is part of convolution.

    Beside a bias of 1e9 nothing is left of an image; the fold takes the bias away beforehand.
    """

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 1, 1), nn.BatchNorm2d(1, eps=0.0)
        self.one, self.other = (nn.Linear(3 * 13 * 11, 5) for _ in range(2))
        with torch.no_grad():
            self.conv.weight.fill_(1.0)
            self.conv.bias.fill_(1e9)
            self.norm.running_mean.fill_(1e9)

    def forward(self, x: Tensor) -> Tensor:
        seen = self.norm(self.conv(x)).detach().abs().amax((1, 2, 3)) > 0
        logits = torch.where(seen[:, None], self.other(x.flatten(1)), self.one(x.flatten(1)))
        steep = 1e5 * (1 + x.mean((1, 2, 3)))
        return torch.cat([logits, -steep[:, None]], 1)


def test_a_copy_that_is_another_network_is_refused_though_a_logit_is_very_large():
    with pytest.raises(NotRewritable, match="the same logits"):
        rewritten(KnowsItsCopy().eval(), torch.rand(2, *SHAPE), fused=True)


class KnowsItsFormat(nn.Module):
    """Answers blank pixels otherwise if they lie in memory as channels_last has them."""

    def forward(self, x: Tensor) -> Tensor:
        blank = (x.amin((1, 2, 3)) == x.min()) & x.is_contiguous()
        values = x.flatten(1)[:, :5]
        return torch.where(blank[:, None], values.flip(1), values)


def test_a_copy_in_another_memory_format_is_compared_where_patches_are_blank():
    classifier = Classifier(KnowsItsFormat(), mean=0.0, std=1.0)
    plan = Plan(4, memory_format="channels_last")
    with pytest.raises(NotRewritable, match="its copy in channels_last"):
        Engine(classifier, plan, torch.rand(2, *SHAPE) + 0.1)
