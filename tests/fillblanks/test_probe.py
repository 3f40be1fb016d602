"""Networks that keep state, or whose rows depend on each other, are refused."""

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
