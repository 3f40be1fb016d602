"""Versions that look at the same places agree, and maps that are all alike have no lift."""

from functools import cache

import measured
import numpy as np
import pytest
import torch
from torch import nn

from audits.checks._agreement import figures
from audits.checks._agreement.trial import seed_of
from audits.checks.agreement import Agreement
from audits.checks.context import AuditContext
from audits.config.policy import Condition, Policy
from audits.data.built import of_arrays
from audits.errors import NotApplicable
from audits.evidence.declaration import differences, faults_in
from audits.verdict.decide import decide
from fillblanks import Classifier, Plan
from fillblanks.attribution.patch_means import centre_patches

SIDE = 16
SHAPE = (1, SIDE, SIDE)
CHECK = Agreement(patch_size=4, draws=128).settled(SHAPE)


class Quarters(nn.Module):
    """The brightest quarter of the image, by its inner pixels or by all of them.

    With `turned`, the weights are those of another quarter each: the network knows the images, and
    looks elsewhere.
    """

    def __init__(self, inner, turned=False):
        super().__init__()
        weight, edge = torch.zeros(4, SIDE, SIDE), 1 if inner else 0
        for label in range(4):
            row, column = divmod((label + 1) % 4 if turned else label, 2)
            top, left = 8 * row, 8 * column
            weight[label, top + edge : top + 8 - edge, left + edge : left + 8 - edge] = 1
        self.weight = nn.Parameter(12 * (weight / weight[0].sum()).flatten(1))

    def forward(self, x):
        return x.flatten(1) @ self.weight.T


class Centre(nn.Module):
    """Sees only how much of the centre is not blank, whatever the image."""

    def __init__(self, scale):
        super().__init__()
        falling = centre_patches(SIDE, SIDE, 1).float()
        self.register_buffer("weight", falling / falling.sum())
        self.scale = scale

    def forward(self, x):
        seen = (x.flatten(1) > 0).float() @ self.weight
        return torch.stack([self.scale * (seen - 0.7), *3 * [torch.zeros(len(x))]], 1)


@cache
def _data(count=32, classes=4):
    drawn, labels = np.random.default_rng(0), np.arange(count) % classes
    images = drawn.integers(0, 100, (count, SIDE, SIDE))
    for image, label in zip(images, labels, strict=True):
        row, column = divmod(int(label), 2)
        image[8 * row : 8 * row + 8, 8 * column : 8 * column + 8] += 120
    return of_arrays("quarters", images.astype(np.uint8), labels, tuple("abcd"))


def _audit(net, *versions, data=None):
    def classifier(one):
        return Classifier(one.eval(), constant=True)

    return AuditContext(
        data or _data(),
        0,
        Plan(chunk=256),
        classifier(net),
        versions=tuple(map(classifier, versions)),
        version_names=tuple(f"models:/m/{i + 2}" for i in range(len(versions))),
    )


@pytest.fixture(scope="module")
def found():
    audit = _audit(Quarters(inner=False), Quarters(inner=True), Quarters(False, turned=True))
    return measured.evidence_of(CHECK, audit)


def test_versions_that_look_at_the_same_places_agree_above_both_nulls(found):
    evidence = measured.evidence_of(CHECK, _audit(Quarters(False), Quarters(True)))
    metric = evidence.metrics["correlation"]
    assert metric.estimate.value > 0.5
    assert metric.lift.value > 0.2
    assert metric.lift.low > 0
    assert metric.lift.value == pytest.approx(metric.estimate.value - metric.null.estimate.value)
    assert metric.estimate.n == 32
    assert evidence.metrics["own"].estimate.value > metric.estimate.value - 0.1
    assert "those of the other version (maps of other images" in evidence.sentence
    assert "by more than chance" not in evidence.sentence
    declared = CHECK.declared_metrics(reference=False)
    assert differences(declared, evidence.metrics) == []
    assert faults_in(declared) == []


def test_a_version_that_looks_elsewhere_is_named(found):
    table = found.tables["versions"].set_index("version")
    assert table["correlation"]["models:/m/2"] > 0.5
    assert table["correlation"]["models:/m/3"] < 0
    assert table["same_answers"].tolist() == [1, 0]
    assert "agree least with models:/m/3" in found.sentence
    assert "models:/m/3, the version that agrees least" in found.legend[0]
    both = found.metrics["correlation"].estimate.value
    assert both == pytest.approx(table["correlation"].mean())


