"""A network that answers otherwise in some form of its input, and the refusal it must get."""

import pytest
from torch import nn

from audits.errors import Contradicted
from audits.execution.served_forms import expect_same_answers
from fillblanks import Classifier

MEAN, STD = 0.3, 0.35


class Lying(nn.Module):
    """Answers in the opposite way if `lies` says so of an input."""

    def __init__(self, lies):
        super().__init__()
        self.head, self.lies = nn.Linear(192, 4), lies

    def forward(self, x):
        logits = self.head(x.reshape(len(x), -1))
        return -logits if self.lies(x) else logits


class AnyDtype(Lying):
    """Takes inputs of any dtype, as Lying does those of its weights."""

    def forward(self, x):
        logits = self.head(x.float().reshape(len(x), -1))
        return -logits if self.lies(x) else logits


def expect_refusal(lies, images, norm=None, **own):
    """The line with which a lying network is refused, which it must be."""
    with pytest.raises(Contradicted, match="answers alike in whatever form images arrive") as told:
        expect_same_answers(Classifier(Lying(lies), **own), images, only_classes=False, norm=norm)
    return str(told.value)
