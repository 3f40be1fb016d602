"""`rewritten` makes a graph that answers as the network does, and leaves the network as it was."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

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


def conv(inputs: int = 3, outputs: int = 6, **options) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, **options)


def norm(count: int = 6, **options) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(count, **options)


def computed_bias(x: Tensor, c: nn.Conv2d, n: nn.Module) -> Tensor:
    return n(functional.conv2d(x, c.weight, c.bias * 5))


def computed_shift(x: Tensor, c: nn.Conv2d, n: nn.BatchNorm2d) -> Tensor:
    value, options = c(x), {"training": False, "eps": n.eps}
    return functional.batch_norm(
        value, n.running_mean, n.running_var, n.weight * 2, n.bias * 3, **options
    )


def unnamed_arguments(x: Tensor, c: nn.Conv2d, n: nn.Module) -> Tensor:
    return n(functional.conv2d(x, c.weight, dilation=2))


def batch_statistics(x: Tensor, c: nn.Conv2d, n: nn.BatchNorm2d) -> Tensor:
    kept = n.running_mean, n.running_var, n.weight, n.bias
    return functional.batch_norm(c(x), *kept, training=True, momentum=0.0)


def cat(*values: Tensor) -> Tensor:
    return torch.cat(values, 1)


def relu_of(value: Tensor, other: Tensor) -> Tensor:
    return value.relu() * other + value


# Each network, and the number of norms that its fused graph keeps.
NETWORKS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "bias": (lambda: Net(chain, conv(), norm(), nn.ReLU()), 0),
    "no bias": (lambda: Net(chain, conv(bias=False), norm(), nn.ReLU()), 0),
    "groups": (lambda: Net(chain, conv(groups=3), norm(), nn.ReLU()), 0),
    "stride": (lambda: Net(chain, conv(stride=(2, 3), padding=1), norm()), 0),
    "dilation": (lambda: Net(chain, conv(dilation=2), norm()), 0),
    "circular padding": (lambda: Net(chain, conv(padding=1, padding_mode="circular"), norm()), 0),
    "defaults unsaid": (lambda: Net(unnamed_arguments, conv(), norm()), 0),
    "norm without weights": (lambda: Net(chain, conv(), norm(affine=False), nn.ReLU()), 0),
    "two norms": (lambda: Net(chain, conv(), norm(), norm(), nn.ReLU()), 0),
    "in place already": (lambda: Net(chain, conv(), norm(), nn.ReLU(inplace=True)), 0),
    "conv used twice": (
        lambda: Net(lambda x, c, n, m: n(c(x)) + m(c(x.sin())), conv(), norm(), norm()),
        0,
    ),
    "conv and norm used twice": (
        lambda: Net(lambda x, c, n: n(c(n(c(x)).relu())), conv(3, 3), norm(3)),
        0,
    ),
    "pool": (lambda: Net(chain, conv(), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True)), 0),
    "padded pool": (lambda: Net(chain, conv(), nn.ReLU(), nn.MaxPool2d(3, 2, padding=1)), 0),
    "cat": (lambda: Net(lambda x, c, n: cat(c(x).relu(), n(c(x)).relu()), conv(), norm()), 0),
    "pool of cat": (
        lambda: Net(
            lambda x, c, d, p: p(cat(c(x).relu_(), d(x).relu())),
            *(conv(), conv(), nn.MaxPool2d(2)),
        ),
        0,
    ),
    "cat with itself": (lambda: Net(lambda x, c: cat(r := c(x).relu(), r), conv()), 0),
    "cat of ReLU and not": (lambda: Net(lambda x, c: cat(c(x).relu(), c(x)), conv()), 0),
    "relu used by pool and another": (
        lambda: Net(lambda x, c, p: p(r := c(x).relu()).mean() + r, conv(), nn.MaxPool2d(2)),
        0,
    ),
    "in place, and its input used elsewhere": (
        lambda: Net(
            lambda x, c, p: p((v := c(x)).relu_()) + v.mean((2, 3), keepdim=True),
            *(conv(), nn.MaxPool2d(2)),
        ),
        0,
    ),
    "residual": (
        lambda: Net(lambda x, c, n: (n(c(x)) + x).relu(), conv(3, 3, padding=1), norm(3)),
        0,
    ),
    "convolved used elsewhere": (
        lambda: Net(lambda x, c, n: n(value := c(x)) * value.cos(), conv(), norm()),
        1,
    ),
    "relu's input used elsewhere": (
        lambda: Net(lambda x, c: relu_of(value := c(x), value.sin()), conv()),
        0,
    ),
    "sum used elsewhere": (
        lambda: Net(lambda x, c: relu_of(value := c(x) + 0.1, value.sin()), conv()),
        0,
    ),
    "relu of the image": (lambda: Net(lambda x, c: c(x.relu()) + x.sum(), conv()), 0),
    "relu of relu": (lambda: Net(chain, conv(), nn.ReLU(), nn.ReLU()), 0),
    "norm after add": (lambda: Net(lambda x, c, n: n(c(x) + c(x).sin()), conv(), norm()), 1),
    "norm after relu": (lambda: Net(chain, conv(), nn.ReLU(), norm()), 1),
    "norm first": (lambda: Net(chain, norm(3), conv()), 1),
    "same padding": (lambda: Net(chain, conv(padding="same"), norm()), 1),
    "norm of the batch": (lambda: Net(chain, conv(), norm(track_running_stats=False)), 1),
    "norm of the batch, told": (lambda: Net(batch_statistics, conv(), norm()), 1),
    "norm after transposed": (lambda: Net(chain, nn.ConvTranspose2d(3, 6, 3), norm()), 1),
    "linear": (
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(3 * 13 * 11, 6), nn.BatchNorm1d(6)),
        1,
    ),
}
COMPUTED = {"computed bias": computed_bias, "computed scale and shift": computed_shift}


def settled(net: nn.Module, dtype: torch.dtype = torch.float64) -> nn.Module:
    """The network in evaluation mode, with norms that change their input."""
    generator = torch.Generator().manual_seed(11)
    for name, values in [*net.named_parameters(), *net.named_buffers()]:
        if values.is_floating_point():
            values.data = torch.rand(values.shape, generator=generator) - 0.3 * ("var" not in name)
    return net.to(dtype).eval()


def exported(net: nn.Module, example: Tensor) -> nn.Module:
    batch = {0: torch.export.Dim("batch")}
    return torch.export.export(net, (example,), dynamic_shapes=(batch,)).module()


FORMS = {"eager": lambda net, example: net, "pt2": exported}


def images(count: int = 2, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(count)
    return (torch.rand(count, *SHAPE, generator=generator, dtype=torch.float64) - 0.4).to(dtype)


def answers(net: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Logits, and the gradient of their weighted sum with respect to the input."""
    x = x.clone().requires_grad_()
    logits = net(x)
    weights = torch.linspace(-1, 2, logits.numel(), dtype=x.dtype).view_as(logits)
    (gradient,) = torch.autograd.grad((logits * weights).sum(), x)
    return logits.detach(), gradient


