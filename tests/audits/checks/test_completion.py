"""Completion: an independent network tells which fill was asked for which class."""

from dataclasses import replace

import measured
import numpy as np
import pytest
import torch
from fixed_net import fixed_classifier
from scipy import stats
from simple_nets import logistic
from torch import nn

from audits import AuditError, run_audit
from audits.checks._completion.other_orders import chance
from audits.checks.class_pictures import ClassPictures
from audits.checks.completion import Completion
from audits.checks.context import AuditContext
from audits.config.audit import AuditConfig
from audits.config.policy import Condition, Policy
from audits.data.sources import Digits, load
from audits.evidence.declaration import differences
from audits.evidence.pairing import with_drops
from fillblanks import Classifier, Plan, Spectrum, complete
from fillblanks.masks import keys

DIGITS = load(Digits())
SHAPE = (1, 28, 28)
CHECK = Completion(images=12, steps=8).settled(SHAPE)


class Dead(nn.Module):
    """Answers every image alike."""

    def forward(self, images):
        return 0 * images.flatten(1)[:, :10] + torch.arange(10)


def _classifier(net):
    return Classifier(net, mean=0.3, std=0.35, constant=True)


def _audit(model, reference=None, data=DIGITS, seed=0):
    return AuditContext(data, seed, Plan(chunk=12), model, reference)


@pytest.fixture(scope="module")
def model():
    return _classifier(logistic())


@pytest.fixture(scope="module")
def judged(model):
    return measured.evidence_of(CHECK, _audit(model, fixed_classifier()))


def test_a_network_that_knows_its_classes_is_told_from_chance(judged):
    choice = judged.metrics["forced_choice"]
    assert choice.estimate.low > 0.5
    assert choice.null.estimate.value == 0.5
    assert judged.metrics["gap"].estimate.low > 0
    assert judged.sentence.startswith(
        "With half of the image blank, an independent network could tell in "
    )
    assert "(chance .5); the label was its answer for" in judged.sentence
    assert differences(CHECK.declared_metrics(reference=True), judged.metrics) == []


def test_a_dead_network_is_at_chance():
    found = measured.evidence_of(CHECK, _audit(Classifier(Dead()), fixed_classifier()))
    choice = found.metrics["forced_choice"].estimate
    assert choice.value == 0.5
    assert choice.low < 0.5 < choice.high
    assert found.metrics["gap"].estimate.value == 0


class _First(nn.Module):
    """The first classes of a network alone."""

    def __init__(self, net, count):
        super().__init__()
        self.net, self.count = net, count

    def forward(self, images):
        return self.net(images)[:, : self.count]


def _of_few_classes(count, net, steps):
    """The forced choice for the first classes of the digits, and the sentence."""
    some = DIGITS.part(np.flatnonzero(DIGITS.labels < count), "some")
    data = replace(some, classes=DIGITS.classes[:count])
    reference = Classifier(_First(fixed_classifier().net, count), constant=True)
    check = Completion(images=24, steps=steps).settled(SHAPE)
    found = measured.evidence_of(check, _audit(_classifier(net), reference, data))
    return found.metrics["forced_choice"], found.sentence


@pytest.mark.parametrize(("count", "above"), [(2, False), (4, False), (6, True)])
def test_up_to_four_classes_have_too_few_orders_for_any_network(count, above):
    # Of two classes, half of the networks with random weights are right for nearly all images.
    choice, sentence = _of_few_classes(count, _First(logistic(), count), steps=8)
    assert choice.estimate.value > 0.9
    assert (choice.lift.low > 0) is above
    assert ("with the classes in another order)" in sentence) is not above


