"""Robustness is the accuracy on corrupted images, in pairs with the images as they are."""

import measured
import numpy as np
import pytest
import torch
from fixed_net import fixed_classifier
from pydantic import ValidationError
from torch import nn

from audits.checks._robustness import corruptions
from audits.checks._robustness.corruptions import KINDS, Images, corrupted
from audits.checks.context import AuditContext
from audits.checks.robustness import Robustness
from audits.checks.shifts import Shifts
from audits.data.built import of_arrays
from audits.data.sources import Digits, load
from audits.evidence.declaration import differences
from audits.evidence.intervals import paired_difference, paired_mean_difference
from audits.evidence.pairing import with_drops
from fillblanks import Classifier, Plan

DIGITS = load(Digits())


def _audit(model, data=DIGITS, seed=0, chunk=64):
    return AuditContext(data, seed, Plan(chunk=chunk), model)


@pytest.mark.parametrize("shape", [(1, 60), (60, 1), (2, 30)])
def test_narrow_images_are_measured(shape):
    rng = np.random.default_rng(0)
    data = of_arrays("narrow", rng.random((12, *shape)), np.arange(12) % 2, ("a", "b"))
    net = nn.Sequential(nn.Flatten(), nn.Linear(60, 2))
    found = measured.evidence_of(Robustness(), _audit(Classifier(net, mean=0.5, std=0.5), data))
    assert found.metrics["accuracy"].estimate.n == 12


@pytest.fixture(scope="module")
def found():
    check = Robustness(images=60)
    return check, measured.evidence_of(check, _audit(fixed_classifier()))


def test_the_figures_are_those_of_the_answers(found):
    check, evidence = found
    audit = _audit(fixed_classifier())
    rows = check.chosen(audit)
    images = Images(DIGITS.tensor(rows), 0, rows.tolist())
    label = DIGITS.labels[rows]
    right = {
        (one, strength): audit.classifier.predict(
            corrupted(images, one, KINDS[one].amounts[strength - 1]).double()
        ).numpy()
        == label
        for one in KINDS
        for strength in (1, 3, 5)
    }
    clean = audit.classifier.predict(images.pixels.double()).numpy() == label
    values = {name: metric.estimate.value for name, metric in evidence.metrics.items()}
    means = {one: np.mean([right[one, s] for s in (1, 3, 5)]) for one in KINDS}
    for one, mean in means.items():
        assert values[f"{one}_accuracy"] == pytest.approx(mean), one
    assert values["accuracy_clean"] == pytest.approx(clean.mean())
    assert values["accuracy"] == pytest.approx(np.mean(list(means.values())))
    assert values["fall"] == pytest.approx(values["accuracy_clean"] - values["accuracy"])
    assert values["worst_fall"] == pytest.approx(clean.mean() - min(means.values()))
    assert values["worst_fall"] > 0
    table = evidence.tables["corruptions"]
    assert len(table) == 21
    row = table[(table["corruption"] == "blur") & (table["strength"] == 3)].iloc[0]
    fall = paired_difference(clean, right["blur", 3])
    assert (row["fall"], row["fall_low"], row["fall_high"]) == (fall.value, fall.low, fall.high)
    assert evidence.passes == 60 * 22
    assert differences(check.declared_metrics(reference=False), evidence.metrics) == []


def test_the_interval_of_the_worst_is_wider_than_that_of_a_corruption_named_before(found):
    _, evidence = found
    worst = evidence.metrics["worst_fall"].estimate
    name = min(KINDS, key=lambda one: evidence.metrics[f"{one}_accuracy"].estimate.value)
    clean = (evidence.images["clean"] == evidence.images["label"]).to_numpy()
    alone = paired_mean_difference(clean, evidence.images[name].to_numpy())
    assert worst.value == alone.value
    assert worst.high > alone.high
    assert KINDS[name].noun in evidence.sentence


def test_of_one_corruption_the_worst_needs_no_correction():
    check = Robustness(images=60, corruptions=("blur",), strengths=(5,))
    evidence = measured.evidence_of(check, _audit(fixed_classifier()))
    worst, fall = (evidence.metrics[name].estimate for name in ("worst_fall", "fall"))
    assert worst == fall
    assert evidence.passes == 120


