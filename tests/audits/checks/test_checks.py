"""Each check measures each image once, counts it, and has the figures of scikit-learn."""

import measured
import numpy as np
import pytest
import torch
from nets import Constant
from sklearn.metrics import accuracy_score, f1_score
from torch import nn

from audits.checks.context import AuditContext, Unit
from audits.checks.performance import Performance
from audits.checks.progressive_fill import ProgressiveFill
from audits.checks.random_fill import RandomFill
from audits.evidence.intervals import proportion
from fillblanks import Classifier, Plan, expected_fill, progressive_fill

CHECKS = [
    Performance(),
    RandomFill(samples=6, max_draws=9, patch_size=1, mask_ratio=0.4),
    ProgressiveFill(patch_size=1, groups=3, binarise=0.3),
    Performance(images=7),
    RandomFill(images=7, samples=2, blank_value="mean", average="masked", binarise=None),
    ProgressiveFill(images=7, step_label="true"),
]
FILLS = CHECKS[1:3]


def _id(check):
    return f"{check.kind}-{check.images or 'all'}"


@pytest.fixture(scope="module")
def audit(image_set):
    """30 noisy images of 3 classes in mixed order; the first five have wrong labels."""
    rng = np.random.default_rng(1)
    patterns = (rng.random((3, 6, 6)) < 0.4).astype(float)
    kind = rng.permutation(np.repeat([0, 1, 2], [5, 10, 15]))
    images = (0.5 * patterns[kind] + 0.5 * rng.random((30, 6, 6))).astype(np.float32)
    labels = np.where(np.arange(30) < 5, (kind + 1) % 3, kind)
    head = nn.Linear(36, 3, dtype=torch.float64)
    with torch.no_grad():
        weight = patterns - patterns.mean(0) + rng.normal(0, 0.3, patterns.shape)
        head.weight.copy_(torch.from_numpy(weight.reshape(3, 36)))
        head.bias.zero_()
    net = nn.Sequential(nn.Flatten(), head)
    model = Classifier(net, mean=0.4, std=0.5)
    return AuditContext(image_set(images, labels), seed=4, plan=Plan(chunk=8), model=model)


def _constant(image_set, net):
    images = np.random.default_rng(0).random((40, 6, 6)).astype(np.float32)
    labels = np.arange(40) % 10
    return AuditContext(image_set(images, labels), 0, Plan(chunk=64), Classifier(net))


def _evidence(check, audit, size=None):
    units = check.units(audit)
    if size:
        indices = [i for unit in units for i in unit.indices]
        shown = {i for unit in units for i in unit.shown}
        units = [
            Unit(n, piece, tuple(i for i in piece if i in shown))
            for n, at in enumerate(range(0, len(indices), size))
            for piece in [tuple(indices[at : at + size])]
        ]
    return measured.evidence_of(check, audit, units)


@pytest.mark.parametrize("check", [*CHECKS, RandomFill(samples=3_000_000, images=9)], ids=_id)
def test_units_cover_the_chosen_images_once(check, audit):
    units = check.units(audit)
    indices = [i for unit in units for i in unit.indices]
    assert indices == check.chosen(audit).tolist() == sorted(set(indices))
    assert len(indices) == min(check.images or 30, 30)
    assert [unit.number for unit in units] == list(range(len(units)))
    assert all(1 <= len(unit.indices) <= check.unit_images(audit) for unit in units)
    shown = [i for unit in units for i in unit.shown]
    assert sorted(audit.images.labels[shown]) == [0, 1, 2]
    assert all(set(unit.shown) <= set(unit.indices) for unit in units)


def test_a_part_of_the_images_is_even_over_the_classes(audit):
    chosen = Performance(images=7).chosen(audit)
    assert sorted(np.bincount(audit.images.labels[chosen])) == [2, 2, 3]


def test_no_more_than_ten_classes_are_shown(image_set):
    images = image_set(np.zeros((26, 2, 2)), np.arange(26), [chr(97 + i) for i in range(26)])
    units = Performance().units(AuditContext(images, 0, Plan(1)))
    assert len(units[0].shown) == 10


def test_a_unit_says_which_it_is():
    assert str(Unit(3, (5, 6, 9))) == "unit 3 (3 images from 5)"


def test_without_the_model_a_check_can_plan_and_not_measure(audit):
    planned = AuditContext(audit.images, audit.seed, audit.plan)
    for check in CHECKS:
        assert check.units(planned) == check.units(audit)
        with pytest.raises(RuntimeError, match="The model lives in the worker"):
            check.measure(planned, check.units(planned)[0])


