"""MixedGraph gives the graph's logits bit for bit, and their gradient in bfloat16."""

import copy
import gc
import itertools
import weakref
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from fillblanks.engine.aten import NotRewritable
from fillblanks.engine.graph import rewritten
from fillblanks.engine.mixed import MixedGraph

SHAPE = (3, 13, 11)
NEAR = 0.03  # share of the gradient's norm: bfloat16 has 8 bits


class Net(nn.Module):
    """Three convolutions, connected by a function, and a linear head."""

    def __init__(self, body: Callable[..., Tensor]):
        super().__init__()
        self.one = nn.Conv2d(3, 6, 3, padding=1)
        self.other = nn.Conv2d(3, 6, 3, padding=1, bias=False)
        self.next = nn.Conv2d(6, 6, 3, padding=1, groups=2)
        self.norm = nn.BatchNorm2d(6)
        self.head = nn.LazyLinear(5)
        self._body = body

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self._body(self, x).flatten(1))


BODIES: dict[str, Callable[[Net, Tensor], Tensor]] = {
    "convolution": lambda net, x: net.one(x),
    "stride, dilation": lambda net, x: functional.conv2d(x, net.one.weight, None, 2, 1, 2),
    "groups": lambda net, x: net.next(net.one(x)),
    "norm": lambda net, x: net.norm(net.one(x)).relu(),
    "relu": lambda net, x: net.next(net.one(x).relu()).relu_(),
    "max pool": lambda net, x: functional.max_pool2d(net.one(x).relu(), 3, 2, 1),
    "max pool, dense": lambda net, x: functional.max_pool2d(net.one(x), (2, 3), 1, ceil_mode=True),
    "global average": lambda net, x: functional.adaptive_avg_pool2d(net.one(x).relu(), 1),
    "average": lambda net, x: functional.adaptive_avg_pool2d(net.one(x).relu(), (3, 2)),
    "cat": lambda net, x: net.next(torch.cat([net.one(x), net.other(x)], 2).relu()),
    "cat with what is fixed": lambda net, x: torch.cat([net.one(x), torch.ones_like(x)], 1),
    "cat with itself": lambda net, x: torch.cat([v := net.one(x), v], 1).relu(),
    "residual": lambda net, x: (net.next(v := net.one(x).relu()) + v).relu(),
    "residual in place": lambda net, x: net.next(v := net.one(x).relu()).add_(v).relu_(),
    "added to itself": lambda net, x: (v := net.one(x)) + v,
    "broadcast, scaled": lambda net, x: net.one(x).add(net.other(x).mean((2, 3), True), alpha=2),
    "cat, dim counted from the end": lambda net, x: torch.cat([net.one(x), net.other(x)], dim=-1),
    "added to a double": lambda net, x: (net.one(x) + net.other(x).double()).float(),
    "image used twice": lambda net, x: net.one(x) + net.other(x) + x.mean(),
    "dilated pool": lambda net, x: functional.max_pool2d(net.one(x).relu(), 2, 2, 1, 2),
    "dropout, overwritten": lambda net, x: net.next(
        functional.dropout(v := net.one(x), training=False).relu_() + v.sin()
    ),
    "number added": lambda net, x: (net.one(x) + 1).relu(),
    "used three times": lambda net, x: (v := net.one(x)).relu() + v.sigmoid() + net.next(v),
    "computed weight": lambda net, x: functional.conv2d(x, net.one.weight * 2, net.one.bias),
    "weight from the image": lambda net, x: net.one(x) * x.mean((1, 2, 3), True),
    "in place, and read after": lambda net, x: (v := net.one(x)).relu_() + v.sin(),
    "in place": lambda net, x: net.one(x).mul_(2).sin(),
    "not differentiable": lambda net, x: net.one(x) * (x > 0).float().mean(),
    "gelu": lambda net, x: functional.gelu(net.next(functional.gelu(net.one(x)))),
    "image itself": lambda net, x: x,
}


def settled(body: Callable[..., Tensor]) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        net = Net(body)
        net(torch.rand(2, *SHAPE))
        net.norm.running_mean.uniform_(-0.1, 0.1)
        net.norm.running_var.uniform_(0.5, 2)
    return net.eval()


def images(count: int = 4) -> Tensor:
    return torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(count)) - 0.4


