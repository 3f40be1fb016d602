"""Images whose draws stop early, by tolerance, are complete, and their passes are counted."""

import measured
import numpy as np
import pytest
import torch
from pydantic import ValidationError

from audits import AuditError, parse_config
from audits.checks.context import AuditContext
from audits.checks.random_fill import RandomFill
from fillblanks import Classifier, Plan

LEAST = {"model": "models:/m/1", "data": {"kind": "digits"}, "device": "cpu"}
FILL = {"kind": "random_fill"}


@pytest.fixture(scope="module")
def steady_audit(image_set):
    """30 noisy images of 3 classes, the first five with wrong labels, and a network for them."""
    rng = np.random.default_rng(1)
    patterns = (rng.random((3, 6, 6)) < 0.4).astype(float)
    kind = np.arange(30) % 3
    images = (0.5 * patterns[kind] + 0.5 * rng.random((30, 6, 6))).astype(np.float32)
    labels = np.where(np.arange(30) < 5, (kind + 1) % 3, kind)
    head = torch.nn.Linear(36, 3)
    with torch.no_grad():
        weight = patterns - patterns.mean(0) + rng.normal(0, 0.3, patterns.shape)
        head.weight.copy_(torch.from_numpy(weight.reshape(3, 36)))
        head.bias.zero_()
    model = Classifier(torch.nn.Sequential(torch.nn.Flatten(), head), mean=0.4, std=0.5)
    return AuditContext(image_set(images, labels), seed=4, plan=Plan(chunk=64), model=model)


def _evidence(check, audit):
    return measured.evidence_of(check, audit)


def test_images_that_stopped_by_tolerance_are_complete(steady_audit):
    check = RandomFill(patch_size=1, samples=400, max_draws=450, tolerance=0.05)
    evidence = _evidence(check, steady_audit)
    table, metrics = evidence.images, evidence.estimates
    enough = table["accepted"] == 400
    early = ~enough & (table["drawn"] < 450)
    assert early.any()
    assert (~enough & ~early).any()
    assert (table.loc[early, "stability"] >= 0.95).all()
    assert metrics["complete"].value == (enough | early).mean()
    assert metrics["complete"].n == metrics["accepted_draws"].n == metrics["stability"].n == 30
    assert metrics["accepted_draws"].value == pytest.approx(table["accepted"].mean())
    assert metrics["stability"].value == pytest.approx(table["stability"].fillna(0).mean())
    assert evidence.passes == table[["drawn", "noise_drawn"]].sum().sum()

    to_the_end = _evidence(check.model_copy(update={"tolerance": None}), steady_audit)
    enough = to_the_end.images["accepted"] == 400
    assert to_the_end.estimates["complete"].value == enough.mean() < 1
    assert to_the_end.passes > evidence.passes


def test_passes_are_counted_at_the_least_and_at_the_most():
    noise = 64  # accepted draws with noise in the blanks, which take 4 draws each at most
    most = 3 * 4 * noise
    assert RandomFill(samples=1000).most_passes(3) == 12_000 + most
    limited = RandomFill(samples=1000, max_draws=1500, tolerance=0.1)
    assert limited.most_passes(3) == 4500 + most
    assert RandomFill(samples=1000).passes(3) == 3000 + 3 * noise
    assert RandomFill(samples=1000, tolerance=0.1).passes(3) == 3 * (64 + noise)
    assert RandomFill(samples=10, tolerance=0.1).passes(3) == 30 + 30


@pytest.mark.parametrize("tolerance", [1, 1.5, -0.1])
def test_a_tolerance_is_a_share_below_one(tolerance):
    with pytest.raises(ValidationError, match="tolerance"):
        RandomFill(tolerance=tolerance)
    with pytest.raises(AuditError, match=r"^config: checks\.0\.random_fill\.tolerance: .* got "):
        parse_config({**LEAST, "checks": [{**FILL, "tolerance": tolerance}]})