def test_chance_is_that_of_the_classes_in_other_orders(model, judged):
    choice = judged.metrics["forced_choice"]
    reference = fixed_classifier()
    audit = _audit(model, reference)
    part = CHECK.measure(audit, CHECK.units(audit)[0])
    shares = part["in_other_orders"] / 12
    assert abs(shares.mean() - 0.5) < 0.02
    assert choice.null.estimate == chance(shares, 12)
    assert 0.5 < choice.null.estimate.high < choice.estimate.value
    beyond = (shares > choice.null.estimate.high).mean()
    assert beyond <= 0.025 <= beyond + (shares == choice.null.estimate.high).mean()
    assert choice.lift.low == pytest.approx(
        min(choice.estimate.low - 0.5, choice.estimate.value - choice.null.estimate.high)
    )
    halves = [
        CHECK.measure(audit, replace(CHECK.units(audit)[0], indices=rows, shown=()))
        for rows in (tuple(part["index"][:5]), tuple(part["index"][5:]))
    ]
    assert np.array_equal(sum(half["in_other_orders"] for half in halves), part["in_other_orders"])


def test_the_figures_are_those_of_the_fills(model, judged):
    reference, audit = fixed_classifier(), _audit(model)
    rows = CHECK.chosen(audit)
    images, labels = DIGITS.tensor(rows), torch.from_numpy(DIGITS.labels[rows])
    foils = torch.tensor(judged.images["foil"].tolist())
    order = DIGITS.sampled_order(0)
    beside = np.sort(order[~np.isin(order, rows)][:500])
    options = {
        "spectrum": Spectrum.of(DIGITS.tensor(beside)),
        "steps": 8,
        "indices": torch.from_numpy(rows),
        "plan": audit.plan,
    }
    fills = [complete(model, images, asked, **options) for asked in (labels, foils)]
    start = fills[0].start

    def log_probability(pictures, classes):
        with torch.no_grad():
            found = reference(pictures.double()).log_softmax(1)
        return found.gather(1, classes[:, None])[:, 0].numpy()

    gaps = [log_probability(f.image, labels) - log_probability(f.image, foils) for f in fills]
    lift = np.exp(log_probability(fills[0].image, labels)) - np.exp(log_probability(start, labels))
    other = np.exp(log_probability(fills[1].image, foils)) - np.exp(log_probability(start, foils))
    values = {name: metric.estimate.value for name, metric in judged.metrics.items()}
    assert values["forced_choice"] == (gaps[0] > gaps[1]).mean()
    assert values["gap"] == pytest.approx((gaps[0] - gaps[1]).mean())
    assert values["lift"] == pytest.approx(lift.mean())
    assert values["foil_lift"] == pytest.approx(other.mean())
    with torch.no_grad():
        five = reference(fills[0].image.double()).topk(5).indices
    assert values["reference_top5"] == (five == labels[:, None]).any(1).double().mean()
    predicted = reference.predict(images.double())
    assert values["reference_top1_whole"] == (predicted == labels).double().mean()
    assert judged.images["read_completed"].tolist() == (
        reference.predict(fills[0].image.double()).tolist()
    )


def test_foils_are_other_classes_each_equally_often(model):
    indices, labels = torch.arange(9000), torch.arange(9000) % 10
    foils = Completion()._foils(_audit(model), indices, labels)
    steps = ((foils - labels) % 10).numpy()
    assert set(steps) == set(range(1, 10))
    assert stats.chisquare(np.bincount(steps)[1:]).pvalue > 0.001
    drawn = keys(0, indices, torch.full_like(indices, -5), 1)[:, 0].numpy()
    assert np.array_equal(steps, 1 + np.mod(drawn, 9))


def test_without_a_reference_there_are_pictures_and_nothing_is_judged(model, judged):
    alone = measured.evidence_of(CHECK, _audit(model))
    assert set(alone.metrics) == {"own"}
    assert alone.metrics["own"].better is None
    assert alone.metrics["own"].pairing is None
    assert "nothing is judged" in alone.sentence
    for picture, same in zip(alone.pictures, judged.pictures, strict=True):
        assert np.array_equal(picture.image, same.image)


