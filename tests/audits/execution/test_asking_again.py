"""A model that answers otherwise at the end of an audit than at its beginning is told."""

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