def test_a_network_with_permuted_weights_agrees_with_nothing():
    permuted = Quarters(False)
    order = torch.randperm(permuted.weight.numel(), generator=torch.Generator().manual_seed(1))
    permuted.weight.data = permuted.weight.data.flatten()[order].view(4, -1)
    evidence = measured.evidence_of(CHECK, _audit(Quarters(False), permuted))
    metric = evidence.metrics["correlation"]
    assert abs(metric.estimate.value) < 0.15
    assert metric.lift.low < 0
    assert "not shown to agree by more than chance" in evidence.sentence
    assert _judged(evidence, min_lift=0.05).outcome != "passed"


def _judged(evidence, metric="correlation", **bound):
    policy = Policy(conditions=(Condition(metric=f"agreement/{metric}", **bound),))
    return decide(policy, [evidence], today=None).judgements[0]


def test_maps_that_are_always_of_the_centre_have_a_high_mege_and_no_lift():
    # For one class: a place that speaks for it speaks against the others.
    audit = _audit(Centre(3.0), Centre(4.0), data=_data(12, classes=1))
    many = CHECK.model_copy(update={"draws": 1024})
    evidence = measured.evidence_of(many, audit)
    metric = evidence.metrics["correlation"]
    assert metric.estimate.value > 0.8
    assert metric.lift.value < 0.1
    assert metric.lift.low < 0
    assert "with permuted weights" in evidence.sentence  # they are a buffer
    assert "permuted" in evidence.tables["versions"]


def _compared(own, versions, read, reads, label, permuted=None):
    part = {
        "index": np.arange(len(own)),
        "label": np.array(label),
        "read": np.array(read),
        "reads": np.array(reads),
        "map": own,
        "again": own,
        "permuted": own[::-1].copy() if permuted is None else permuted,
        "maps": versions,
    }
    return figures.compared([part])


def test_maps_of_one_value_everywhere_have_a_mege_of_1_and_a_lift_of_0():
    centre = np.tile(centre_patches(SIDE, SIDE, 4).numpy(), (12, 1))
    answers = np.arange(12) % 4
    found = figures.measured(_compared(centre, centre[:, None], answers, answers[:, None], answers))
    assert found["mege"].estimate.value == pytest.approx(1)
    assert found["correlation"].estimate.value == pytest.approx(1)
    assert found["correlation"].lift.value == pytest.approx(0)
    assert found["correlation"].lift.low < 0


def test_maps_of_zero_count_as_no_agreement_and_are_not_covered():
    drawn, answers = np.random.default_rng(0), np.arange(12) % 4
    own = drawn.random((12, 16))
    versions = np.stack([own, own + 0.1 * drawn.random((12, 16))], 1)
    versions[:3, 1] = 0
    one = _compared(own, versions, answers, np.stack([answers] * 2, 1), answers)
    metrics = figures.measured(one)
    assert (one.with_versions[:3, 1] == 0).all()
    assert metrics["coverage"].estimate.value == 0.75
    assert metrics["correlation"].estimate.n == 12
    told = figures.sentence(
        one, metrics, figures.versions_table(one, "ab"), figures.classes_table(one, "abcd")
    )
    assert "For 3 of 12 images a map has one value everywhere" in told
    nothing = _compared(own, np.zeros((12, 1, 16)), answers, answers[:, None], answers)
    metrics = figures.measured(nothing)
    assert metrics["correlation"].estimate.value == 0
    assert not metrics["correlation"].lift.low > 0
    assert metrics["coverage"].estimate.value == 0


def test_maps_with_permuted_weights_of_one_value_give_no_lift():
    drawn, answers = np.random.default_rng(0), np.arange(12) % 4
    own = drawn.random((12, 16))
    versions = (own + 0.1 * drawn.random((12, 16)))[:, None]
    one = _compared(own, versions, answers, answers[:, None], answers)
    assert one.flat_permuted == 0
    assert figures.measured(one)["correlation"].lift.low > 0
    silent = _compared(own, versions, answers, answers[:, None], answers, 0 * own)
    metrics = figures.measured(silent)
    assert metrics["correlation"].lift.value == pytest.approx(0)
    assert not metrics["correlation"].lift.low > 0
    told = figures.sentence(
        silent, metrics, figures.versions_table(silent, "a"), figures.classes_table(silent, "abcd")
    )
    assert "With permuted weights 12 of 12 maps have one value everywhere" in told