def test_pictures_show_how_the_reference_reads_each_step(judged):
    assert len(judged.pictures) == 10 * 5
    first = judged.pictures[:5]
    assert [p.seen.shows for p in first] == ["photograph", "masked", "smooth", "foil", "completed"]
    table = judged.images.loc[first[0].seen.image]
    for picture in first:
        assert picture.seen.read_as == table[f"read_{picture.seen.shows}"]
        wanted = table["foil"] if picture.seen.shows == "foil" else table["label"]
        assert picture.seen.label == wanted
    whole, blanked, *fills = (p.image.astype(int) for p in first)
    blank = (blanked == 0) & (whole != 0)
    assert blank.any()
    visible = (blanked == whole) & (whole > 0)
    for fill in fills:
        assert np.array_equal(fill[visible], whole[visible])


def test_versions_are_compared_image_by_image(model, judged):
    worse = measured.evidence_of(CHECK, _audit(Classifier(Dead()), fixed_classifier()))
    compared = with_drops(worse, judged, DIGITS.classes, DIGITS.classes)
    gap = judged.images["gap"].to_numpy()
    drop = compared.metrics["gap"].drop
    low, high = stats.t.interval(0.95, len(gap) - 1, gap.mean(), stats.sem(gap))
    assert (drop.value, drop.low, drop.high) == pytest.approx((gap.mean(), low, high))
    choice = judged.images["forced_choice"].mean()
    assert compared.metrics["forced_choice"].drop.value == choice - 0.5


def test_a_baseline_that_had_no_reference_is_not_compared(model, judged):
    alone = measured.evidence_of(CHECK, _audit(model))
    compared = with_drops(judged, alone, DIGITS.classes, DIGITS.classes)
    assert {metric.drop for metric in compared.metrics.values()} == {None}


def test_units_name_the_images_of_the_spectrum(model):
    few = DIGITS.part(np.arange(40), "few")
    audit = _audit(model, data=few)
    (unit,) = CHECK.units(audit)
    changed = few.labels.copy()
    beside = sorted(set(range(40)) - set(unit.indices))
    changed[beside[0]] = (changed[beside[0]] + 1) % 10
    other = CHECK.units(replace(audit, images=replace(few, labels=changed)))[0]
    if other.indices == unit.indices:
        assert other.cell != unit.cell
    stale = replace(unit, cell=(("spectrum", "0" * 16),))
    with pytest.raises(AuditError, match="the images of the spectrum have changed"):
        CHECK.measure(audit, stale)
    found = measured.evidence_of(CHECK, audit)
    assert found.legend[-1] == "The spectrum is that of 28 images."
    all_ = measured.evidence_of(CHECK.model_copy(update={"images": 40, "steps": 1}), audit)
    assert all_.legend[-1].endswith("among them: the data set has few others.")


def test_parts_do_not_depend_on_their_units(model):
    audit = _audit(model, fixed_classifier())
    (unit,) = CHECK.units(audit)
    whole = CHECK.measure(audit, unit)
    part = CHECK.measure(audit, replace(unit, indices=unit.indices[5:9], shown=()))
    for name in ("own", "gap_label", "gap_foil", "probability", "read_completed", "foil"):
        assert np.allclose(part[name], whole[name][5:9], rtol=0, atol=1e-5), name  # by rounding


def test_a_grid_that_cannot_be_is_told_at_the_start():
    assert Completion().settled((3, 224, 224)).patch_size == 28
    assert Completion().settled((3, 224, 224)).mask_ratio == 0.75
    assert CHECK.impossible(SHAPE) == ""
    assert "Expected at least 2 patches" in Completion(patch_size=28).impossible(SHAPE)


@pytest.mark.slow
def test_an_audit_with_a_reference_has_the_figures(register, registry, tmp_path):
    model, _ = register(logistic(), "m")
    reference, _ = register(logistic(noise=0.5, seed=1), "other")
    config = AuditConfig(
        model=model,
        reference=reference,
        data=Digits(),
        checks=(
            Completion(images=10, steps=4),
            ClassPictures(classes=3, seeds=1, steps=4),
        ),
        policy=Policy(conditions=(Condition(metric="completion/forced_choice", min=0.5),)),
        store=str(tmp_path),
        device="cpu",
    )
    result = run_audit(config)
    assert [e.status for e in result.evidence] == ["ok", "ok"]
    assert result.verdict.word == "passed"
    assert "class_pictures/recognised" in {n for e in result.evidence for n in e.named_estimates}