@pytest.mark.parametrize("check", CHECKS, ids=_id)
@pytest.mark.parametrize("size", [1, 4])
def test_metrics_do_not_depend_on_how_the_work_is_cut(check, size, audit):
    whole, cut = _evidence(check, audit), _evidence(check, audit, size)
    assert cut.images.equals(whole.images)
    assert (cut.sentence, cut.passes) == (whole.sentence, whole.passes)
    assert cut.estimates.keys() == whole.estimates.keys()
    for name, estimate in whole.estimates.items():
        wanted = (estimate.value, estimate.low, estimate.high, estimate.n)
        found = cut.estimates[name]
        assert (found.value, found.low, found.high, found.n) == pytest.approx(wanted, nan_ok=True)
    pictures = {(p.key, p.step): p.image for p in whole.pictures}
    assert len(pictures) == len(whole.pictures) == len(cut.pictures)
    for other in cut.pictures:
        assert np.array_equal(other.image, pictures[other.key, other.step])


def test_metrics_do_not_depend_on_the_chunk(audit):
    other = AuditContext(audit.images, audit.seed, Plan(chunk=3), audit.model)
    for check in CHECKS:
        assert _evidence(check, other).images.equals(_evidence(check, audit).images)


def _f1(truth, predicted, average):
    return f1_score(truth, predicted, labels=range(3), average=average, zero_division=0)


def _is_scored(metrics, table, column, prefix=""):
    label, null = table["label"], table[f"{column}_null"]
    accuracy = accuracy_score(label, table[column])
    assert metrics[f"{prefix}accuracy"].value == accuracy
    assert metrics[f"{prefix}accuracy_null"].value == accuracy_score(label, null)
    lift = accuracy - accuracy_score(label, null)
    assert metrics[f"{prefix}accuracy_lift"].value == pytest.approx(lift)
    for average in ("macro", "weighted"):
        assert metrics[f"{prefix}f1_{average}"].value == _f1(label, table[column], average)


@pytest.mark.parametrize("check", [CHECKS[1], CHECKS[4]], ids=_id)
def test_random_fill_is_scikit_learn_over_its_table(check, audit):
    evidence = _evidence(check, audit)
    metrics, table = evidence.estimates, evidence.images
    _is_scored(metrics, table, "prototype", "prototype_")
    _is_scored(metrics, table, "composite", "composite_")
    assert metrics["coverage"] == proportion((table["accepted"] > 0).to_numpy())
    assert metrics["complete"].value == (table["accepted"] == check.samples).mean()
    rate = (table["accepted"] / table["drawn"]).mean()
    assert metrics["acceptance_rate"].value == pytest.approx(rate)
    assert evidence.passes == table["drawn"].sum() + table["noise_drawn"].sum()
    assert table.index.tolist() == check.chosen(audit).tolist()
    assert f"{metrics['prototype_accuracy'].value:.1%} of {len(table)} images" in evidence.sentence


@pytest.mark.parametrize("check", [CHECKS[2], CHECKS[5]], ids=_id)
def test_progressive_fill_is_scikit_learn_over_its_table(check, audit):
    evidence = _evidence(check, audit)
    metrics, table = evidence.estimates, evidence.images
    _is_scored(metrics, table, "recognised")
    right_first = table["first"] == table["label"]
    assert metrics["coverage"] == proportion(right_first.to_numpy())
    covered = table[right_first]
    assert metrics["accuracy_covered"].value == accuracy_score(covered.label, covered.filled)
    assert metrics["accuracy_covered"].n == len(covered)
    assert metrics["agreement"].value == accuracy_score(table["first"], table["filled"])
    for average in ("macro", "weighted"):
        wanted = _f1(table["first"], table["filled"], average)
        assert metrics[f"agreement_f1_{average}"].value == wanted
    assert evidence.passes == check.passes(len(table)) == len(table) * check.groups


def test_performance_is_scikit_learn_over_what_the_model_says(audit):
    evidence = _evidence(Performance(), audit)
    images = audit.images.tensor(range(30)).double()
    predicted = audit.classifier.predict(images).numpy()
    assert evidence.images["predicted"].tolist() == predicted.tolist()
    labels = audit.images.labels
    assert evidence.estimates["accuracy"].value == accuracy_score(labels, predicted) < 1
    for average in ("macro", "weighted"):
        assert evidence.estimates[f"f1_{average}"].value == _f1(labels, predicted, average)


