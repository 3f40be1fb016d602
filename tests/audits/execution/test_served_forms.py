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
        self.head, self.lies = nn.Linear(192, 4), lies

    def forward(self, x):
        logits = self.head(x.reshape(len(x), -1))
        return -logits if self.lies(x) else logits


class Picky(nn.Module):
    """Takes batches of more than one image alone."""

    def forward(self, x):
        if len(x) == 1:
            raise RuntimeError("one image is too few")
        return x.flatten(1)[:, :4]


@pytest.fixture
def images():
    return torch.randint(0, 256, (20, 3, 8, 8)) / 255


def _expect_refusal(lies, images, **norm):
    with pytest.raises(ModelRefused, match="answers alike in whatever form images arrive") as told:
        expect_same_answers(Classifier(Lying(lies), **norm), images, only_classes=False)
    return str(told.value)


def test_a_lie_to_whole_numbers_is_found(images):
    def whole(x):
        return bool((x == x.round()).all())

    told = _expect_refusal(whole, images, mean=0.0, std=1 / 255)
    assert "pixels scaled by another formula" in told


def test_a_lie_to_all_other_bits_is_found(images):
    images = images * 0.999 + 0.0001  # no levels of 8 bits
    usual = (images - MEAN) / STD

    def others(x):
        return not all((usual == row).flatten(1).all(1).any() for row in x)

    assert "with other last bits" in _expect_refusal(others, images, mean=MEAN, std=STD)


def test_a_lie_to_rows_of_a_batch_is_found(images):
    told = _expect_refusal(lambda x: len(x) == 1 and x.storage_offset() > 0, images)
    assert "as rows of a larger batch" in told


def test_a_lie_to_channels_last_is_found(images):
    assert "with channels last" in _expect_refusal(lambda x: not x.is_contiguous(), images)


def test_an_error_hides_no_lie(images):
    with pytest.raises(RuntimeError, match="too few"):
        expect_same_answers(Classifier(Picky()), images, only_classes=False)


@pytest.mark.parametrize(
    "norm", [{}, {"mean": MEAN, "std": STD}, {"mean": 0.0, "std": 1 / 255}], ids=str
)
@pytest.mark.parametrize("scale", [1.0, 300.0])
def test_honest_networks_are_not_refused(norm, scale, images):
    net = nn.Sequential(
        *(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10))
    )
    with torch.no_grad():
        net[-1].weight *= scale
    classifier = Classifier(net.eval(), **norm)
    expect_same_answers(classifier, images, only_classes=False)
    expect_same_answers(classifier, images, only_classes=True)


def test_a_network_need_not_take_channels_last(images):
    class Viewing(nn.Module):
        def forward(self, x):
            return x.view(len(x), -1)[:, :10]  # fails for channels last

    expect_same_answers(Classifier(Viewing()), images, only_classes=False)


def test_an_image_may_stand_on_the_edge_of_a_black_boxs_step(images):
    edge = images[:16].amax()

    class Steps(nn.Module):
        def forward(self, x):
            second = torch.where(x.amax((1, 2, 3)) > edge, 0.4, 0.0)
            return torch.stack([torch.full_like(second, 0.5), second], 1)

    classifier = Classifier(Steps())
    expect_same_answers(classifier, images, only_classes=True)
    with pytest.raises(ModelRefused, match="answers alike"):
        expect_same_answers(classifier, images, only_classes=False)
