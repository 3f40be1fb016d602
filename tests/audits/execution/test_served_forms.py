"""A network that looks at the bits or the memory of its input is refused; honest ones are not."""

import pytest
import torch
from torch import nn

from audits.errors import ModelRefused
from audits.execution.served_forms import expect_same_answers
from fillblanks import Classifier

MEAN, STD = 0.3, 0.35


class Lying(nn.Module):
    """Answers in the opposite way if `lies` says so of an input."""

    def __init__(self, lies):
        super().__init__()
        self.head, self.lies = nn.Linear(64, 4), lies

    def forward(self, x):
        logits = self.head(x.reshape(len(x), -1))
        return -logits if self.lies(x) else logits


def whole(x):
    return bool((x == x.round()).all())


def by_another_formula(x):
    levels = ((x * STD + MEAN) * 255).round()
    return not torch.equal((levels / 255 - MEAN) / STD, x)


LIES = {
    "pixels scaled by another formula": (whole, {"mean": 0.0, "std": 1 / 255}),
    "other last bits": (by_another_formula, {"mean": MEAN, "std": STD}),
    "rows of a larger batch": (lambda x: x.storage_offset() > 0 and len(x) == 1, {}),
    "channels last": (lambda x: not x.is_contiguous(), {}),
}


@pytest.fixture
def images():
    return torch.randint(0, 256, (20, 1, 8, 8)) / 255


@pytest.mark.parametrize("told", LIES)
def test_a_lie_in_one_form_is_found(told, images):
    lies, norm = LIES[told]
    if "last bits" in told:
        images = images * 0.999 + 0.0001  # no whole levels
        usual = (images - MEAN) / STD
        lies = lambda x: not any(torch.equal(x, one) for one in usual.split(4))  # noqa: E731
    if told == "channels last":
        images = images.expand(-1, 3, -1, -1)
        lying = Lying(lies)
        lying.head = nn.Linear(192, 4)
    else:
        lying = Lying(lies)
    with pytest.raises(ModelRefused, match=r"answers alike in whatever form images arrive"):
        expect_same_answers(Classifier(lying.eval(), **norm), images, only_classes=False)


@pytest.mark.parametrize(
    "norm", [{}, {"mean": MEAN, "std": STD}, {"mean": 0.0, "std": 1 / 255}], ids=str
)
@pytest.mark.parametrize("scale", [1.0, 300.0])
def test_honest_networks_are_not_refused(norm, scale, images):
    net = nn.Sequential(
        *(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10))
    )
    with torch.no_grad():
        net[-1].weight *= scale
    classifier = Classifier(net.eval(), **norm)
    expect_same_answers(classifier, images, only_classes=False)
    expect_same_answers(classifier, images, only_classes=True)


def test_a_form_that_the_network_does_not_take_says_nothing(images):
    class Viewing(nn.Module):
        def forward(self, x):
            return x.view(len(x), -1)[:, :10]  # fails for channels last

    wide = images.expand(-1, 3, -1, -1)
    expect_same_answers(Classifier(Viewing()), wide, only_classes=False)
