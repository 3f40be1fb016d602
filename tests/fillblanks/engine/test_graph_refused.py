"""`rewritten` refuses networks that cannot be exported or whose graph answers differently."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from fillblanks.engine.aten import NotRewritable
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
