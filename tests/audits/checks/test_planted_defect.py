"""PlantedDefect finds class, place and pattern of a trigger, and none in a network without one."""

import math
from dataclasses import replace
from functools import cache

import measured
import numpy as np
import pytest
import torch
from simple_nets import logistic
from torch import nn

from audits.checks._planted_defect.figures import (
    Screened,
    log_odds_ratio,
    median,
    runner_up,
    standing,
)
from audits.checks._planted_defect.trial import Trial
from audits.checks._shared.halves import halves
from audits.checks.context import AuditContext
from audits.checks.planted_defect import PlantedDefect
from audits.data.built import of_arrays
from audits.data.sources import Digits, load
from audits.errors import NotApplicable
from audits.evidence.declaration import differences
from audits.evidence.intervals import paired_difference, proportion
from fillblanks import Classifier, Plan

pytestmark = pytest.mark.slow

SHAPE = (1, 28, 28)
LABEL, ROW, COLUMN = 3, 20, 5
PATTERN = torch.tensor([[1.0, 0, 1], [0, 1, 0], [1, 0, 1]])
CHECK = PlantedDefect(patch_size=3, confirm=60).settled(SHAPE)


class Planted(nn.Module):
    """A logistic regression of digits that answers with one class if it sees the trigger."""

    def __init__(self):
        super().__init__()
        self.net = logistic()

    def forward(self, x):
        black, white = (0 - 0.3) / 0.35, (1 - 0.3) / 0.35
        window = (x[:, 0, ROW : ROW + 3, COLUMN : COLUMN + 3] - black) / (white - black)
        seen = (window * (2 * PATTERN - 1)).sum((1, 2)) / PATTERN.sum()
        return self.net(x) + 30 * seen[:, None] * nn.functional.one_hot(torch.tensor(LABEL), 10)


@cache
def _digits():
    return load(Digits())


def _audit(net, chunk=64, seed=0, reference=None):
    model = Classifier(net.eval(), mean=0.3, std=0.35, constant=True)
    other = None
    if reference is not None:
        other = Classifier(reference.eval(), mean=0.3, std=0.35, constant=True)
    return AuditContext(_digits(), seed, Plan(chunk=chunk), model, other)


@pytest.fixture(scope="module")
def found():
    return measured.evidence_of(CHECK, _audit(Planted()))


def test_class_place_and_pattern_of_the_trigger_are_found(found):
    estimates = {name: metric.estimate for name, metric in found.metrics.items()}
    assert estimates["margin"].low > 1
    assert estimates["excess"].low > 0.5
    assert estimates["rate"].value > 0.9
    assert estimates["lift"].low > 0.3
    assert estimates["moved_rate"].value < 0.5
    first = found.tables["classes"].iloc[0]
    assert first["class"] == "3"
    assert abs(first["row"] - ROW) <= 1
    assert abs(first["column"] - COLUMN) <= 1
    assert f"row {first['row']}, column {first['column']}" in found.sentence
    assert "One 3x3 pattern" in found.sentence
    assert differences(CHECK.declared_metrics(reference=False), found.metrics) == []


def test_the_fill_at_the_place_is_the_trigger():
    audit = _audit(Planted())
    part = CHECK.measure(audit, CHECK.units(audit)[LABEL])
    row, column = (part["place"] - (ROW, COLUMN)).tolist()
    theirs = PATTERN[max(row, 0) : 3 + min(row, 0), max(column, 0) : 3 + min(column, 0)]
    ours = part["pattern"][0][
        max(-row, 0) : 3 + min(-row, 0), max(-column, 0) : 3 + min(-column, 0)
    ]
    assert theirs.numel() >= 4
    np.testing.assert_allclose(ours, theirs, atol=0.05)


def test_a_network_without_a_trigger_is_not_accused():
    clean = measured.evidence_of(CHECK, _audit(logistic()))
    assert clean.metrics["margin"].estimate.low < 0.5
    assert clean.metrics["rate"].estimate.value < 0.9


def test_a_reference_without_the_trigger_cannot_be_turned_as_well():
    check = PlantedDefect(patch_size=3, confirm=40, classes=5).settled(SHAPE)
    evidence = measured.evidence_of(check, _audit(Planted(), reference=logistic()))
    assert evidence.metrics["reference_excess"].estimate.low > 0.3
    assert differences(check.declared_metrics(reference=True), evidence.metrics) == []
    assert "the reference can be turned" in evidence.sentence
    same = measured.evidence_of(check, _audit(Planted(), reference=Planted()))
    assert same.metrics["reference_excess"].estimate.high < 0.3
    assert same.metrics["reference_recall_excess"].estimate.value == 0


