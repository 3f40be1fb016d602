"""Swap finds a mark of one class, at its place, and no class of a network without a mark."""

from functools import cache

import measured
import numpy as np
import pytest
import torch
from simple_nets import logistic
from torch import nn

from audits.checks._shared.halves import halves
from audits.checks.context import AuditContext
from audits.checks.swap import Swap
from audits.config.reading import parse_config
from audits.data.built import of_arrays
from audits.data.sources import Digits, load
from audits.errors import NotApplicable
from audits.evidence.declaration import differences
from audits.evidence.intervals import paired_difference, proportion
from fillblanks import Classifier, Plan

SHAPE = (1, 28, 28)
MARKED = 3
CHECK = Swap(donors=20, confirm=20).settled(SHAPE)


def _marked(images, labels):
    """A white square of 4 pixels in the lower right corner of every image of one class."""
    images = images.clone()
    images[torch.from_numpy(labels) == MARKED, :, 22:26, 22:26] = 1
    return images


@cache
def _data(split, marked):
    digits = load(Digits(split=split))
    images = digits.tensor(range(len(digits)))
    return (_marked(images, digits.labels) if marked else images), digits


class Marked(nn.Module):
    """A logistic regression of digits that takes the mark for the class."""

    def __init__(self):
        super().__init__()
        self.net = logistic()

    def forward(self, x):
        corner = x[:, 0, 22:26, 22:26].mean((1, 2))  # white is 2
        mark = nn.functional.one_hot(torch.tensor(MARKED), 10)
        return self.net(x) + 50 * corner.relu()[:, None] * mark


def _net(marked):
    return (Marked() if marked else logistic()).eval()


def _audit(net, marked, seed=0, chunk=64):
    images, digits = _data("test", marked)
    pixels = (images[:, 0].numpy() * 255).round().astype(np.uint8)
    data = of_arrays("digits", pixels, digits.labels, digits.classes)
    model = Classifier(net, mean=0.3, std=0.35, constant=True)
    return AuditContext(data, seed, Plan(chunk=chunk), model)


@pytest.fixture(scope="module")
def found():
    return measured.evidence_of(CHECK, _audit(_net(True), True))


def test_a_mark_of_one_class_turns_other_images_into_it(found):
    lift, rate, place = (found.metrics[name].estimate for name in ("lift", "rate", "place_share"))
    assert lift.low > 0.5
    assert rate.value > 0.8
    assert place.value > 0.8
    assert found.tables["classes"]["class"][0] == "3"
    assert "'3'" in found.sentence
    assert "random patches" in found.sentence
    assert differences(CHECK.declared_metrics(reference=False), found.metrics) == []


def test_the_same_images_turn_no_network_that_has_not_learnt_the_mark():
    clean = measured.evidence_of(CHECK, _audit(_net(False), True))
    assert clean.metrics["lift"].estimate.high < 0.5


def test_without_the_mark_in_the_audits_images_it_cannot_be_found():
    unseen = measured.evidence_of(CHECK, _audit(_net(True), False))
    assert unseen.metrics["lift"].estimate.high < 0.5
    assert "do not carry cannot be seen" in unseen.sentence


def test_the_figures_are_those_of_images_that_were_not_used_to_choose(found):
    audit = _audit(_net(True), True)
    first, second = halves(audit, CHECK.chosen(audit))
    assert not set(first.indices) & set(second.indices)
    assert sorted([*first.indices, *second.indices]) == list(range(len(audit.images)))
    sizes = [
        np.bincount(audit.images.labels[half.indices], minlength=10) for half in (first, second)
    ]
    assert ((sizes[0] - sizes[1] >= 0) & (sizes[0] - sizes[1] <= 1)).all()
    parts = [CHECK.measure(audit, unit) for unit in CHECK.units(audit)]
    used = {i for part in parts for i in (*part["index"], *part["recipient"])}
    assert used <= set(first.indices)


def test_the_lift_is_the_paired_difference_of_the_second_look():
    audit = _audit(_net(True), True)
    parts = [CHECK.measure(audit, unit) for unit in CHECK.units(audit)]
    answers = CHECK.ask(audit, parts)
    turned, null = (answers[name] == MARKED for name in ("read", "read_random"))
    evidence = CHECK.conclude(audit, [*parts, answers])
    assert len(turned) == 20
    assert evidence.metrics["lift"].estimate == paired_difference(turned, null)
    assert evidence.metrics["rate"].estimate == proportion(turned)


def test_donors_that_are_asked_more_than_once_count_once():
    many = Swap(donors=20, confirm=100).settled(SHAPE)
    evidence = measured.evidence_of(many, _audit(_net(True), True))
    donors = evidence.metrics["rate"].estimate.n
    assert donors < 50
    assert evidence.metrics["lift"].estimate.low > 0.5