def test_answers_of_amounts_of_0_are_the_clean_ones(monkeypatch):
    none = {
        one: kind._replace(amounts=(1.0,) * 5 if one == "contrast" else (0.0,) * 5)
        for one, kind in KINDS.items()
        if one != "jpeg"
    }
    for module in (corruptions, __import__("audits.checks.robustness", fromlist=["KINDS"])):
        monkeypatch.setattr(module, "KINDS", {**KINDS, **none})
    check = Robustness(images=60, corruptions=tuple(none))
    evidence = measured.evidence_of(check, _audit(fixed_classifier()))
    values = {name: metric.estimate.value for name, metric in evidence.metrics.items()}
    assert {values[name] for name in values if name.endswith(("accuracy", "_clean"))} == {
        values["accuracy_clean"]
    }
    assert values["worst_fall"] == values["fall"] == 0


def test_a_shift_of_one_pixel_is_that_of_shifts():
    audit = _audit(fixed_classifier())
    shifted = measured.evidence_of(Shifts(images=90, pixels=1), audit)
    check = Robustness(images=90, corruptions=("shift",), strengths=(1,))
    found = measured.evidence_of(check, audit)
    assert found.metrics["accuracy"].estimate.value == pytest.approx(
        shifted.metrics["accuracy"].estimate.value
    )


class OnePixel(nn.Module):
    """Tells two classes apart by the brightness of a single pixel."""

    def forward(self, x):
        seen = x[:, 0, 10, 10] - 0.5
        return torch.stack([-seen, seen], dim=1)


def test_a_network_that_reads_one_pixel_is_broken_by_shifts_and_not_by_contrast():
    rng = np.random.default_rng(0)
    pixels = np.full((120, 28, 28), 128, np.uint8)
    labels = np.arange(120) % 2
    pixels[:, 10, 10] = np.where(labels, 255, 0)
    around = rng.integers(0, 2, (120, 28, 28)).astype(bool)
    around[:, 10, 10] = False
    pixels[around] = 255  # what moves there says nothing about the class
    pixels[:, ::2, ::2][around[:, ::2, ::2]] = 0
    data = of_arrays("one pixel", pixels, labels, ("dark", "bright"))
    model = Classifier(OnePixel().eval(), mean=0.0, std=1.0)
    found = measured.evidence_of(Robustness(), _audit(model, data)).metrics
    assert found["accuracy_clean"].estimate.value == 1
    assert found["noise_accuracy"].estimate.value == 1
    assert found["shift_accuracy"].estimate.high < 0.75
    assert found["worst_fall"].estimate.low > 0.2


def test_drops_are_in_pairs_with_the_baseline():
    check = Robustness(images=60, corruptions=("noise", "shift"))
    worse = fixed_classifier(training_images=60)
    ours, theirs = (
        measured.evidence_of(check, _audit(model)) for model in (worse, fixed_classifier())
    )
    names = [str(number) for number in range(10)]
    compared = with_drops(ours, theirs, names, names)
    for name in ("accuracy", "noise_accuracy", "shift_accuracy"):
        drop = compared.metrics[name].drop
        values = [one.metrics[name].estimate.value for one in (theirs, ours)]
        assert drop.value == pytest.approx(values[0] - values[1])
        assert drop.value > 0


def test_the_figures_do_not_depend_on_chunks(found):
    check, evidence = found
    other = measured.evidence_of(check, _audit(fixed_classifier(), chunk=7))
    assert other.estimates == evidence.estimates


def test_pictures_show_each_corruption_with_its_answer(found):
    check, evidence = found
    of_three = [p for p in evidence.pictures if p.title == "3"]
    assert [p.caption for p in of_three] == list(check.captions())
    index = check.shown_image(_audit(None), 3)
    assert {p.seen.image for p in of_three} == {index}
    assert all(p.seen.read_as is not None for p in of_three)
    given = Images(DIGITS.tensor([index]), 0, [index])
    for picture, (name, kind) in zip(of_three[1:], KINDS.items(), strict=True):
        expected = corrupted(given, name, kind.amounts[4])[0, 0]
        np.testing.assert_allclose(picture.image[:, :, 0] / 255, expected, atol=0.003)
        read = fixed_classifier().predict(corrupted(given, name, kind.amounts[4]).double())
        assert picture.seen.read_as == int(read)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"corruptions": ()}, "one or more values, each once"),
        ({"strengths": (1, 1)}, "one or more values, each once"),
        ({"strengths": (6,)}, "Input should be 1, 2, 3, 4 or 5"),
        ({"corruptions": ("fog",)}, "Input should be 'noise'"),
    ],
)
def test_senseless_settings_are_refused(fields, message):
    with pytest.raises(ValidationError, match=message):
        Robustness(**fields)
