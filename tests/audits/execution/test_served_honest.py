"""Networks and boxes that are honest, or fail altogether, are not taken for liars."""

from contextlib import nullcontext

import pytest
import torch
from lying_nets import MEAN, STD
from simple_nets import logistic
from sklearn.tree import DecisionTreeClassifier
from torch import nn

from audits.data.sources import Digits, load
from audits.errors import Contradicted
from audits.execution import pixel_forms, served_forms
from audits.execution.asking import Asking
from audits.execution.served_forms import expect_same_answers
from fillblanks import Classifier


def test_a_batch_that_is_too_large_says_nothing(images):
    class Short(nn.Module):
        def forward(self, x):
            if len(x) > 500:
                raise MemoryError
            return x.flatten(1)[:, :4]

    expect_same_answers(Classifier(Short()), images, only_classes=False)


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_a_network_of_digits_is_not_refused(noise):
    images = load(Digits()).tensor(range(100, 132))
    classifier = Classifier(logistic(noise).eval(), mean=0.3, std=0.35)
    for _ in range(2):  # the forms are drawn anew
        expect_same_answers(classifier, images, only_classes=False, norm=([0.3], [0.35]))


def test_a_tree_of_digits_is_not_refused():
    data = load(Digits())
    images = data.tensor(range(len(data)))
    tree = DecisionTreeClassifier(random_state=0).fit(images.flatten(1).numpy(), data.labels)

    class Tree(nn.Module):
        def forward(self, x):
            return torch.from_numpy(tree.predict_proba(x.flatten(1).numpy())).float()

    for first in range(0, 96, 32):
        expect_same_answers(Classifier(Tree()), images[first : first + 32], only_classes=True)


def test_a_network_that_fails_altogether_is_not_accused(images):
    class Ending(nn.Module):
        calls = 0

        def forward(self, x):
            self.calls += 1
            if self.calls > 6:  # after the answers to the images as they are
                raise RuntimeError("the device is gone")
            return x.flatten(1)[:, :10]

    with pytest.raises(RuntimeError, match="the device is gone") as caught:
        expect_same_answers(Classifier(Ending()), images, only_classes=False)
    assert not isinstance(caught.value, Contradicted)


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
    with pytest.raises(Contradicted, match="answers alike"):
        expect_same_answers(classifier, images, only_classes=False)


@pytest.mark.parametrize("surest", [False, True])
def test_rounding_may_change_the_unsure_half_of_the_answers(surest):
    images = (torch.randint(0, 200, (16, 1, 16, 16)) + 20) / 255
    images[:, :, :8, :8] = torch.arange(16).reshape(-1, 1, 1, 1) % 2  # enlarged, its corner stays

    class Banded(nn.Module):
        """Half of the answers are sure. The others, or these, change between the levels."""

        def forward(self, x):
            pixels = x * STD + MEAN
            sure = pixels[:, 0, 0, 0] > 0.5
            levels = pixels * 255
            moved = (levels - levels.round()).abs().flatten(1).amax(1) > 1e-3
            changes = moved & (sure if surest else ~sure)
            answer = torch.where(changes, -1.0, 1.0) * torch.where(sure, 10.0, 0.1)
            return torch.stack([answer, -answer], 1)

    asking = Asking.of(Classifier(Banded(), mean=MEAN, std=STD), images, False, torch.float32)
    with pytest.raises(Contradicted, match=r"8 of 8 .*surely") if surest else nullcontext():
        served_forms._ask_resized(asking, {"": pixel_forms.of_more_bits(images)})
