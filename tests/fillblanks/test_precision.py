"""A network that rounds to 8 bits, in modules or in its graph, is compared by steps of 8 bits."""

import pytest
import torch
from torch import fx, nn

from fillblanks import Classifier
from fillblanks.precision import rounding_of


class Rounding8(nn.Module):
    """A linear layer between values of 8 bits."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(12, 3)

    def forward(self, x):
        x = torch.fake_quantize_per_tensor_affine(x.flatten(1), 1 / 127, 0, -127, 127)
        return torch.fake_quantize_per_tensor_affine(self.head(x), 1 / 50, 0, -127, 127)


class Decomposed(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(12, 3)

    def forward(self, x):
        ops = torch.ops.quantized_decomposed
        step = (1 / 127, 0, -127, 127, torch.int8)
        x = ops.dequantize_per_tensor(ops.quantize_per_tensor(x.flatten(1), *step), *step)
        return self.head(x)


def _decomposed():
    import torch.ao.quantization.fx._decomposed  # registers the operators

    batch = {0: torch.export.Dim("batch")}
    example = (torch.rand(2, 3, 2, 2),)
    return torch.export.export(Decomposed(), example, dynamic_shapes=(batch,)).module()


def test_steps_of_8_bits_in_a_graph_are_found():
    plain = nn.Linear(12, 3)
    assert rounding_of(plain).share == 1e-3
    assert rounding_of(fx.symbolic_trace(plain)).share == 1e-3
    for net in (fx.symbolic_trace(Rounding8()), _decomposed()):
        assert rounding_of(net) == (1 / 16, 2.0**-7)
        assert rounding_of(nn.Sequential(net)).share == 1 / 16


def test_a_traced_network_with_parts_that_are_never_called_has_a_rounding_too():
    class Partly(nn.Module):
        def __init__(self):
            super().__init__()
            self.head, self.never = nn.Linear(12, 3), nn.Sequential(nn.Linear(12, 3))

        def forward(self, x):
            return self.head(x)

    traced = torch.jit.trace(Partly(), torch.rand(2, 12))
    with pytest.raises(RuntimeError, match="forward"):
        _ = traced.never.graph  # why a module is not asked for what is no graph of fx
    assert rounding_of(traced).share == 1e-3


class Scaling(nn.Module):
    """Answers an image alone with logits that are larger by a share."""

    def __init__(self, inner, share):
        super().__init__()
        self.inner, self.share = inner, share

    def forward(self, x):
        return self.inner(x) * (1 + self.share * (x.shape[0] == 1))


@pytest.mark.parametrize(
    ("inner", "share", "same"),
    [
        (fx.symbolic_trace(Rounding8()), 0.02, True),
        (fx.symbolic_trace(Rounding8()), 0.2, False),
        (nn.Sequential(nn.Flatten(), nn.Linear(12, 3)), 0.02, False),
    ],
)
def test_half_a_step_is_no_other_answer_if_8_bits_are_in_use(inner, share, same):
    classifier, images = Classifier(Scaling(inner, share)), torch.rand(32, 3, 2, 2)
    if same:
        assert classifier.expect_logits(images, 8) == 3
    else:
        with pytest.raises(ValueError, match="alone and in a batch"):
            classifier.expect_logits(images, 8)


def test_a_file_cannot_bring_the_attribute_that_allows_more_rounding():
    class Claiming(nn.Linear):
        def __init__(self):
            super().__init__(4, 2)
            self.is_quantised = True

    assert rounding_of(Claiming()).share == 1e-3
    assert rounding_of(torch.jit.script(Claiming())).share == 1e-3

    class Known(nn.Linear):
        is_quantised = True

    assert rounding_of(Known(4, 2)).share == 1 / 16
