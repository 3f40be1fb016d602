"""A reference recognises the fills too; it must be another model with the same classes."""

import measured
import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score
from torch import nn

from audits import AuditError, run_audit
from audits.checks.context import AuditContext
from audits.checks.progressive_fill import ProgressiveFill
from audits.checks.random_fill import RandomFill
from audits.config.audit import AuditConfig
from audits.data.sources import Digits
from fillblanks import Classifier, Plan, expected_fill

pytestmark = pytest.mark.slow

CLASSES = [str(n) for n in range(10)]


def linear(seed=0, size=28 * 28, classes=10):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(size, classes))


def config_of(model, reference, store, **others):
    checks = (RandomFill(images=10, samples=2), ProgressiveFill(images=10))
    return AuditConfig(
        model=model, reference=reference, data=Digits(), checks=checks, store=str(store), **others
    )


@pytest.fixture
def two(register, registry):
    return register(linear(0), "m")[0], register(linear(1), "other")[0]


def test_it_sees_the_same_fills_and_counts_like_the_model(image_set):
    images = np.random.default_rng(0).random((8, 6, 6)).astype(np.float32)
    labels = np.arange(8) % 4
    model, other = (Classifier(linear(seed, 36, 4)) for seed in (0, 1))
    audit = AuditContext(image_set(images, labels), 3, Plan(chunk=8), model, other)
    check = RandomFill(samples=3, mask_ratio=0.5)
    evidence = measured.evidence_of(check, audit)

    fill = expected_fill(
        model, audit.images.tensor(range(8)), torch.from_numpy(labels), samples=3, mask_ratio=0.5,
        seed=3, plan=audit.plan,
    )  # fmt: skip
    assert 0 < fill.found.sum() < 8
    for name in ("prototype", "composite"):
        seen = torch.where(fill.found, other.predict(getattr(fill, name)), -1)
        assert evidence.images[f"{name}_reference"].tolist() == seen.tolist()
        found = evidence.estimates[f"{name}_reference_accuracy"]
        assert found.value == accuracy_score(labels, seen)
        null = evidence.images[f"{name}_reference_null"]
        lift = evidence.estimates[f"{name}_reference_accuracy_lift"]
        assert lift.value == pytest.approx(found.value - accuracy_score(labels, null))


def test_an_audit_with_a_reference_has_its_figures(two, tmp_path):
    result = run_audit(config_of(*two, tmp_path))
    names = {name for e in result.evidence for name in e.named_estimates}
    assert {
        "random_fill/prototype_reference_accuracy",
        "random_fill/composite_reference_f1_macro",
        "progressive_fill/reference_accuracy",
        "progressive_fill/reference_accuracy_null",
        "progressive_fill/reference_accuracy_lift",
    } <= names
    without = run_audit(config_of(two[0], None, tmp_path))
    assert not any("reference" in name for e in without.evidence for name in e.named_estimates)
    assert without.digest != result.digest
    for with_, alone in zip(result.evidence, without.evidence, strict=True):
        shared = alone.images.columns
        assert with_.images[shared].equals(alone.images)


def test_the_model_is_no_reference_for_itself(two, tmp_path):
    with pytest.raises(AuditError, match=r"Expected another model under reference, got .* itself"):
        run_audit(config_of(two[0], two[0], tmp_path))


class _Warmed(nn.Module):
    """A network with another temperature, and a bias."""

    def __init__(self, net):
        super().__init__()
        self.net = net
        self.temperature, self.bias = nn.Parameter(torch.tensor(1.5)), nn.Parameter(torch.ones(10))
        self.bias.data[3] = 4

    def forward(self, images):
        return self.net(images) / self.temperature + self.bias


def test_a_copy_of_the_model_with_another_temperature_is_no_reference(two, register, tmp_path):
    copy, _ = register(_Warmed(linear(0)), "copy")
    reason = run_audit(config_of(two[0], copy, tmp_path)).verdict.reason
    assert reason.startswith("Expected another model under reference")


def test_a_reference_has_the_same_classes(two, register, tmp_path):
    with_eleven, _ = register(linear(2, classes=11), "eleven")
    reason = run_audit(config_of(two[0], with_eleven, tmp_path)).verdict.reason
    assert reason == "Expected a reference with logits of 10 classes, got 11."


def test_a_reference_has_its_classes_in_the_same_order(two, tmp_path):
    turned = {"classes": tuple(reversed(CLASSES))}
    config = config_of(*two, tmp_path, preprocessing=turned)
    reason = run_audit(config).verdict.reason
    assert reason.startswith("Expected a reference with the classes of the audited model in the")


@pytest.mark.soak
def test_a_pickled_reference_is_loaded_only_where_its_file_was_reviewed(two, register, tmp_path):
    pickled, sha256 = register(linear(2), "pickled", pickled=True)
    reason = run_audit(config_of(two[0], pickled, tmp_path)).verdict.reason
    assert reason.startswith("reference: Expected a model that runs no code, got model.pth")
    config = config_of(two[0], pickled, tmp_path, trust_pickle_sha256=sha256)
    assert "progressive_fill/reference_accuracy" in {
        name for e in run_audit(config).evidence for name in e.named_estimates
    }


def test_a_reference_that_is_not_there_is_told_before_anything_is_recorded(two, tmp_path):
    with pytest.raises(AuditError, match="Expected a model at models:/nobody/1 in the registry"):
        run_audit(config_of(two[0], "models:/nobody/1", tmp_path))