def test_the_tables_are_what_the_method_gives(audit):
    images = audit.images.tensor(range(30))
    labels = torch.from_numpy(audit.images.labels)
    fill = expected_fill(
        audit.classifier, images, labels, patch_size=1, mask_ratio=0.4, samples=6, max_draws=9,
        seed=4, plan=audit.plan,
    )  # fmt: skip
    table = _evidence(FILLS[0], audit).images
    assert table["accepted"].tolist() == fill.accepted.tolist()
    for column, pictures in (("prototype", fill.prototype), ("composite", fill.composite)):
        seen = torch.where(fill.found, audit.classifier.predict(pictures.double()), -1)
        assert table[column].tolist() == seen.tolist()

    fill = progressive_fill(
        audit.classifier, images, labels, groups=3, patch_size=1, binarise=0.3, seed=4
    )
    table = _evidence(FILLS[1], audit).images
    assert table["first"].tolist() == fill.label.tolist()
    seen = audit.classifier.predict(fill.prototype.double())
    assert table["filled"].tolist() == seen.tolist()


@pytest.mark.parametrize("check", FILLS, ids=_id)
def test_images_that_are_never_accepted_are_misses_and_stay_in_every_denominator(check, audit):
    evidence = _evidence(check, audit)
    table = evidence.images
    if isinstance(check, RandomFill):
        never, columns = table["accepted"] == 0, ("prototype", "composite")
    else:
        never, columns = table["first"] != table["label"], ("recognised",)
    assert 0 < never.sum() < 30
    for column in columns:
        assert (table.loc[never, column] == -1).all()
        assert (table.loc[never, f"{column}_null"] == -1).all()
        assert (table.loc[~never, column] >= 0).all()
    for name, estimate in evidence.estimates.items():
        if name not in ("accuracy_covered", "relative_standard_error"):
            assert estimate.n == 30, name
    assert evidence.estimates["coverage"].value == 1 - never.mean()


def test_one_answer_for_everything_agrees_with_itself_and_shows_nothing(image_set):
    audit = _constant(image_set, Constant())
    metrics = _evidence(ProgressiveFill(), audit).estimates
    assert metrics["agreement"].value == 1
    assert metrics["agreement_f1_macro"].value == pytest.approx(0.1)
    assert metrics["accuracy"].value == metrics["coverage"].value == 0.1
    assert metrics["accuracy_lift"].value == 0
    assert metrics["accuracy_lift"].low < 0 < metrics["accuracy_lift"].high
    assert metrics["f1_macro"].value == pytest.approx(0.1)
    metrics = _evidence(RandomFill(samples=3), audit).estimates
    assert metrics["prototype_accuracy"].value == metrics["coverage"].value == 0.1
    assert metrics["composite_accuracy_lift"].value == 0


class Nothing(nn.Module):
    """Answers whole images with finite logits, and masked images with NaN."""

    def forward(self, x):
        bad = (x == 0).flatten(1).any(1, keepdim=True)
        return torch.where(bad, torch.nan, x.flatten(1)[:, :10])


def test_answers_that_are_not_finite_are_never_right(image_set):
    audit = _constant(image_set, Nothing())
    metrics = _evidence(ProgressiveFill(), audit).estimates
    zeros = ["accuracy", "f1_macro", "f1_weighted", "coverage", "agreement"]
    assert {name: metrics[name].value for name in zeros} == dict.fromkeys(zeros, 0)
    assert not metrics["accuracy_covered"].finite
    evidence = _evidence(RandomFill(samples=3), audit)
    assert evidence.estimates["prototype_accuracy"].value == 0
    assert evidence.estimates["coverage"].value == 0
    prototypes = [p.image for p in evidence.pictures if p.caption in ("prototype", "class mean")]
    assert len(prototypes) == 20
    assert all((image == (255, 205, 205)).all() for image in prototypes)


@pytest.mark.parametrize(("check", "steps"), [(FILLS[0], 6), (FILLS[1], 4)], ids=["4.1", "4.2"])
def test_there_is_a_slider_a_class(check, steps, audit):
    pictures = _evidence(check, audit).pictures
    assert len({p.key for p in pictures}) == 3
    assert [p.step for p in pictures] == list(range(steps)) * 3
    assert all(p.image.shape == (6, 6, 3) and p.image.dtype == np.uint8 for p in pictures)


@pytest.mark.parametrize(("shape", "size"), [((1, 28, 28), 2), ((3, 32, 32), 8)])
@pytest.mark.parametrize("kind", [RandomFill, ProgressiveFill])
def test_what_depends_on_the_images_is_written_out(kind, shape, size):
    settled = kind(images=5).settled(shape)
    assert (settled.patch_size, settled.images) == (size, 5)
    assert settled.settled(shape) == settled
    chosen = kind(patch_size=3)
    assert chosen.settled(shape) == chosen
