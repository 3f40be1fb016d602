"""A copy of a network that answers otherwise is refused, whatever hides it."""

import pytest
import torch
from torch import nn

from fillblanks.engine.aten import NotRewritable
from fillblanks.engine.same import expect_same, with_masked


class _Net(nn.Module):
    """Steep for the first two images, with a class that is never the answer."""

    def __init__(self, *, other: bool, size: float, never: float):
        super().__init__()
        torch.manual_seed(0)
        self.head = nn.Linear(64, 3)
        self.other, self.size, self.never = other, size, never

    def forward(self, x):
        logits = 5 * self.head(x.flatten(1))
        steep = (torch.arange(len(x)) < 2)[:, None]
        answer = logits + (logits.roll(1, 1) - logits).detach() if self.other else logits
        answer = torch.where(steep, self.size * logits, answer)
        return torch.cat([answer, torch.full_like(answer[:, :1], self.never)], 1)


@pytest.mark.parametrize(("size", "never"), [(1e5, 0.0), (1.0, -1e7), (1.0, 0.0)])
def test_neither_steep_images_nor_a_class_without_weight_hide_other_answers(size, never):
    example = with_masked(torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0)))
    net = _Net(other=False, size=size, never=never)
    expect_same(net, _Net(other=False, size=size, never=never), example)
    with pytest.raises(NotRewritable, match="same logits"):
        expect_same(net, _Net(other=True, size=size, never=never), example)
