"""Maps find the quadrant that a network reads, and maps that tell nothing are not judged."""

from datetime import date
from functools import cache

import measured
import numpy as np
import pytest
import torch
from simple_nets import logistic
from torch import nn

from audits.checks._evidence.figures import columns_of
from audits.checks._shared.heat import heat
from audits.checks.context import AuditContext
from audits.checks.evidence import EvidenceMaps
from audits.checks.random_fill import RandomFill
from audits.config.policy import Condition, Policy
from audits.data.built import of_arrays
from audits.data.sources import Digits, load
from audits.evidence.declaration import differences, faults_in
from audits.evidence.intervals import bounded_mean, paired_mean_difference
from audits.verdict.decide import decide
from fillblanks import Classifier, Plan

SHAPE = (1, 16, 16)
CHECK = EvidenceMaps(draws=128).settled(SHAPE)
METHODS = {
    "blank_difference": EvidenceMaps(draws=1024, patch_size=4).settled(SHAPE),
    "occlusion": EvidenceMaps(method="occlusion").settled(SHAPE),
    "pami": EvidenceMaps(method="pami").settled(SHAPE),
    "sobol": EvidenceMaps(method="sobol", draws=8, patch_size=4).settled(SHAPE),
}
# Windows and discs reach over the edge of the quadrant, and a disc that shows nothing that is read
# leaves each of two classes a probability of one half.
LEAST_INSIDE = {"blank_difference": 0.8, "occlusion": 0.85, "pami": 0.3, "sobol": 0.99}


def _halves(x):
    """The mean of the left and of the right half of the lower right quadrant, (n, 2)."""
    return torch.stack([x[:, 0, 8:, 8:12].mean((1, 2)), x[:, 0, 8:, 12:].mean((1, 2))], 1)


class Quadrant(nn.Module):
    """Left or right, by the brighter half of the lower right quadrant."""

    def __init__(self):
        super().__init__()
        eye = torch.eye(256).view(256, 1, 16, 16)
        self.weight = nn.Parameter(6 * _halves(eye).T)

    def forward(self, x):
        return x.flatten(1) @ self.weight.T