def answers(net: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Logits, and the gradient of their weighted sum with respect to the input."""
    x = x.clone().requires_grad_()
    logits = net(x)
    weights = torch.linspace(-1, 2, logits.numel(), dtype=x.dtype).view_as(logits)
    (gradient,) = torch.autograd.grad((logits * weights).sum(), x)
    return logits.detach(), gradient


def mixed(net: nn.Module, fused: bool = True) -> MixedGraph:
    return MixedGraph(rewritten(net, images(2), fused=fused), images(2))


@pytest.mark.parametrize("name", BODIES)
def test_the_logits_are_the_graphs_and_the_gradient_nearly(name):
    net = settled(BODIES[name])
    program = rewritten(net, images(2), fused=False)  # exported once for both
    for fused, count in itertools.product((False, True), (2, 5)):
        graph, x = mixed(program, fused), images(count)
        (logits, gradient), (own_logits, own) = answers(graph, x), answers(net, x)
        assert torch.equal(logits, graph.graph(x))
        torch.testing.assert_close(logits, own_logits)
        assert gradient.dtype == own.dtype
        assert (gradient - own).norm() <= NEAR * own.norm()


@pytest.mark.parametrize("name", ["relu", "max pool", "cat", "residual"])
def test_the_gradient_is_not_that_of_full_precision(name):
    net = settled(BODIES[name])
    assert not torch.equal(answers(mixed(net), images())[1], answers(net, images())[1])


@pytest.mark.parametrize(
    "options",
    [{}, {"bias": False}, {"stride": 2, "padding": 1}, {"groups": 3}, {"dilation": (2, 1)}],
    ids=str,
)
def test_the_gradient_of_a_convolution_is_that_of_one_in_bfloat16(options):
    net = nn.Sequential(nn.Conv2d(3, 6, 3, **options), nn.Flatten()).eval()
    _, gradient = answers(mixed(net), x := images())
    _, expected = answers(copy.deepcopy(net).bfloat16(), torch.zeros_like(x, dtype=torch.bfloat16))
    assert torch.equal(gradient, expected.float())


@pytest.mark.parametrize("name", ["relu", "max pool", "cat", "residual", "global average"])
def test_memory_format_changes_nothing_but_the_last_bits(name):
    graph = mixed(settled(BODIES[name]))
    _, gradient = answers(graph, images())
    graph = graph.to(memory_format=torch.channels_last)
    _, other = answers(graph, images().contiguous(memory_format=torch.channels_last))
    assert (gradient - other).norm() <= NEAR * gradient.norm()


@pytest.mark.slow
def test_a_pass_leaves_nothing_behind():
    graph = mixed(settled(BODIES["residual"]))
    x = images().requires_grad_()
    logits = graph(x)
    tape = weakref.ref(logits.grad_fn.tape)
    torch.autograd.grad(logits.sum(), x)
    del logits
    gc.collect()
    assert tape() is None


@pytest.mark.parametrize("name", ["relu", "max pool", "cat", "residual", "global average"])
def test_a_pass_that_is_given_up_leaves_nothing_behind_for_the_collector(name):
    graph = mixed(settled(BODIES[name]))
    gc.disable()
    try:
        logits = graph(images().requires_grad_())
        tape = weakref.ref(logits.grad_fn.tape)
        del logits  # as if memory had been too short for the gradient
        assert tape() is None
    finally:
        gc.enable()


def test_without_a_gradient_there_is_no_tape():
    graph = mixed(settled(BODIES["residual"]))
    logits = graph(images())
    assert logits.grad_fn is None
    assert torch.equal(logits, graph.graph(images()))


@pytest.mark.parametrize(
    "body",
    [
        lambda net, x: (v := net.one(x)).view(-1).mul_(2).view_as(v) + v,
        lambda net, x: (v := net.one(x)).flatten(1).relu_() + v.flatten(1),
    ],
    ids=["view", "ReLU of view"],
)
def test_where_others_read_what_is_overwritten_it_is_refused(body):
    net = settled(body)
    with pytest.raises(
        NotRewritable, match=r"^Expected no other node to read the memory that .+ overwrites"
    ):
        mixed(net)


def test_logits_that_do_not_depend_on_the_images_are_refused_by_autograd():
    with pytest.raises(RuntimeError, match="to not have been used"):
        mixed(settled(lambda net, x: x.detach()))


def test_a_function_of_several_results_is_refused():
    net = settled(lambda net, x: net.one(x).split(3, 1)[0])
    with pytest.raises(NotRewritable, match=r"^Expected one result of each function, got more of"):
        mixed(net)


def test_a_gradient_that_is_not_finite_is_refused():
    net = settled(lambda net, x: (net.one(x) - net.one(x)).sqrt())
    with pytest.raises(NotRewritable, match="the same gradients"):
        mixed(net)
