"""Pictures of classes: their class rises, MACO keeps its magnitude, and crops hide a mark."""

import pytest
import torch
from simple_nets import logistic

from audits.data.sources import Digits, load
from fillblanks import Classifier, Plan, Spectrum
from fillblanks.synthesis.whole import class_pictures

SPECTRUM = Spectrum.of(load(Digits()).tensor(range(200)))
LABELS = torch.arange(10)


@pytest.fixture(scope="module")
def classifier():
    return Classifier(logistic(), mean=0.3, std=0.35, constant=True)


def drawn(classifier, labels=LABELS, **options):
    return class_pictures(classifier, labels, **({"spectrum": SPECTRUM, "steps": 12} | options))


@pytest.mark.parametrize("prior", ["spectrum", "maco"])
@pytest.mark.parametrize("crops", [False, True])
def test_the_network_names_the_pictures(classifier, prior, crops):
    found = drawn(classifier, prior=prior, crops=crops)
    # A part of a picture is harder to make.
    least = 0.6 if crops else 0.9
    assert (classifier.predict(found.image) == LABELS).float().mean() >= least
    assert (classifier.predict(found.start) == LABELS).float().mean() <= 0.4
    assert found.image.min() >= 0
    assert found.image.max() <= 1
    assert found.weight.shape == (10, 28, 28)
    assert torch.equal(found.weight.amax((1, 2)), torch.ones(10))
    assert found.weight.min() >= 0


def test_maco_keeps_the_magnitude_of_the_images(classifier):
    found = drawn(classifier, prior="maco")
    base = SPECTRUM.mean.float().clamp(0.02, 0.98).logit()
    values = (found.image.logit() - base) / (4 * SPECTRUM.colour.float()[0, 0])
    magnitude = torch.fft.rfft2(values).abs()
    expected = SPECTRUM.magnitude.float().expand_as(magnitude)
    # Pixels near black and white have lost digits to the sigmoid.
    assert (magnitude - expected).abs().mean() < 0.01 * expected.mean()
    free = drawn(classifier, prior="spectrum")
    values = (free.image.logit() - base) / (4 * SPECTRUM.colour.float()[0, 0])
    assert (torch.fft.rfft2(values).abs() - expected).abs().mean() > 0.1 * expected.mean()


def test_the_weight_shows_where_the_class_rests():
    net = logistic()
    with torch.no_grad():
        net.head.weight.view(10, 28, 28)[:, :, :14] = 0
    found = drawn(Classifier(net), LABELS[:3])
    # Rolls of up to 2 pixels spread it a little.
    assert found.weight[:, :, 2:12].sum() < 0.01 * found.weight.sum()


def test_the_same_plan_gives_the_same_bytes_in_any_batch(classifier):
    options = {"plan": Plan(chunk=4), "seed": 2}
    whole = drawn(classifier, indices=LABELS + 7, **options)
    part = drawn(classifier, LABELS[3:9], indices=LABELS[3:9] + 7, **options)
    for key in ("image", "start", "weight"):
        assert torch.equal(getattr(part, key), getattr(whole, key)[3:9])


def test_a_start_depends_on_seed_and_identity_alone(classifier):
    first, other = drawn(classifier), drawn(classifier, 9 - LABELS)
    assert torch.equal(first.start, other.start)
    assert not torch.equal(first.image, other.image)
    assert not torch.equal(drawn(classifier, seed=1).start, first.start)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"labels": LABELS + 1}, "Expected labels from 0 to 9, got 10"),
        ({"steps": 0}, "Expected steps >= 1, got 0"),
    ],
)
def test_wrong_input_is_told(classifier, wrong, message):
    with pytest.raises(ValueError, match=message):
        drawn(classifier, **wrong)
