"""A network that is another one in a batch is refused, whatever hides it."""

import pytest
import torch
from torch import nn

from fillblanks import Classifier
from fillblanks.batches import Rounding, changed


class _OtherAlone(nn.Module):
    """Another network alone than in a batch, behind an offset or in very small logits."""

    def __init__(self, scale: float, offset: float):
        super().__init__()
        torch.manual_seed(0)
        self.nets = nn.ModuleList(nn.Linear(64, 3) for _ in range(2))
        self.scale, self.offset = scale, offset
        with torch.no_grad():  # the same predicted class
            self.nets[0].bias.copy_(torch.tensor([9.0, 0, 0]))
            self.nets[1].bias.copy_(torch.tensor([9.0, 0, 0]))

    def forward(self, images):
        return self.scale * self.nets[len(images) > 1](images.flatten(1)) + self.offset


@pytest.mark.parametrize(("scale", "offset"), [(1, 1e4), (1e-4, 0)])
def test_neither_an_offset_nor_small_logits_hide_another_network_in_a_batch(scale, offset):
    images = torch.rand(32, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match="alone and in a batch, got different ones"):
        Classifier(_OtherAlone(scale, offset)).probe(images)


@pytest.mark.parametrize("offset", [0.0, 75.0, -75.0, 1e4])
@pytest.mark.parametrize("rounding", [Rounding(1e-3, 2.0**-23), Rounding(1 / 16, 2.0**-7)])
def test_a_number_that_is_added_to_all_logits_hides_no_other_answer(offset, rounding):
    logits = 0.3 * torch.randn(8, 10) + offset
    rows = torch.arange(8)
    assert changed(logits, logits, rows, rounding, only_classes=False) == 0
    nearly = logits + 1e-5 * torch.randn(8, 10)
    assert changed(logits, nearly, rows, rounding, only_classes=False) == 0
    other = torch.where(rows[:, None] == 3, logits.roll(1, 1), logits)
    assert changed(logits, other, rows, rounding, only_classes=False) == 1
