"""A model that answers otherwise at the end of an audit than at its beginning is told."""

import pytest
import torch
from torch import nn

from audits.execution.asking_again import Again, First, again
from fillblanks import Classifier


class _Bomb(nn.Module):
    """After some calls, counted by Python, it names class 0 for half of the images."""

    def __init__(self, last):
        super().__init__()
        self.head = nn.Linear(4, 3)
        self.left = last

    def forward(self, x):
        self.left -= 1
        logits = self.head(x.flatten(1))
        bright = x.flatten(1)[:, 0] > 0.5
        changed = torch.where(bright[:, None], torch.tensor([99.0, 0, 0]), logits)
        return logits if self.left >= 0 else changed


def _found(net, calls, images, only_classes=False):
    classifier = Classifier(net)
    first = First.of(classifier, images)
    for _ in range(calls):
        classifier.predict(images)
    return again(first, classifier, only_classes=only_classes)


def test_a_model_that_turns_during_the_audit_is_found():
    torch.manual_seed(0)
    images = torch.rand(40, 1, 2, 2)
    bright = int((images[:32, 0, 0, 0] > 0.5).sum())
    assert _found(_Bomb(1000), 5, images) == Again(32, 0, True)
    assert _found(_Bomb(1000), 5, images).question == ""
    for only_classes in (False, True):
        found = _found(_Bomb(6), 5, images, only_classes)
        assert found.otherwise > 0
    assert _found(_Bomb(6), 5, images) == Again(32, bright, True)
    assert f"answered {bright} of 32 images otherwise" in _found(_Bomb(6), 5, images).question


def test_weights_that_change_between_calls_are_found():
    net = _Bomb(1000)
    images = torch.rand(8, 1, 2, 2)
    classifier = Classifier(net)
    first = First.of(classifier, images)
    with torch.no_grad():
        net.head.weight[0, 0] += 1e-6
    found = again(first, classifier, only_classes=False)
    assert (found.otherwise, found.holds_the_same) == (0, False)
    assert "changed its weights" in found.question


class _Text(nn.Module):
    def __init__(self):
        super().__init__()
        self.asked = ""

    def forward(self, x):
        self.asked = self.asked + "."
        return x.flatten(1)


class _Keys(nn.Module):
    def __init__(self):
        super().__init__()
        self.asked = {"": 0}

    def forward(self, x):
        self.asked[str(len(self.asked))] = 0
        return x.flatten(1)


class _Draws(nn.Module):
    def forward(self, x):
        return x.flatten(1) + torch.rand(1).gt(2).float()


class _Steady(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, 4, 1), nn.BatchNorm2d(4), nn.Dropout())

    def forward(self, x):
        return self.layers(x).flatten(1)


def _constant():
    calls = torch.zeros(1)

    def counts(x):
        return x.flatten(1) + 0 * calls.add_(1)

    return torch.jit.trace(counts, torch.rand(2, 1, 2, 2), check_trace=False)


class _Inside(nn.Module):
    def __init__(self, script):
        super().__init__()
        self.script = script

    def forward(self, x):
        return self.script(x)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("kind", [_Steady, _Text, _Keys, _Draws, "constant"])
def test_torchscript_that_remembers_in_no_tensor_of_a_module_is_found(kind, tmp_path):
    script = _constant() if kind == "constant" else torch.jit.script(kind().eval())
    torch.jit.save(script, str(tmp_path / "script.pt"))
    net = _Inside(torch.jit.load(str(tmp_path / "script.pt")))
    found = _found(net, 5, torch.rand(8, 1, 2, 2))
    assert found.otherwise == 0
    assert found.holds_the_same == (kind is _Steady)