def norms(graph: torch.fx.GraphModule) -> int:
    return sum("batch_norm" in str(node.target) for node in graph.graph.nodes)


def targets(graph: torch.fx.GraphModule) -> list[str]:
    return [str(node.target) for node in graph.graph.nodes if node.op == "call_function"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", NETWORKS)
def test_a_fused_graph_answers_as_the_network_and_keeps_only_norms_it_must(name, form):
    make, left = NETWORKS[name]
    net = settled(make())
    graph = rewritten(FORMS[form](net, images()), images(), fused=True)
    assert norms(graph) == left
    for count in (2, 5):
        torch.testing.assert_close(
            answers(graph, images(count)), answers(net, images(count)), rtol=0, atol=1e-12
        )


@pytest.mark.parametrize("name", ["residual", "groups"])
def test_a_network_and_its_program_are_rewritten_to_the_same_bytes(name):
    net = settled(NETWORKS[name][0]())
    one, other = (rewritten(form(net, images()), images(), fused=True) for form in FORMS.values())
    assert targets(one) == targets(other)
    for ours, theirs in zip(answers(one, images()), answers(other, images()), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("scale", [1, 1e-4], ids=["large", "small"])
@pytest.mark.parametrize("name", COMPUTED)
def test_a_norm_stays_where_a_weight_is_computed(name, scale):
    net = settled(Net(COMPUTED[name], conv(), norm()))
    for layer in net.layers:  # at 1e-4 the check of the logits would miss a fault
        layer.bias.data *= scale
    net.layers[1].weight.data = 1 + scale * net.layers[1].weight.data
    graph = rewritten(net, images(), fused=True)
    assert norms(graph) == 1
    torch.testing.assert_close(answers(graph, images()), answers(net, images()), rtol=0, atol=1e-12)


def test_a_relu_is_done_in_place_only_where_nobody_else_looks():
    def in_place(name):
        graph = rewritten(settled(NETWORKS[name][0]()), images(), fused=True)
        return [target for target in targets(graph) if "relu" in target]

    assert in_place("bias") == in_place("residual") == ["aten.relu_.default"]
    for name in ("relu's input used elsewhere", "sum used elsewhere", "relu of the image"):
        assert in_place(name) == ["aten.relu.default"], name


def test_a_relu_waits_for_pooling_and_concatenation_where_nobody_else_looks():
    def shown(name):
        graph = rewritten(settled(NETWORKS[name][0]()), images(), fused=True)
        kinds = {"relu", "relu_", "cat", "max_pool2d"}
        return [kind for t in targets(graph) if (kind := t.split(".")[1]) in kinds]

    assert shown("pool") == shown("padded pool") == ["max_pool2d", "relu_"]
    assert shown("cat") == ["cat", "relu_"]
    assert shown("pool of cat") == ["cat", "max_pool2d", "relu_"]
    assert shown("cat with itself")[-1] == "cat"
    assert shown("cat of ReLU and not")[-1] == "cat"
    assert shown("relu used by pool and another") == ["relu_", "max_pool2d"]
    assert shown("in place, and its input used elsewhere")[0] == "relu_"


@pytest.mark.parametrize("name", ["relu of the image", "norm first", "residual"])
def test_the_images_are_left_as_they_are(name):
    graph = rewritten(settled(NETWORKS[name][0]()), example := images(), fused=True)
    x = images()
    graph(x)
    assert torch.equal(x, images())
    assert torch.equal(example, images())


@pytest.mark.parametrize("form", FORMS)
def test_the_network_itself_is_left_as_it_is(form):
    net = FORMS[form](settled(NETWORKS["residual"][0]()), images())
    parameters = list(net.parameters())
    parameters[0].requires_grad_(False)
    before = copy.deepcopy(net.state_dict())
    modes = [module.training for module in net.modules()]
    graph = rewritten(net, images(), fused=True)
    assert not [p for p in graph.parameters() if p.requires_grad]
    for values in (*graph.parameters(), *graph.buffers()):
        values.data.zero_()
    assert [module.training for module in net.modules()] == modes
    assert [p.requires_grad for p in parameters] == [False] + [True] * (len(parameters) - 1)
    assert not [p for p in parameters if p.grad is not None]
    assert net.state_dict().keys() == before.keys()
    assert all(torch.equal(values, before[name]) for name, values in net.state_dict().items())