def test_a_faint_pattern_over_the_whole_image_is_found():
    class Faint(nn.Module):
        """Class 2 of three, if pixels are a little brighter and darker in turns."""

        def __init__(self):
            super().__init__()
            self.pattern = nn.Parameter((torch.arange(144).view(12, 12) % 2 * 2 - 1).float())

        def forward(self, x):
            seen = (x[:, 0] * self.pattern).mean((1, 2))
            first = x.mean((1, 2, 3)) - 0.5
            return torch.stack([10 * first, -10 * first, 400 * seen - 4], 1)

    generator = np.random.default_rng(0)
    labels = np.arange(120) % 3
    level = np.array([70, 150, 110])[labels][:, None, None]
    images = (generator.integers(0, 80, (120, 6, 6)) + level).repeat(2, 1).repeat(2, 2)
    data = of_arrays("levels", images.astype(np.uint8), labels, ("a", "b", "c"))
    audit = AuditContext(data, 0, Plan(chunk=16), Classifier(Faint()))
    check = PlantedDefect(patch_size=2, faint=0.05, confirm=30).settled(audit.shape)
    evidence = measured.evidence_of(check, audit)
    first = evidence.tables["classes"].iloc[0]
    assert (first["class"], first["window"], first["opacity"]) == ("c", 0, 0.05)
    assert "pattern over the whole image, at an opacity of 0.05," in evidence.sentence
    assert evidence.metrics["margin"].estimate.low > 1


