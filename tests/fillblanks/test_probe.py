"""Networks that remember, answer by chance, or whose rows depend on each other are refused."""

import pytest
import torch
from torch import nn

from fillblanks import Classifier, Plan, progressive_fill


class _Remembering(nn.Module):
    """Keeps its last answer in a buffer, by which a network could recognise its own fills."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(12, 3)
        self.register_buffer("last", torch.zeros(3))

    def forward(self, x):
        logits = self.head(x.flatten(1)[:, :12])
        self.last.copy_(logits[0].detach())
        return logits


def test_a_network_with_a_memory_is_refused():
    classifier = Classifier(_Remembering())
    with pytest.raises(ValueError, match="changed its buffer 'last'"):
        progressive_fill(classifier, torch.rand(2, 3, 6, 6), patch_size=1)


class _TouchingRows(nn.Module):
    """Each answer depends on the whole batch if the batch has more than four rows."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(108, 3)

    def forward(self, x):
        logits = self.head(x.flatten(1))
        return logits + 3 * min(max(len(x) - 4, 0), 1) * (logits - logits.mean(0))


def test_rows_that_touch_in_the_batches_of_the_plan_are_refused():
    classifier = Classifier(_TouchingRows())
    images = torch.rand(2, 3, 6, 6)
    with pytest.raises(ValueError, match="for an image alone and in a batch"):
        progressive_fill(classifier, images, patch_size=1)
    progressive_fill(classifier, images, patch_size=1, plan=Plan(chunk=4))


class _Dropping(nn.Module):
    """Drops by chance whatever its mode, but only in the last row of a batch."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(108, 3)

    def forward(self, x):
        features = x.flatten(1)
        last = nn.functional.dropout(features[-1:], training=True)
        return self.head(torch.cat([features[:-1], last]))


def test_answers_that_differ_each_time_are_refused():
    with pytest.raises(ValueError, match="same logits for an image each time, got different ones"):
        Classifier(_Dropping()).expect_logits(torch.rand(2, 3, 6, 6))


class _ByNumpy(nn.Module):
    def forward(self, x):
        return torch.from_numpy(x.numpy()).flatten(1)


class _WithoutGradient(nn.Flatten):
    def forward(self, x):
        return super().forward(x).detach()


@pytest.mark.parametrize("net", [_WithoutGradient(), _ByNumpy()])
def test_logits_can_be_expected_of_a_network_without_a_gradient(net):
    images = torch.rand(2, 3, 6, 6)
    classifier = Classifier(net)
    assert classifier.expect_logits(images) == 108
    assert not classifier.has_gradient(images)
    with pytest.raises(ValueError, match="Take out no_grad, detach or numpy on the way"):
        classifier.probe(images)
    assert Classifier(nn.Flatten()).has_gradient(images)


@pytest.mark.parametrize(("dtype", "change"), [(torch.bfloat16, 0.02), (torch.float32, 0.002)])
def test_rows_may_differ_by_the_rounding_of_the_weights(dtype, change):
    class Rounds(nn.Module):
        def __init__(self, change):
            super().__init__()
            self.change = change
            self.weight = nn.Parameter(torch.ones(1, dtype=dtype))

        def forward(self, x):
            logits = 4 * x.flatten(1).float() - 1
            return logits * (1 + self.change * (len(x) > 1))

    images = torch.rand(2, 3, 6, 6)
    with pytest.raises(ValueError, match="for an image alone and in a batch"):
        Classifier(Rounds(10 * change), dtype=torch.float32).expect_logits(images)
    told = Classifier(Rounds(change / 3), dtype=torch.float32)
    assert told.expect_logits(images) == 108


def test_a_gradient_of_other_leaves_is_none_of_the_image():
    class Loose(nn.Module):
        """Adds a tensor that requires a gradient, and is no parameter that can be frozen."""

        def __init__(self):
            super().__init__()
            self.loose = [torch.ones(3, requires_grad=True)]

        def forward(self, x):
            return x.detach().flatten(1)[:, :3] + self.loose[0]

    images = torch.rand(2, 1, 4, 4)
    assert Loose()(images).requires_grad
    assert not Classifier(Loose()).has_gradient(images)
    assert Classifier(nn.Flatten()).has_gradient(images)


def test_an_operation_without_a_derivative_gives_no_gradient():
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    images = torch.rand(2, 1, 4, 4)
    assert Classifier(net).has_gradient(images)
    quantized = torch.ao.quantization.quantize_dynamic(net, {nn.Linear})
    assert not Classifier(quantized).has_gradient(images)
