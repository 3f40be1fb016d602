"""ClassPictures: an independent network names pictures of classes, against noise."""

import measured
import numpy as np
import pytest
import torch
from fixed_net import fixed_classifier
from simple_nets import logistic

from audits.checks.class_pictures import ClassPictures
from audits.checks.context import AuditContext
from audits.data.sources import Digits, load
from audits.evidence.declaration import differences
from audits.evidence.intervals import bounded_mean, paired_mean_difference
from fillblanks import Classifier, Plan, Spectrum
from fillblanks.synthesis.whole import class_pictures

DIGITS = load(Digits())
SHAPE = (1, 28, 28)
CHECK = ClassPictures(classes=10, seeds=2, steps=12).settled(SHAPE)


@pytest.fixture(scope="module")
def model():
    return Classifier(logistic(), mean=0.3, std=0.35, constant=True)


def _audit(model, reference=None):
    return AuditContext(DIGITS, 0, Plan(chunk=12), model, reference)


@pytest.fixture(scope="module")
def judged(model):
    return measured.evidence_of(CHECK, _audit(model, fixed_classifier()))


def test_the_figures_count_classes_and_seeds(model, judged):
    reference, audit = fixed_classifier(), _audit(model)
    labels = np.unique(DIGITS.labels[CHECK.chosen(audit)])
    assert len(labels) == 10
    table = judged.tables["pictures"]
    assert len(table) == 20
    classes = torch.tensor([DIGITS.classes.index(name) for name in table["class"]])
    found = class_pictures(
        model,
        classes,
        spectrum=Spectrum.of(DIGITS.tensor(np.sort(DIGITS.sampled_order(0)[:500]))),
        steps=12,
        indices=classes * (1 << 20) + torch.tensor(table["seed"].tolist()),
        plan=audit.plan,
    )
    hits, null = (
        (reference.predict(pictures.double()) == classes).numpy()
        for pictures in (found.image, found.start)
    )
    metric = judged.metrics["recognised"]
    # Two pictures of a class are no two cases.
    hits, null = (one.reshape(10, 2).mean(1) for one in (hits, null))
    assert metric.estimate == bounded_mean(hits)
    assert metric.estimate.n == 10
    assert metric.null.estimate == bounded_mean(null)
    assert metric.lift == paired_mean_difference(hits, null)
    assert metric.lift.low > 0
    assert judged.metrics["recognised_top5"].estimate.value >= metric.estimate.value
    assert judged.metrics["own"].better is None
    assert differences(CHECK.declared_metrics(reference=True), judged.metrics) == []
    assert all(metric.bounds is None for metric in judged.metrics.values())


def test_pictures_are_noise_the_parts_that_matter_and_the_class(judged):
    assert [p.seen.shows for p in judged.pictures[:3]] == ["noise", "rests", "asked"]
    assert len(judged.pictures) == 10 * 3
    table = judged.tables["pictures"]
    first = table[table["seed"] == 0].set_index("class")
    for _noise, rests, asked in zip(*[iter(judged.pictures)] * 3, strict=True):
        assert asked.seen.read_as == first["read"][DIGITS.classes[asked.seen.label]]
        grey = np.abs(rests.image.astype(int) - 128)
        assert (grey <= np.abs(asked.image.astype(int) - 128) + 1).all()
        assert (grey < np.abs(asked.image.astype(int) - 128)).any()


def test_without_a_reference_nothing_is_judged(model):
    few = ClassPictures(classes=2, seeds=1, steps=2)
    alone = measured.evidence_of(few, _audit(model))
    assert set(alone.metrics) == {"own"}
    assert "nothing is judged" in alone.sentence
    assert len(alone.pictures) == 6


def test_defaults_depend_on_the_prior():
    assert ClassPictures().settled(SHAPE).steps == 64
    assert ClassPictures(prior="maco").settled(SHAPE).steps == 128
    assert ClassPictures(prior="maco", classes=3, steps=5).passes(50) == 3 * 2 * 5
