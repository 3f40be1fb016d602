"""An exported network that remembers, changes its images or draws random numbers is refused."""

import pytest
import torch
from crafting import Crafted, crafted, export
from torch import nn

from audits.errors import ModelRefused
from audits.models.pt2 import check_archive


class _Net(nn.Module):
    """A linear classifier with a parameter, a buffer and a constant; `also` runs before it."""

    def __init__(self, also):
        super().__init__()
        self.head = nn.Linear(12, 3)
        self.norm = nn.BatchNorm2d(3)
        self.parameter = nn.Parameter(torch.zeros(1), requires_grad=False)
        self.register_buffer("buffer", torch.zeros(1))
        self.constant = torch.zeros(1)
        self.also = also

    def forward(self, x):
        found = self.also(self, x)
        x = x if found is None or found.shape[1:] != x.shape[1:] else found
        return self.head(x.flatten(1)) + self.parameter + self.buffer + self.constant


def _file(also, folder):
    return export(_Net(also), folder / "model.pt2", torch.zeros(2, 3, 2, 2), 0)


def _in_a_region(net, x):
    with torch.no_grad():
        net.parameter.add_(1)


def _by_a_region(net, x):
    with torch.no_grad():
        inner = net.buffer.view(1)
    inner.add_(1)


def _filled_with_itself(net, x):
    drawn = torch.empty(1)
    return x + drawn.copy_(drawn)


@pytest.mark.parametrize(
    ("also", "what"),
    [
        (lambda net, x: net.parameter.add_(1), "parameter"),
        (lambda net, x: net.buffer.add_(1), "buffer"),
        (lambda net, x: net.constant.mul_(2), "constant"),
        (lambda net, x: net.buffer.view(1, 1)[0].detach().copy_(x[0, 0, 0, :1]), "buffer"),
        (lambda net, x: torch.ops.aten._unsafe_view(net.parameter, [1, 1]).add_(1), "parameter"),
        (lambda net, x: nn.functional.dropout(net.parameter, training=False).add_(1), "parameter"),
        (lambda net, x: torch.relu_(x), "its images"),
        (lambda net, x: x.permute(0, 2, 3, 1)[..., :1].fill_(0), "its images"),
        (_in_a_region, "parameter"),
        (_by_a_region, "buffer"),
        (
            lambda net, x: nn.functional.batch_norm(
                x, net.norm.running_mean, net.norm.running_var, training=True
            ),
            "norm.running_mean",
        ),
    ],
)
def test_an_operator_that_writes_into_a_tensor_that_lasts_is_refused(also, what, tmp_path):
    with pytest.raises(ModelRefused, match=f"that changes {what} by aten.*Remove that memory"):
        check_archive(_file(also, tmp_path))


def test_a_change_that_the_graph_gives_back_is_refused(tmp_path):
    program = torch.export.export(
        _Net(lambda net, x: net.buffer.add_(1)).eval(), (torch.zeros(2, 3, 2, 2),)
    )
    torch.export.save(program.run_decompositions(), tmp_path / "model.pt2")
    with pytest.raises(ModelRefused, match="that changes buffer by an output of its graph"):
        check_archive(tmp_path / "model.pt2")


@pytest.mark.parametrize(
    ("also", "message"),
    [
        (
            lambda net, x: x + torch.rand_like(x),
            r"chance, got aten\.rand_like\.default, which draws",
        ),
        (lambda net, x: x + torch.randn(1), "chance, got aten.randn.default"),
        (lambda net, x: torch.bernoulli(x.sigmoid()), "chance, got aten.bernoulli.default"),
        (lambda net, x: nn.functional.dropout(x, 0.2, training=True), "dropout in training mode"),
        (
            lambda net, x: nn.functional.scaled_dot_product_attention(x, x, x, dropout_p=0.1),
            "scaled_dot_product_attention in training mode",
        ),
        (lambda net, x: x + torch.empty(1), "reads what an earlier call has left"),
        (_filled_with_itself, "reads what an earlier call has left"),
        (lambda net, x: x + torch.zeros(1).copy_(torch.empty(1)), "reads what an earlier call"),
    ],
)
def test_an_operator_that_answers_by_chance_is_refused(also, message, tmp_path):
    with pytest.raises(ModelRefused, match=message):
        check_archive(_file(also, tmp_path))


def _allowed(net, x):
    x = net.norm(x)
    x = torch.relu_(x)
    x += 1
    x[:, :1].mul_(2)
    kept = net.buffer.clone()
    kept.add_(1)
    drawn = torch.empty(1)
    drawn.fill_(2)
    zeros = torch.zeros(3)
    zeros[0] = drawn[0]
    with torch.no_grad():
        scale = net.parameter * 2
        scale.add_(1)
    x = nn.functional.dropout(x, 0.0, training=True)
    x = nn.functional.scaled_dot_product_attention(x, x, x)
    return nn.functional.dropout(x, 0.5, training=False) + kept + zeros.sum() + scale


def test_operators_that_write_into_tensors_of_the_call_are_allowed(tmp_path):
    assert check_archive(_file(_allowed, tmp_path))


def _misplaced(made: Crafted) -> None:
    """Gives dropout_p, by its place, a number that says that it is another argument."""
    node = made.node("scaled_dot_product_attention")
    node["inputs"] = [
        *node["inputs"][:3],
        {"name": "attn_mask", "arg": {"as_none": True}, "kind": 1},
        {"name": "is_causal", "arg": {"as_float": 0.5}, "kind": 1},
    ]


def test_an_argument_by_place_must_be_the_one_that_it_says(tmp_path):
    real = _file(lambda net, x: nn.functional.scaled_dot_product_attention(x, x, x), tmp_path)
    file = crafted(real, tmp_path / "canary", _misplaced, tmp_path / "crafted.pt2")
    with pytest.raises(ModelRefused, match="in their order"):
        check_archive(file)
