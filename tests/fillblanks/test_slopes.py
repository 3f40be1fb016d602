"""A gradient that is not that of the logits is told from one that is."""

import pytest
import torch
from torch import nn

from fillblanks import Classifier
from fillblanks.slopes import ENOUGH, agreement


def _small(seed):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, 1, 1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(8 * 16, 5),
    ).eval()


def _images():
    return torch.rand((8, 3, 16, 16), generator=torch.Generator().manual_seed(0))


def _agreement(net, images=None):
    images = _images() if images is None else images
    classifier = Classifier(net, mean=0.4, std=0.3)
    with classifier.steady():
        return agreement(classifier, classifier.to_input(images))


def test_a_linear_network_agrees_to_rounding():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(768, 5))
    assert _agreement(net.double()) == pytest.approx(1, abs=1e-12)
    assert _agreement(net.float()) == pytest.approx(1, abs=1e-4)


class _Softmax(nn.Module):
    """The logarithms of a network's probabilities, as an adapted network gives them."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x).softmax(1).log()


class _Bytes(_Softmax):
    """Rounds pixels to bytes, and gives the gradient straight through."""

    def forward(self, x):
        rounded = (x * 255).round() / 255
        return self.net(x + (rounded - x).detach())


class _Smooth(_Softmax):
    def forward(self, x):
        return self.net(x.clamp(-1, 2)).sigmoid()


@pytest.mark.parametrize("around", [nn.Sequential, _Softmax, _Bytes, _Smooth])
def test_an_honest_network_agrees(around):
    assert _agreement(around(_small(0))) > 0.9


def test_half_precision_agrees():
    assert _agreement(_small(0).bfloat16()) > ENOUGH + 0.1


class _Borrowing(nn.Module):
    """Answers as `net`, and has the gradient of `size` times `other`."""

    def __init__(self, net, other, size):
        super().__init__()
        self.net, self.other, self.size = net, other, size

    def forward(self, x):
        gradient = self.other(x) * self.size(x)
        return self.net(x).detach() + gradient - gradient.detach()


@pytest.mark.parametrize(
    ("other", "size"),
    [
        (1, lambda x: 1),
        (0, lambda x: -1),
        (0, lambda x: 0),
        (0, lambda x: 1e-4),
    ],
    ids=["borrowed", "flipped", "detached", "tiny"],
)
def test_another_gradient_is_seen(other, size):
    net = _small(0)
    honest = _Borrowing(net, net, lambda x: 1)
    assert _agreement(honest) > 0.9
    assert _agreement(_Borrowing(net, _small(other), size)) < ENOUGH - 0.1


class _Sawtooth(_Borrowing):
    """Adds teeth of some height to the answers, whose slopes are those of `other`."""

    def forward(self, x):
        teeth = self.other(x) / self.size
        return self.net(x).detach() + self.size * (teeth - teeth.floor())


@pytest.mark.parametrize("height", [0.001, 0.01])
def test_true_slopes_of_small_teeth_are_seen(height):
    assert _agreement(_Sawtooth(_small(0), _small(1), height)) < ENOUGH - 0.1


class _BetweenLevels(_Borrowing):
    """Answers images of 8 bits as `net`; between their levels it changes as `other`."""

    def forward(self, x):
        pixels = (x * 0.3 + 0.4) * self.size
        levels = (pixels.round() / self.size - 0.4) / 0.3
        return self.net(levels) + self.other(x) - self.other(levels)


@pytest.mark.parametrize("levels", [255, 85, 15])
def test_true_slopes_between_the_levels_of_pixels_are_seen(levels):
    images = (_images() * 255).round() / 255
    assert _agreement(_BetweenLevels(_small(0), _small(1), levels), images) < ENOUGH - 0.1


class _OnLevels(nn.Module):
    """Notes whether it was ever given an image of which a pixel is no level."""

    def __init__(self, net):
        super().__init__()
        self.net, self.other = net, False

    def forward(self, x):
        self.other |= bool((x != (x * 255).round() / 255).any())
        return self.net(x)


def test_images_of_8_bits_stay_so_to_the_last_bit():
    net = _OnLevels(nn.Sequential(nn.Flatten(), nn.Linear(768, 5)))
    images = torch.randint(0, 256, (8, 3, 16, 16), generator=torch.Generator().manual_seed(0)) / 255
    classifier = Classifier(net, mean=0.0, std=1.0)
    with classifier.steady():
        assert agreement(classifier, classifier.to_input(images)) > 0.99
    assert not net.other


class _Far(_Borrowing):
    """Adds a number to all logits, beside which they change by little, and has coarse weights."""

    def __init__(self, net, other, size, far):
        super().__init__(net, other, size)
        self.far = far
        self.unused = nn.Linear(1, 1).bfloat16()

    def forward(self, x):
        return super().forward(x) + self.far


@pytest.mark.parametrize("far", [0, 1e2, 1e5])
def test_another_gradient_is_seen_beside_coarse_numbers(far):
    assert _agreement(_Far(_small(0), _small(1), lambda x: 1, far)) < ENOUGH - 0.1


class _Steep(_Borrowing):
    """Has steep logits, with true slopes, for the classes of which the loss sees nothing."""

    def forward(self, x):
        logits = super().forward(x)
        unseen = logits.detach().argsort(1).argsort(1) < 3
        sign = 1 - 2 * (torch.arange(x[0].numel()) % 2)
        steep = 30 * (x.flatten(1) * sign).sum(1, keepdim=True) - 1e4
        return torch.where(unseen, steep, logits)


def test_another_gradient_is_seen_behind_steep_logits_of_other_classes():
    net = _small(0)
    assert _agreement(_Steep(net, net, lambda x: 1)) > 0.9
    assert _agreement(_Steep(net, _small(1), lambda x: 1)) < ENOUGH - 0.1


class _Blanks(_Borrowing):
    """Borrows the gradient if many pixels are black alone."""

    def forward(self, x):
        black = ((x <= -0.4 / 0.3 + 1e-5).flatten(1).float().mean(1) > 0.3)[:, None]
        own = self.net(x)
        return torch.where(black, super().forward(x), own)


def test_a_gradient_that_is_borrowed_for_masked_images_is_seen():
    assert _agreement(_Blanks(_small(0), _small(1), lambda x: 1)) < ENOUGH


class _FineBlanks(_Borrowing):
    """Borrows the gradient if black patches of 2x2 pixels stand alone, as in fills of 28x28."""

    def forward(self, x):
        black = (x <= -0.4 / 0.3 + 1e-5).all(1, keepdim=True).float()
        patch = nn.functional.avg_pool2d(black, 2) == 1
        around = nn.functional.avg_pool2d(patch.float(), 3, 1, 1) < 0.4
        alone = (patch & around).flatten(1).sum(1) >= 3
        return torch.where(alone[:, None], super().forward(x), self.net(x))


def test_a_gradient_that_is_borrowed_for_small_blanks_is_seen():
    images = torch.rand((8, 3, 28, 28), generator=torch.Generator().manual_seed(0))

    def net(seed):
        return _small(seed)[:-1].append(nn.LazyLinear(5))

    own, other = net(0), net(1)
    for one in (own, other):
        one(images)
    assert _agreement(own, images) > 0.9
    assert _agreement(_FineBlanks(own, own, lambda x: 1), images) > 0.9
    assert _agreement(_FineBlanks(own, other, lambda x: 1), images) < ENOUGH - 0.1


def test_a_constant_network_tells_nothing():
    class Constant(nn.Module):
        def forward(self, x):
            return 0 * x.flatten(1)[:, :3] + torch.tensor([1.0, 2.0, 3.0])

    assert _agreement(Constant()) is None


def test_the_network_and_its_images_may_be_large_or_few():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 4, 5, 4), nn.ReLU(), nn.Flatten(), nn.LazyLinear(3))
    net(torch.rand(1, 1, 90, 70))
    assert _agreement(net, torch.rand(1, 1, 90, 70)) > 0.9