def test_mege_is_of_images_that_both_name_right_and_reco_needs_answers_that_differ():
    drawn = np.random.default_rng(0)
    label = np.zeros(40, dtype=int)
    read = np.where(np.arange(40) < 30, 0, 1)  # the last ten are wrong
    own = drawn.random((40, 16))
    near, opposite = own.copy(), drawn.random((40, 16))
    alike = np.where((np.arange(40) < 30)[:, None], near, opposite)[:, None]
    found = _compared(own, alike, read, np.zeros((40, 1), dtype=int), label)
    same, different = figures.pairs(found)
    assert (same.sum(), different.sum()) == (30, 10)
    metrics = figures.measured(found)
    assert metrics["mege"].estimate.value == pytest.approx(1)
    assert metrics["reco"].estimate.value == 1
    assert figures.reco_by_chance(found) < 0.5
    few = _compared(own, alike, np.where(np.arange(40) < 31, 0, 1), found_reads(40), label)
    assert figures.measured(few)["reco"].estimate.n == 0
    assert "ReCo does not apply" in figures._reco_told(few, figures.measured(few)["reco"].estimate)
    assert "got 31 and 9" in figures._reco_told(few, figures.measured(few)["reco"].estimate)


def found_reads(count):
    return np.zeros((count, 1), dtype=int)


def test_mege_and_reco_are_never_judged(found):
    for name in ("mege", "reco", "own"):
        assert found.metrics[name].better is None


def test_masks_of_versions_are_drawn_apart():
    seeds = {seed_of(0, number) for number in range(-2, 10)} | {0}
    assert len(seeds) == 13
    assert all(0 <= seed < 1 << 63 for seed in seeds)
    # Noise agrees if it is of the same masks.
    net = Quarters(False)
    audit = _audit(net, net)
    (unit,) = CHECK.units(audit)
    part = CHECK.measure(audit, unit)
    assert not np.allclose(part["map"], part["maps"][:, 0])
    assert not np.allclose(part["again"], part["map"])


def test_occlusion_has_no_draws_and_its_own_correlation_is_1():
    check = Agreement(method="occlusion", patch_size=4).settled(SHAPE)
    evidence = measured.evidence_of(check, _audit(Quarters(False), Quarters(True)))
    assert evidence.metrics["own"].estimate.value == pytest.approx(1)
    plain = check.map_passes(_audit(Quarters(False)))
    assert evidence.passes == 32 * (2 + 3 * plain)


def test_passes_are_told_before_they_are_made():
    audit = _audit(Quarters(False), Quarters(True), Quarters(True))
    (unit,) = CHECK.units(audit)
    assert CHECK.unit_passes(unit) == 32 * (3 + 4 * 128)
    assert CHECK.most_unit_passes(unit) == 32 * (3 + 5 * 128)
    assert CHECK.passes(32) <= CHECK.unit_passes(unit)


def test_pictures_show_the_image_and_both_maps(found):
    assert [picture.caption for picture in found.pictures[:3]] == list(CHECK.captions())
    assert len(found.pictures) == 4 * 3
    image, own, other = (picture.image for picture in found.pictures[:3])
    assert image.shape == own.shape == other.shape == (SIDE, SIDE, 3)
    red = own[:, :, 0].astype(int) - own[:, :, 2]
    assert red[:8, :8].mean() > 50 > red[8:, 8:].mean()
    turned = other[:, :, 0].astype(int) - other[:, :, 2]
    assert turned[:8, 8:].mean() > 50


def test_an_answer_that_is_not_finite_is_not_covered():
    class Broken(Quarters):
        def forward(self, x):
            # NaN for images whose third quarter is bright.
            bright = x[:, 0, 8:, :8].mean((1, 2)) > 0.4
            return super().forward(x).masked_fill(bright[:, None], torch.nan)

    evidence = measured.evidence_of(CHECK, _audit(Quarters(False), Broken(True)))
    assert evidence.metrics["coverage"].estimate.value == 0.75
    rows = evidence.images[evidence.images["label"] == 2]
    assert evidence.metrics["correlation"].estimate.n == 32
    assert (rows["correlation"] == 0).all()  # no map, which agrees with none


def test_without_another_version_or_image_it_does_not_apply():
    audit = _audit(Quarters(False))
    (unit,) = CHECK.units(audit)
    with pytest.raises(NotApplicable, match="another version than the audited one"):
        CHECK.measure(audit, unit)
    one = CHECK.model_copy(update={"images": 1})
    with pytest.raises(NotApplicable, match="two images or more"):
        measured.evidence_of(one, _audit(Quarters(False), Quarters(True)))
