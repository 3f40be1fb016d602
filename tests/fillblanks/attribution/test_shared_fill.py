"""The shared fill against autograd in a plain loop, and against a network whose fill is known."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from fillblanks import Classifier, Plan
from fillblanks.attribution.shared_fill import shared_fill, window_logits, with_window
from fillblanks.attribution.windows import window_places
from fillblanks.masks import keys

SIDE, LABEL = 6, 1


class Linear(nn.Module):
    """Two classes; the second likes some pixels and dislikes all others."""

    def __init__(self, channels=1):
        super().__init__()
        signs = torch.rand(channels, SIDE, SIDE, generator=torch.Generator().manual_seed(3)) - 0.5
        self.weight = nn.Parameter(signs.sign().double() * 0.3)

    def forward(self, x):
        score = (x * self.weight).sum((1, 2, 3))
        return torch.stack([torch.zeros_like(score), score], 1)


def _images(count=9, channels=1):
    generator = torch.Generator().manual_seed(1)
    return torch.rand(count, channels, SIDE, SIDE, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("size", [2, SIDE, None])
def test_the_fill_of_a_linear_network_is_white_where_its_weights_are_positive(size):
    net = Linear(channels=2)
    fill = shared_fill(Classifier(net), _images(channels=2), LABEL, size=size, steps=200)
    torch.testing.assert_close(fill, (net.weight > 0).float(), atol=1e-6, rtol=0)


@pytest.mark.parametrize(("size", "opacity"), [(3, 1.0), (None, 0.2)])
def test_steps_are_those_of_a_plain_loop(size, opacity):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(64, 3)).double()
    images, steps, batch, rate = _images(), 3, 5, 0.02
    sides = (SIDE - size + 1, SIDE - size + 1) if size else (1, 1)
    drawn = keys(7, torch.tensor([LABEL]), torch.tensor([-10]), steps * batch * 3)
    drawn = drawn.view(steps, batch, 3)
    fill = torch.full((1, SIDE, SIDE), 0.5, dtype=torch.float64)
    square = torch.zeros_like(fill)
    for step in range(steps):
        total, count = torch.zeros_like(fill), torch.zeros_like(fill)
        for which, row, column in drawn[step].tolist():
            row, column = row % sides[0], column % sides[1]
            window = (slice(None), slice(row, row + (size or SIDE)))
            window += (slice(column, column + (size or SIDE)),)
            image = images[which % len(images)].clone()
            image[window] += opacity * (fill[window] - image[window])
            image.requires_grad_(True)
            loss = functional.cross_entropy(net(image[None]), torch.tensor([LABEL]))
            (gradient,) = torch.autograd.grad(loss, image)
            total[window] -= gradient[window]
            count[window] += 1
        blank = count > 0
        update = total / count.clamp(min=1)
        square[blank] = 0.8 * square[blank] + 0.2 * update[blank] ** 2
        moved = rate * (1 - step / steps) * update / (square.sqrt() + 1e-12)
        fill[blank] = (fill + moved).clamp(0, 1)[blank]
    options = {"size": size, "opacity": opacity, "start": 0.5, "steps": steps, "batch": batch}
    options["rate"] = rate
    found = shared_fill(Classifier(net), images, LABEL, seed=7, **options)
    torch.testing.assert_close(found, fill.float(), atol=1e-6, rtol=0)
    for chunk in (1, 3, 64):
        again = shared_fill(Classifier(net), images, LABEL, seed=7, plan=Plan(chunk), **options)
        torch.testing.assert_close(again, found, atol=1e-6, rtol=0)
    other = shared_fill(Classifier(net), images, LABEL, seed=8, **options)
    assert not torch.equal(other, found)


@pytest.mark.parametrize(("size", "opacity"), [(2, 1.0), (3, 0.4), (None, 0.1)])
def test_logits_of_windows_are_those_of_images_with_one_window(size, opacity):
    net, images = Linear(), _images(4)
    fill = torch.rand(1, SIDE, SIDE, generator=torch.Generator().manual_seed(5)).double()
    places = window_places(SIDE, SIDE, size, 2) if size else torch.zeros((1, 2), dtype=torch.int64)
    found = window_logits(
        Classifier(net), images, fill, places, size=size, opacity=opacity, plan=Plan(5)
    )
    for at, place in enumerate(places):
        changed = with_window(images, fill, place, size, opacity)
        torch.testing.assert_close(found[at], net(changed).float().detach())
        row, column = place.tolist()
        inside = torch.zeros(SIDE, SIDE, dtype=torch.bool)
        inside[row : row + (size or SIDE), column : column + (size or SIDE)] = True
        assert torch.equal(changed[:, :, ~inside], images[:, :, ~inside])
        expected = images + opacity * (fill - images)
        torch.testing.assert_close(changed[:, :, inside], expected[:, :, inside])


def test_logits_that_are_not_finite_are_an_error():
    class Broken(Linear):
        def forward(self, x):
            return super().forward(x) * torch.where(x.sum() > 0, math.nan, 1.0)

    with pytest.raises(ValueError, match="finite logits"):
        shared_fill(Classifier(Broken()), _images(), LABEL, size=2)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size": 7}, "1 to 6 pixels"),
        ({"size": 2, "opacity": 0.0}, "opacity above 0"),
        ({"size": 2, "steps": 0}, "at least 1"),
        ({"size": 2, "batch": 0}, "at least 1"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        shared_fill(Classifier(Linear()), _images(), LABEL, **options)