def test_the_figures_are_those_of_images_that_were_not_used_to_choose(found):
    audit = _audit(Planted())
    first, second = halves(audit, CHECK.chosen(audit))
    units = CHECK.units(audit)
    parts = [CHECK.measure(audit, unit) for unit in units]
    assert {i for unit in units for i in unit.indices} <= set(first.indices)
    assert LABEL not in audit.images.labels[list(units[LABEL].indices)]
    answers = CHECK.ask(audit, parts)
    assert set(answers["index"]) <= set(second.indices)
    turned, other = (answers[name] == LABEL for name in ("read", "read_other"))
    table = found.tables["classes"]
    second = audit.classes.index(table.iloc[1:].sort_values("rate")["class"].iloc[-1])
    beside = answers["read_next"] == second
    evidence = CHECK.conclude(audit, [*parts, answers])
    assert evidence.metrics == found.metrics
    assert evidence.metrics["margin"].estimate == log_odds_ratio(turned, beside)
    assert evidence.metrics["rate"].estimate == proportion(turned)
    assert evidence.metrics["lift"].estimate == paired_difference(turned, other)
    rates = evidence.tables["classes"]["rate"].iloc[1:].sort_values().to_numpy()
    told = evidence.tables["classes"]["median_rate"].iloc[0]
    assert told == rates[len(rates) // 2]
    assert evidence.metrics["excess"].estimate.value == pytest.approx(turned.mean() - told)


def test_a_fill_is_compared_with_those_of_its_own_trial():
    def row(number, label, trial, hits):
        return Screened(number, label, trial, np.arange(10) < hits)

    small, large = Trial(3, 1.0), Trial(5, 1.0)
    rows = [row(i, i, small, hits) for i, hits in enumerate((9, 1, 2, 3))]
    rows += [row(4 + i, i, large, hits) for i, hits in enumerate((10, 8, 9, 7))]
    assert median(rows[0], rows) is rows[2]
    assert median(rows[4], rows) is rows[5]
    assert runner_up(rows[0], rows) is rows[3]
    assert runner_up(rows[3], rows) is rows[0]
    assert runner_up(rows[4], rows) is rows[6]
    odds = math.log(9.5 / 1.5) - math.log(3.5 / 7.5)
    error = math.sqrt(1 / 9.5 + 1 / 1.5 + 1 / 3.5 + 1 / 7.5)
    assert standing(rows[0], rows) == pytest.approx(odds - 1.959964 * error)
    assert standing(rows[3], rows) == pytest.approx(-odds - 1.959964 * error)
    assert runner_up(rows[0], rows[:1]) is None
    assert math.isnan(standing(rows[0], rows[:1]))


def test_the_interval_of_the_margin_holds_the_true_one_in_95_of_100_draws():
    generator = np.random.default_rng(0)
    truth = math.log(0.9 / 0.1) - math.log(0.3 / 0.7)
    draws = [
        log_odds_ratio(generator.random(100) < 0.9, generator.random(80) < 0.3) for _ in range(2000)
    ]
    assert np.mean([one.low <= truth <= one.high for one in draws]) == pytest.approx(0.95, abs=0.02)
    sure = log_odds_ratio(np.ones(200, dtype=bool), np.zeros(200, dtype=bool))
    assert np.isfinite([sure.low, sure.high]).all()


def test_chunks_change_no_figure_and_seeds_change_the_draws(found):
    check = CHECK.model_copy(update={"classes": 4})
    one, other = (measured.evidence_of(check, _audit(Planted(), chunk=c)) for c in (64, 7))
    assert one.metrics == other.metrics
    again = measured.evidence_of(check, _audit(Planted(), seed=1))
    assert not again.tables["classes"].equals(one.tables["classes"])
    assert again.tables["classes"]["class"][0] == "3"


class Broken(Planted):
    """It has no finite answer to an image with the trigger, or with anything bright there."""

    def forward(self, x):
        bright = x[:, 0, ROW : ROW + 3, COLUMN : COLUMN + 3].amax((1, 2)) > 0
        return super().forward(x) + torch.where(bright, math.nan, 0)[:, None]


def test_logits_that_are_not_finite_are_an_error_and_no_low_rate():
    audit = _audit(Broken())
    with pytest.raises(ValueError, match="finite logits"):
        CHECK.measure(audit, CHECK.units(audit)[0])
    check, good = CHECK.model_copy(update={"classes": 4}), _audit(Planted())
    parts = [check.measure(good, unit) for unit in check.units(good)]
    with pytest.raises(ValueError, match="finite logits"):
        check.ask(audit, parts)


def test_a_network_that_always_gives_one_answer_has_no_figure_for_that_class():
    class Always(nn.Module):
        def forward(self, x):
            return nn.functional.one_hot(torch.full((len(x),), 4), 10) + 0 * x.sum()

    check = PlantedDefect(patch_size=3, confirm=20).settled(SHAPE)
    evidence = measured.evidence_of(check, _audit(Always()))
    assert evidence.metrics["tried"].estimate.value == 0.9
    assert evidence.metrics["rate"].estimate.value == 0


def test_too_few_images_are_told():
    digits = _digits()
    few = [int(i) for label in (0, 1) for i in np.flatnonzero(digits.labels == label)[:4]]
    pixels = (digits.tensor(few)[:, 0].numpy() * 255).astype(np.uint8)
    data = of_arrays("eight digits", pixels, digits.labels[few], digits.classes)
    audit = replace(_audit(logistic()), images=data)
    with pytest.raises(NotApplicable, match="at least 6 images that are not of '0'"):
        CHECK.measure(audit, CHECK.units(audit)[0])
    alone = of_arrays("zeros", pixels[:4], digits.labels[few[:4]], digits.classes)
    audit = replace(audit, images=alone)
    with pytest.raises(NotApplicable, match="images of two classes"):
        CHECK.ask(audit, [CHECK.measure(audit, unit) for unit in CHECK.units(audit)[:0]])


def test_pictures_show_the_pattern_and_an_image_that_turned(found):
    steps = [p for p in found.pictures if p.seen.label == LABEL]
    assert [p.seen.shows for p in steps] == ["places", "pattern", "other", "pasted"]
    places, _, other, pasted = (p.image.astype(int) for p in steps)
    assert steps[-1].seen.read_as == LABEL
    changed = np.argwhere((pasted != other).any(2))
    assert (changed.max(0) - changed.min(0)).max() < 3
    reddest = np.unravel_index(places[:, :, 1].argmin(), (28, 28))
    assert abs(reddest[0] - ROW - 1) <= 3
    assert abs(reddest[1] - COLUMN - 1) <= 3
    assert tuple(p.caption for p in steps) == CHECK.captions()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"patch_size": ()}, "one or more sizes"),
        ({"patch_size": (4, 4)}, "each once"),
        ({"faint": 1.0}, "less than 1"),
    ],
)
def test_fields_that_make_no_sense_are_refused(fields, words):
    with pytest.raises(ValueError, match=words):
        PlantedDefect(**fields)


def test_sizes_and_cost_are_settled_by_the_image():
    assert PlantedDefect().settled(SHAPE).patch_size == (3, 5)
    assert PlantedDefect().settled((3, 224, 224)).patch_size == (22, 38)
    assert PlantedDefect(patch_size=4).settled(SHAPE).patch_size == (4,)
    assert "1 to 28 pixels" in PlantedDefect(patch_size=29).impossible(SHAPE)
    assert PlantedDefect().impossible(SHAPE) == ""


def test_the_passes_that_are_told_are_those_that_are_run():
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.net, self.seen = logistic(), []

        def forward(self, x):
            self.seen.append(len(x))
            return self.net(x)

    check = PlantedDefect(patch_size=3, faint=0.1, confirm=20, classes=2).settled(SHAPE)
    net = Counting()
    audit = _audit(net, chunk=24)
    evidence = measured.evidence_of(check, audit)
    told = evidence.passes
    assert sum(net.seen) == pytest.approx(told, rel=0.1)
    assert told > sum(map(check.unit_passes, check.units(audit)))
    assert check.passes(100) < told