class Constant(nn.Module):
    """Always the same answer."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2, 2))

    def forward(self, x):
        return torch.tensor([1.0, 0.0]).expand(len(x), 2) + 0 * x.sum((1, 2, 3))[:, None]


@cache
def _data(count=40):
    drawn = np.random.default_rng(0)
    labels = np.arange(count) % 2
    images = drawn.integers(40, 120, (count, 16, 16))
    images[:, 8:, 8:12] = np.where(labels, 10, 220)[:, None, None]
    images[:, 8:, 12:] = np.where(labels, 220, 10)[:, None, None]
    return of_arrays("quadrants", images.astype(np.uint8), labels, ("left", "right"))


def _audit(net, chunk=64, seed=0):
    return AuditContext(_data(), seed, Plan(chunk=chunk), Classifier(net.eval(), constant=True))


@pytest.fixture(scope="module")
def found():
    return measured.evidence_of(CHECK, _audit(Quadrant()))


@pytest.mark.parametrize("method", METHODS)
def test_maps_of_each_method_lie_in_the_quadrant_that_is_read(method):
    check, audit = METHODS[method], _audit(Quadrant())
    (unit,) = check.units(audit)
    part = check.measure(audit, unit)
    side = 16 // (check.patch_size or 1)
    positive = part["map"].reshape(-1, side, side).clip(0)
    inside = positive[:, side // 2 :, side // 2 :].sum((1, 2)) / positive.sum((1, 2))
    assert inside.min() > LEAST_INSIDE[method]
    highest = positive.reshape(len(positive), -1).argmax(1)
    assert (highest // side >= side // 2).all()
    assert (highest % side >= side // 2).all()
    assert part["index"].tolist() == list(range(40))


def test_maps_that_hold_are_better_than_both_nulls(found):
    metric = found.metrics["faithfulness"]
    assert metric.lift.low > 0
    assert found.metrics["insertion_black"].lift.value > 0
    assert "nothing that rests on them" not in found.sentence
    assert differences(CHECK.declared_metrics(reference=False), found.metrics) == []
    assert faults_in(CHECK.declared_metrics(reference=False)) == []
    assert found.metrics["coverage"].estimate.value == 1


def test_a_network_that_always_gives_one_answer_has_maps_that_are_not_judged():
    evidence = measured.evidence_of(CHECK, _audit(Constant()))
    metric = evidence.metrics["faithfulness"]
    assert metric.lift.value == 0
    assert metric.lift.low < 0
    assert "nothing that rests on them is judged" in evidence.sentence
    assert not evidence.metrics["sanity_correlation"].estimate.n
    assert "most maps have one value everywhere, or these have" in evidence.sentence
    assert _judged(evidence, "sanity_correlation", max=0.5).outcome == "not_judged"
    judged = _judged(evidence, "insertion_black", min=0.5)
    assert judged.outcome == "not_judged"
    assert "is no better than its null" in judged.finding


def test_a_network_that_is_silent_with_permuted_weights_has_no_figure_of_them():
    """It may be so by design, and would have the best of correlations."""

    class Silent(Quadrant):
        def __init__(self):
            super().__init__()
            self.own = self.weight.detach().clone()

        def forward(self, x):
            logits = super().forward(x)
            return logits if torch.equal(self.weight, self.own) else torch.nan * logits

    evidence = measured.evidence_of(CHECK, _audit(Silent()))
    assert evidence.metrics["faithfulness"].lift.low > 0
    assert not evidence.metrics["sanity_correlation"].estimate.n
    assert "they were not compared" in evidence.sentence
    assert _judged(evidence, "sanity_correlation", max=0.5).outcome == "not_judged"


@pytest.mark.parametrize(("without", "n"), [(20, 20), (21, 0)])
def test_images_without_one_of_both_maps_are_left_out_of_their_correlation(without, n):
    audit = _audit(Quadrant())
    parts = [CHECK.measure(audit, unit) for unit in CHECK.units(audit)]
    parts[0]["sanity"][:without] = np.nan
    estimate = CHECK.conclude(audit, parts).metrics["sanity_correlation"].estimate
    assert estimate.n == n
    if n:
        assert estimate.value == pytest.approx(parts[0]["sanity"][without:].mean())


def _judged(evidence, metric, **bound):
    policy = Policy(conditions=(Condition(metric=f"evidence/{metric}", **bound),))
    verdict = decide(policy, [evidence], today=date(2026, 1, 1))
    return verdict.judgements[0]


def test_what_rests_on_maps_that_hold_is_judged(found):
    assert _judged(found, "sanity_correlation", max=0.9).outcome == "passed"


def test_lifts_are_the_smaller_ones_of_two_paired_differences():
    audit = _audit(Quadrant())
    parts = [CHECK.measure(audit, unit) for unit in CHECK.units(audit)]
    evidence = CHECK.conclude(audit, parts)
    own, random, centre = columns_of(parts)["deletion_black"].T
    lifts = [paired_mean_difference(null, own) for null in (random, centre)]
    metric = evidence.metrics["deletion_black"]
    assert metric.estimate == bounded_mean(own)
    for name in ("value", "low", "high"):
        assert getattr(metric.lift, name) == pytest.approx(
            min(getattr(e, name) for e in lifts), abs=1e-3
        )
    assert metric.null.estimate.value == pytest.approx(min(random.mean(), centre.mean()))


def test_faithfulness_is_insertion_minus_deletion_over_both_baselines():
    audit = _audit(Quadrant())
    parts = [CHECK.measure(audit, unit) for unit in CHECK.units(audit)]
    columns = columns_of(parts)
    black, blurred = (
        columns[f"insertion_{b}"] - columns[f"deletion_{b}"] for b in ("black", "blurred")
    )
    np.testing.assert_allclose(columns["faithfulness"], (black + blurred) / 2)
    table = CHECK.conclude(audit, parts).images
    np.testing.assert_allclose(table["faithfulness_centre"], ((black + blurred) / 2)[:, 2])


def test_a_model_without_weights_has_all_figures_but_that_of_permuted_ones():
    class NoWeights(nn.Module):
        def forward(self, x):
            return 6 * _halves(x)

    evidence = measured.evidence_of(CHECK, _audit(NoWeights()))
    assert not evidence.metrics["sanity_correlation"].estimate.finite
    assert "no weights that can be permuted" in evidence.sentence
    assert evidence.metrics["faithfulness"].lift.low > 0
    assert _judged(evidence, "sanity_correlation", max=0.9).outcome == "not_judged"
    with_weights = measured.evidence_of(CHECK, _audit(Quadrant()))
    np.testing.assert_allclose(
        evidence.images["faithfulness"], with_weights.images["faithfulness"], atol=1e-5
    )
    assert with_weights.passes - evidence.passes == 40 * 128


def test_the_network_has_its_own_weights_afterwards():
    net = Quadrant()
    before = [p.clone() for p in net.parameters()]
    measured.evidence_of(CHECK, _audit(net))
    assert all(map(torch.equal, before, net.parameters()))


def test_images_without_an_answer_have_no_map_and_stay_in_every_figure():
    class Breaks(Quadrant):
        def forward(self, x):
            logits = super().forward(x)
            return torch.where((x[:, 0, 8:, 12:].mean((1, 2)) > 0.7)[:, None], torch.nan, logits)

    audit = _audit(Breaks())
    evidence = measured.evidence_of(CHECK, audit)
    coverage = evidence.metrics["coverage"].estimate
    assert (coverage.value, coverage.n) == (0.5, 40)
    assert evidence.metrics["faithfulness"].estimate.n == 40
    (unit,) = CHECK.units(audit)
    part = CHECK.measure(audit, unit)
    assert (part["map"][part["read"] < 0] == 0).all()


@pytest.mark.slow
def test_chunks_change_nothing_and_seeds_change_the_draws(found):
    other = measured.evidence_of(CHECK, _audit(Quadrant(), chunk=7))
    for name, estimate in other.estimates.items():
        assert estimate.value == pytest.approx(found.estimates[name].value, abs=1e-5), name
    again = measured.evidence_of(CHECK, _audit(Quadrant(), seed=1))
    assert not again.images.equals(found.images)


def test_on_digits_the_maps_of_a_regression_hold():
    net = Classifier(logistic().eval(), mean=0.3, std=0.35, constant=True)
    audit = AuditContext(load(Digits()), 0, Plan(chunk=128), net)
    check = EvidenceMaps(images=60, draws=128).settled((1, 28, 28))
    assert check.patch_size == 4
    evidence = measured.evidence_of(check, audit)
    assert evidence.metrics["faithfulness"].lift.low > 0
    assert evidence.metrics["mu_fidelity_black"].lift.low > 0
    assert abs(evidence.metrics["sanity_correlation"].estimate.value) < 0.4


def test_pictures_show_an_image_of_each_class_and_its_map(found):
    assert [p.seen.shows for p in found.pictures] == ["looked_at", "evidence"] * 2
    assert tuple(p.caption for p in found.pictures[:2]) == CHECK.captions()
    assert [p.seen.read_as for p in found.pictures] == [0, 0, 1, 1]
    image, shown = (p.image.astype(int) for p in found.pictures[:2])
    red = shown[:, :, 0] - shown[:, :, 2]
    assert red[8:, 8:12].mean() > 100
    assert abs(red[:8]).mean() < 30
    assert any("Red places" in line for line in found.legend)
    assert (image[:, :, 0] == image[:, :, 2]).all()


def test_a_map_of_zeros_shows_the_image_alone():
    image = torch.rand(3, 6, 6)
    shown = heat(image, torch.zeros(6, 6))
    assert (shown == shown[:, :, :1]).all()
    signed = torch.zeros(6, 6)
    signed[0, 0], signed[5, 5] = 1, -1
    shown = heat(image, signed).astype(int)
    assert shown[0, 0, 0] > shown[0, 0, 2] + 100
    assert shown[5, 5, 2] > shown[5, 5, 0] + 100


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"method": "pami", "draws": 5}, "draws for blank_difference or sobol, got pami"),
        ({"method": "sobol", "mask_ratio": 0.5}, "mask_ratio for blank_difference, got sobol"),
        ({"radius": 0.3}, "radius for pami, got blank_difference"),
        ({"method": "occlusion", "stride": 0.2}, "stride for pami, got occlusion"),
        ({"method": "gradient"}, "blank_difference"),
        ({"regions": ""}, "expected a path or URI"),
    ],
)
def test_fields_that_make_no_sense_are_refused(fields, words):
    with pytest.raises(ValueError, match=words):
        EvidenceMaps(**fields)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"patch_size": 16}, "at least 2 patches"),
        ({"mask_ratio": 0.001}, "mask_ratio that blanks 1 to 63"),
        ({"method": "sobol", "draws": 12}, "power of two"),
        ({"method": "pami", "radius": 0.1, "stride": 0.5}, "larger radius"),
        ({"method": "sobol", "patch_size": 8, "draws": 2}, ""),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_measured(fields, words):
    told = EvidenceMaps(**fields).settled(SHAPE).impossible(SHAPE)
    assert words in told
    assert bool(told) == bool(words)


def test_sizes_are_settled_by_the_image_and_settled_checks_can_be_read_again():
    sizes = {(1, 28, 28): 4, (3, 32, 32): 4, (3, 224, 224): 56, (3, 64, 64): 8, (3, 65, 90): 17}
    for shape, size in sizes.items():
        assert EvidenceMaps().settled(shape).patch_size == size
        assert EvidenceMaps().settled(shape).impossible(shape) == ""
    for check in METHODS.values():
        assert EvidenceMaps.model_validate(check.model_dump()) == check


@pytest.mark.slow
def test_units_say_how_many_passes_they_take():
    audit = _audit(Quadrant())
    for check in METHODS.values():
        (unit,) = check.units(audit)
        evidence = measured.evidence_of(check, audit)
        assert evidence.passes == check.most_unit_passes(unit)
        assert check.passes(40) <= check.unit_passes(unit) < check.most_unit_passes(unit)


def test_its_masks_are_those_of_random_fill_if_the_patches_are_equal():
    fill, check = RandomFill(patch_size=4), EvidenceMaps(patch_size=4)
    assert fill.mask_ratio == check.mask_ratio
