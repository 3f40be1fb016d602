"""complete changes blanks alone, raises the class that is asked for, and depends on no batch."""

from dataclasses import replace

import pytest
import torch
from fixed_net import fixed_classifier
from simple_nets import logistic
from torch import nn

from audits.data.sources import Digits, load
from fillblanks import Classifier, OutOfMemory, Plan, Recipe, Spectrum, complete

DIGITS = load(Digits())
IMAGES = DIGITS.tensor(range(12))
LABELS = torch.from_numpy(DIGITS.labels[:12])
FOILS = (LABELS + 3) % 10
SPECTRUM = Spectrum.of(DIGITS.tensor(range(100, 300)))
KEYS = ("image", "start", "blank", "label")


@pytest.fixture(scope="module")
def classifier():
    return Classifier(logistic(), mean=0.3, std=0.35, constant=True)


@pytest.fixture(scope="module")
def convolutions():
    """A small network of random weights whose passes have other last bits in other batches."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.Tanh(),
            nn.Flatten(), nn.Linear(504, 40), nn.Tanh(), nn.Linear(40, 7),
        )  # fmt: skip


def logit(classifier, images, labels):
    with torch.no_grad():
        logits = classifier(images.to(classifier.dtype))
    return logits.gather(1, labels[:, None])[:, 0]


def filled(classifier, labels=LABELS, **options):
    return complete(classifier, IMAGES, labels, **({"spectrum": SPECTRUM, "steps": 8} | options))


def test_only_blanks_change(classifier):
    found = filled(classifier)
    visible = (~found.blank).expand_as(IMAGES)
    assert torch.equal(found.image[visible], IMAGES[visible])
    assert torch.equal(found.start[visible], IMAGES[visible])
    assert (found.image != found.start)[~visible].float().mean() > 0.9
    assert found.image.min() >= 0
    assert found.image.max() <= 1
    assert (found.blank.flatten(1).sum(1) == 8 * 49).all()  # half of 16 patches of 7 x 7
    assert torch.equal(found.label, LABELS)


def test_the_class_that_is_asked_for_rises(classifier):
    worse = fixed_classifier()
    for labels in (LABELS, FOILS):
        found = filled(classifier, labels, steps=32)
        assert (
            logit(classifier, found.image, labels) > logit(classifier, found.start, labels)
        ).all()
        # Another network, of other features, sees it too.
        seen = logit(worse, found.image, labels) - logit(worse, found.start, labels)
        assert (seen > 0).float().mean() > 0.8


def test_another_network_tells_which_class_was_asked_for(classifier):
    judge = fixed_classifier()
    asked, other = (filled(classifier, labels, steps=32).image for labels in (LABELS, FOILS))
    gaps = [logit(judge, x, LABELS) - logit(judge, x, FOILS) for x in (asked, other)]
    assert (gaps[0] > gaps[1]).float().mean() > 0.9


def test_the_fill_of_a_linear_network_points_along_its_weights():
    net = logistic()
    for label in (0, 4):
        labels = torch.full((12,), label)
        found = filled(Classifier(net), labels, steps=32)
        change = (found.image - found.start).flatten(1)
        weights = net.head.weight[label].detach().expand_as(change) * found.blank.flatten(1)
        assert (torch.cosine_similarity(change, weights) > 0.3).all()


@pytest.mark.parametrize("chunk", [1, 2, 5])
def test_the_same_plan_gives_the_same_bytes_however_images_are_split(convolutions, pictures, chunk):
    images = pictures(7, 3, 19, 23, torch.float32)
    labels, indices = torch.arange(7), torch.tensor([3, 1, 4, 15, 9, 2, 6])
    options = {"spectrum": Spectrum.of(images), "plan": Plan(chunk=chunk), "seed": 5, "steps": 6}
    model = Classifier(convolutions)
    whole = complete(model, images, labels, indices=indices, **options)
    for order in ([0, 1, 2, 3, 4, 5, 6], [6], [2, 5, 0, 4]):
        for at in range(0, len(order), 3):
            rows = order[at : at + 3]
            part = complete(model, images[rows], labels[rows], indices=indices[rows], **options)
            for key in KEYS:
                assert torch.equal(getattr(part, key), getattr(whole, key)[rows]), key


def test_other_chunks_differ_by_rounding_alone(pictures):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        net = nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 64, 5)
        ).double()
    images, labels = pictures(5, 3, 10, 10), torch.arange(5)
    options = {"spectrum": Spectrum.of(images), "steps": 12, "patch_size": 2}
    one, all_ = (
        complete(Classifier(net), images, labels, plan=Plan(chunk=chunk), **options)
        for chunk in (1, 5)
    )
    torch.testing.assert_close(one.image, all_.image, atol=1e-9, rtol=0)
    assert torch.equal(one.blank, all_.blank)


def test_single_precision_gives_the_fills_of_double(classifier):
    double = Classifier(logistic().double(), mean=0.3, std=0.35)
    one, two = filled(classifier), filled(double)
    assert (one.image - two.image).abs().max() < 2e-3
    assert two.image.dtype == torch.float64


def test_visible_pixels_of_a_network_in_half_precision_are_not_rounded():
    found = filled(Classifier(logistic().bfloat16(), mean=0.3, std=0.35), steps=1)
    visible = (~found.blank).expand_as(IMAGES)
    assert found.image.dtype == torch.float32
    assert torch.equal(found.image[visible], IMAGES[visible])


def test_a_network_without_a_gradient_gives_the_same_fill_for_any_class():
    class Dead(nn.Module):
        def forward(self, x):
            return 0 * x.flatten(1)[:, :10] + torch.arange(10)

    one, other = filled(Classifier(Dead())), filled(Classifier(Dead()), FOILS)
    assert torch.equal(one.image, other.image)


def test_seed_and_identity_decide_masks_and_fills(classifier):
    first, other = filled(classifier, seed=1), filled(classifier, seed=2)
    assert not torch.equal(first.blank, other.blank)
    moved = filled(classifier, seed=1, indices=torch.arange(1, 13))
    assert torch.equal(moved.blank[:-1], first.blank[1:])
    again = filled(classifier, FOILS, seed=1)
    assert torch.equal(again.blank, first.blank)
    assert not torch.equal(again.image, first.image)


def test_the_seamless_recipe_meets_the_visible_pixels(classifier):
    plain = Recipe.of(28, 28, steps=8)
    steps = {}
    for seamless in (False, True):
        found = filled(classifier, recipe=replace(plain, seamless=seamless))
        edge = found.blank.diff(dim=3)
        steps[seamless] = found.image.diff(dim=3)[edge].abs().mean()
    assert steps[True] < 0.8 * steps[False]


def test_defaults_grow_with_the_images():
    small, large = Recipe.of(32, 40), Recipe.of(224, 300)
    assert (small.patch_size, small.mask_ratio, small.noise, small.seamless) == (8, 0.5, 0.1, False)
    assert (large.patch_size, large.mask_ratio, large.noise, large.seamless) == (
        28,
        0.75,
        0.03,
        True,
    )
    assert (small.view.roll, small.view.zoom) == (2, 0)
    assert (large.view.roll, large.view.zoom) == (8, 0.15)
    assert [Recipe.of(28, 28, steps=n).rate for n in (32, 16, 4)] == [0.05, 0.1, 0.1]
    assert Recipe.of(28, 28, patch_size=4, mask_ratio=0.2).patch_size == 4


class Limited(nn.Module):
    """Has memory for 3 images with a gradient."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(784, 10)

    def forward(self, x):
        if len(x) > 3 and x.requires_grad:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return self.head(x.flatten(1))


def test_batches_are_halved_until_they_fit():
    model = Classifier(Limited())
    found = filled(model, steps=2)
    assert found.plan.chunk == 2
    same = filled(model, steps=2, plan=Plan(chunk=2))
    assert torch.equal(found.image, same.image)
    with pytest.raises(OutOfMemory, match="Expected memory for a pass over chunk"):
        filled(model, steps=2, plan=Plan(chunk=4))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"labels": LABELS + 5}, r"Expected labels from 0 to 9, got 1\d"),
        ({"labels": LABELS[:3]}, "Expected labels as 12 whole numbers"),
        ({"steps": 0}, "Expected steps >= 1, got 0"),
        ({"patch_size": 0}, "Expected patch_size >= 1, got 0"),
        ({"mask_ratio": 1.0}, "Expected a mask_ratio that blanks 1 to 15 of 16 patches"),
        ({"spectrum": Spectrum.of(torch.rand(2, 1, 8, 8))}, r"Expected a spectrum of images of sh"),
    ],
)
def test_wrong_input_is_told(classifier, wrong, message):
    with pytest.raises(ValueError, match=message):
        filled(classifier, **wrong)
