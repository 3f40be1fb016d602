"""Calibration of a model: outside references, and models that are too sure or not sure enough."""

from dataclasses import replace

import measured
import numpy as np
import pytest
import torch
from fixed_net import fixed_classifier
from simple_nets import logistic
from sklearn.metrics import brier_score_loss
from torch import nn

from audits.checks.calibration import Calibration
from audits.checks.context import AuditContext
from audits.data.sources import Digits, load
from audits.evidence.declaration import differences
from audits.evidence.pairing import with_drops
from fillblanks import Classifier, default_plan

DIGITS = load(Digits())
PLAN = replace(default_plan(1, 28, 28), chunk=64)


class _Hotter(nn.Module):
    """Logits times a factor: the same answers, surer or less sure."""

    def __init__(self, factor):
        super().__init__()
        self.net, self.factor = logistic(), factor

    def forward(self, images):
        return self.factor * self.net(images)


def _audit(net, images=DIGITS):
    model = Classifier(net.eval(), mean=0.3, std=0.35)
    return AuditContext(images, seed=0, plan=PLAN, model=model)


def _evidence(net):
    return measured.evidence_of(Calibration(), _audit(net))


@pytest.fixture(scope="module")
def plain():
    return _evidence(_Hotter(1.0))


def _probability(net):
    with torch.no_grad():
        images = (DIGITS.tensor(range(450)) - 0.3) / 0.35
        return net(images).double().softmax(1).numpy()


def test_brier_and_confidence_are_those_of_scikit_learn(plain):
    probability = _probability(logistic())
    oracle = brier_score_loss(DIGITS.labels, probability, labels=range(10), scale_by_half=False)
    assert plain.metrics["brier"].estimate.value == pytest.approx(oracle, rel=1e-5)
    assert plain.metrics["confidence"].estimate.value == pytest.approx(probability.max(1).mean())
    right = probability.argmax(1) == DIGITS.labels
    apart = probability.max(1).mean() - right.mean()
    assert plain.metrics["overconfidence"].estimate.value == pytest.approx(apart, abs=1e-6)
    np.testing.assert_array_equal(plain.images["predicted"], probability.argmax(1))


def test_metrics_are_those_that_are_declared(plain):
    assert differences(Calibration().declared_metrics(reference=False), plain.metrics) == []
    assert plain.tables["bins"]["images"].sum() == 450
    (picture,) = plain.pictures
    assert picture.image.dtype == np.uint8
    assert picture.image.shape[2] == 3


def test_a_model_that_is_too_sure_and_a_model_that_is_not_sure_enough():
    hot, cold = _evidence(_Hotter(20.0)), _evidence(_Hotter(0.2))
    for one, side in ((hot, "it is too sure."), (cold, "it is not sure enough.")):
        ece, null = one.metrics["ece"].estimate, one.metrics["ece_calibrated"].estimate
        assert ece.low > 0
        assert ece.value > null.high
        assert one.sentence.endswith(side)
    assert hot.metrics["overconfidence"].estimate.low > 0
    assert cold.metrics["overconfidence"].estimate.high < 0
    # All three give the same answers, and only their confidence differs.
    assert (hot.images["predicted"] == cold.images["predicted"]).all()


def test_the_drop_in_brier_is_paired_image_by_image(plain):
    worse = _evidence(_Hotter(0.2))
    found = with_drops(worse, plain, DIGITS.classes, DIGITS.classes)
    drop = found.metrics["brier"].drop
    difference = worse.images["brier"] - plain.images["brier"]
    assert drop.value == pytest.approx(difference.mean())
    assert drop.low > 0  # a larger score is worse
    assert all(metric.drop is None for name, metric in found.metrics.items() if name != "brier")


def test_an_answer_that_is_not_finite_is_a_sure_and_wrong_one():
    class Broken(nn.Module):
        def forward(self, images):
            logits = torch.zeros(len(images), 10)
            logits[:, 3] = torch.nan
            return logits

    found = _evidence(Broken())
    assert (found.images["predicted"] == -1).all()
    assert (found.images["confidence"] == 1).all()
    assert (found.images["brier"] == 2).all()
    assert found.metrics["ece"].estimate.value == 1


def test_it_does_not_depend_on_chunks_and_needs_probabilities():
    check = Calibration()
    assert check.needs == "probabilities"
    audit = AuditContext(DIGITS, seed=0, plan=PLAN, model=fixed_classifier())
    one = measured.evidence_of(check, audit)
    other = measured.evidence_of(check, replace(audit, plan=replace(PLAN, chunk=7)))
    for name, estimate in one.estimates.items():
        assert other.estimates[name].value == pytest.approx(estimate.value, rel=1e-9), name


@pytest.mark.parametrize("bins", [1, 101, 2.5])
def test_nonsense_is_refused(bins):
    with pytest.raises(ValueError, match="bins"):
        Calibration(bins=bins)