def test_chunks_change_nothing_and_seeds_change_the_draws(found):
    other = measured.evidence_of(CHECK, _audit(_net(True), True, chunk=7))
    assert other.metrics == found.metrics
    assert other.images.equals(found.images)
    again = measured.evidence_of(CHECK, _audit(_net(True), True, seed=1))
    assert not again.images.equals(found.images)


def test_without_a_gradient_the_patch_is_found_by_occlusion():
    class NoGradient(nn.Module):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def forward(self, x):
            return self.net(x.detach())

    few = Swap(donors=15, confirm=15).settled(SHAPE)
    evidence = measured.evidence_of(few, _audit(NoGradient(_net(True)), True))
    asked = Swap(donors=15, confirm=15, chooser="occlusion").settled(SHAPE)
    assert evidence.metrics == measured.evidence_of(asked, _audit(_net(True), True)).metrics
    assert evidence.metrics["lift"].estimate.low > 0.2


def test_a_tint_of_a_class_is_found_by_colours():
    class Dark(nn.Module):
        """Class 1 if the image is dark."""

        def forward(self, x):
            mean = x.mean((1, 2, 3))
            return torch.stack([mean, 0.6 - mean], 1)

    generator = np.random.default_rng(0)
    labels = np.arange(80) % 2
    images = generator.integers(0, 60, (80, 8, 8)) + np.where(labels, 20, 150)[:, None, None]
    data = of_arrays("tinted", images.astype(np.uint8), labels, ("bright", "dark"))
    audit = AuditContext(data, 0, Plan(chunk=16), Classifier(Dark()))
    check = Swap(what="colour", donors=15, confirm=15)
    evidence = measured.evidence_of(check, audit)
    # The colours of the other class never turn an image: it has them already.
    assert evidence.metrics["rate"].estimate.value == 1
    assert evidence.metrics["random_rate"].estimate.value == 0
    assert "place_share" not in evidence.metrics
    assert len(evidence.pictures) == 2 * 3


def test_a_network_that_always_gives_one_answer_has_no_figure_for_that_class():
    class Always(nn.Module):
        def forward(self, x):
            return nn.functional.one_hot(torch.full((len(x),), 4), 10) + 0 * x.sum()

    evidence = measured.evidence_of(CHECK, _audit(Always(), True))
    tried = evidence.metrics["tried"].estimate
    assert (tried.low, tried.value, tried.high, tried.n) == (0.9, 0.9, 0.9, 10)
    assert evidence.metrics["rate"].estimate.value == 0


def test_data_of_one_image_a_class_cannot_be_looked_at_twice():
    images, digits = _data("test", True)
    first = [int(np.flatnonzero(digits.labels == label)[0]) for label in range(10)]
    pixels = (images[first, 0].numpy() * 255).astype(np.uint8)
    data = of_arrays("ten digits", pixels, digits.labels[first], digits.classes)
    audit = AuditContext(data, 0, Plan(chunk=8), Classifier(_net(True), mean=0.3, std=0.35))
    with pytest.raises(NotApplicable, match="at least two images of a class"):
        measured.evidence_of(CHECK, audit)


def test_pictures_show_the_places_and_a_piece_that_turned_an_image(found):
    steps = [p for p in found.pictures if p.seen.label == MARKED]
    assert [p.seen.shows for p in steps] == ["places", "donor", "other", "pasted"]
    places, donor, other, pasted = (p.image.astype(int) for p in steps)
    assert steps[-1].seen.read_as == MARKED
    changed = (pasted != other).any(2)
    rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
    assert max(np.ptp(rows), np.ptp(columns)) < 7
    frame = (donor == (255, 0, 255)).all(2)
    assert frame.any()
    assert not (frame & changed).any()
    assert np.unravel_index(places[:, :, 1].argmin(), (28, 28)) >= (14, 14)
    assert tuple(p.caption for p in steps) == CHECK.captions()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"patch_size": ()}, "one or more sizes"),
        ({"patch_size": (4, 4)}, "each once"),
        ({"what": "colour", "stride": 2}, "what: patch alone"),
    ],
)
def test_fields_that_make_no_sense_are_refused(fields, words):
    with pytest.raises(ValueError, match=words):
        Swap(**fields)


def test_sizes_are_settled_by_the_image():
    assert Swap().settled(SHAPE).patch_size == (7,)
    assert Swap().settled((3, 224, 224)).patch_size == (28, 56)
    assert Swap(patch_size=5).settled(SHAPE).patch_size == (5,)
    assert "1 to 28 pixels" in Swap(patch_size=29).impossible(SHAPE)
    assert Swap().impossible(SHAPE) == ""


@pytest.mark.parametrize(("given", "sizes"), [(4, (4,)), ([4, 7], (4, 7))])
@pytest.mark.parametrize("kind", ["swap", "planted_defect"])
def test_a_config_gives_one_size_or_several(kind, given, sizes):
    checks = [{"kind": kind, "patch_size": given}]
    config = parse_config({"model": "models:/m/1", "data": {"kind": "digits"}, "checks": checks})
    assert config.checks[0].patch_size == sizes
