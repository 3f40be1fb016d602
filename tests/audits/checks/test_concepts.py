"""Concepts finds a mark of one class, and nothing in a network that has not learnt the mark."""

from dataclasses import replace
from functools import cache

import measured
import numpy as np
import pytest
import torch
from fixed_net import FixedNet
from torch import nn

from audits.checks._concepts.of_class import State, Untried, learn, look, opened, predicted
from audits.checks._concepts.trial import others_of, transplant
from audits.checks._shared.halves import halves
from audits.checks.concepts import Concepts
from audits.checks.context import AuditContext
from audits.data.built import of_arrays
from audits.data.sources import Digits, load
from audits.errors import AuditError, NotApplicable
from audits.evidence.declaration import differences
from audits.evidence.intervals import paired_difference, proportion
from fillblanks import Classifier, Plan
from fillblanks.concepts.dictionary import Dictionary

SHAPE = (1, 28, 28)
MARKED = 3
PATTERN = (torch.arange(4)[:, None] + torch.arange(4)) % 2
CHECK = Concepts(concepts=6, patch_size=8, others=20, confirm=40).settled(SHAPE)


class Marked(nn.Module):
    """Edges of digits, and a checkerboard anywhere in the image, which means one class."""

    def __init__(self, learnt: float):
        super().__init__()
        fixed = FixedNet()
        self.edges = nn.Conv2d(1, 8, 3, padding=1, bias=False).double()
        self.mark = nn.Conv2d(1, 1, 4, padding=2).double()
        self.head = nn.Linear(9 * 49, 10).double()
        with torch.no_grad():
            self.edges.weight.copy_(fixed.edges)
            self.mark.weight.copy_(40 * PATTERN - 20)
            self.mark.bias.fill_(-150)  # a checkerboard alone has 160
            self.head.weight[:, : 8 * 49] = 1.5 * fixed.means
            self.head.weight[:, 8 * 49 :] = 0
            self.head.weight[MARKED, 8 * 49 :] = learnt
            self.head.bias.copy_(-0.75 * (fixed.means**2).sum(1))

    def forward(self, x):
        both = torch.cat([self.edges(x), self.mark(x)[:, :, :28, :28]], 1).relu()
        return self.head(nn.functional.avg_pool2d(both, 4).flatten(1))


@cache
def _data(marked):
    digits = load(Digits())
    images = digits.tensor(range(len(digits))).clone()
    if marked:
        images[torch.from_numpy(digits.labels) == MARKED, :, 22:26, 22:26] = PATTERN.float()
    pixels = (images[:, 0].numpy() * 255).round().astype(np.uint8)
    return of_arrays("digits", pixels, digits.labels, digits.classes)


def _audit(net, marked=True, seed=0, chunk=64, constant=True):
    model = Classifier(net.eval(), constant=constant)
    return AuditContext(_data(marked), seed, Plan(chunk=chunk), model)


def _parts(audit, check=CHECK):
    return [check.measure(audit, unit) for unit in check.units(audit)]


@pytest.fixture(scope="module")
def audit():
    return _audit(Marked(150.0))


@pytest.fixture(scope="module")
def parts(audit):
    return _parts(audit)


@pytest.fixture(scope="module")
def found(audit):
    return measured.evidence_of(CHECK, audit)


def _of(evidence, name):
    return evidence.metrics[name].estimate


@pytest.mark.slow
def test_the_first_concept_of_the_marked_class_is_the_mark(found):
    assert _of(found, "transplant").low > 0.8
    assert _of(found, "transplant_null").value == 0
    assert _of(found, "transplant_lift").low > 0.6
    assert _of(found, "same_place").low > 0.8
    assert _of(found, "kept").low > 0.8
    assert found.metrics["kept"].lift is not None
    top = found.tables["concepts"].iloc[0]
    assert (top["class"], top["concept"]) == ("3", 1)
    assert top["low"] <= top["importance"] <= top["high"]
    assert "first concept of '3' turns 100% of 40 other images into '3'" in found.sentence
    assert "other patches there 0%" in found.sentence
    assert differences(CHECK.declared_metrics(reference=False), found.metrics) == []
    assert all(metric.bounds is None for metric in found.metrics.values())


@pytest.mark.slow
def test_a_network_that_has_not_learnt_the_mark_has_no_lift():
    clean = measured.evidence_of(CHECK, _audit(Marked(0.0)))
    assert _of(clean, "transplant_lift").high < 0.5


@pytest.mark.slow
def test_without_the_mark_in_the_audits_images_it_cannot_be_found():
    unseen = measured.evidence_of(CHECK, _audit(Marked(150.0), marked=False))
    assert _of(unseen, "transplant_lift").high < 0.5
    assert "do not carry cannot be seen" in unseen.sentence


@pytest.mark.slow
def test_the_figures_are_those_of_images_that_were_not_used_to_choose(audit, parts):
    first, second = halves(audit, CHECK.chosen(audit))
    used = {i for unit in CHECK.units(audit) for i in unit.indices}
    assert used <= set(first.indices)
    assert not used & set(second.indices)
    answers = CHECK.ask(audit, parts)
    turned, null = (answers[name] == MARKED for name in ("read", "read_null"))
    evidence = CHECK.conclude(audit, [*parts, answers])
    assert len(turned) == 40
    others = others_of(audit, second, MARKED, 40)
    assert not {*others.recipients, *others.givers} & set(first.indices)
    assert not set(others.recipients) & set(others.givers)
    own = np.sort(second.donors(audit, MARKED, CHECK.donors))
    found, part = opened(audit, CHECK.chosen(audit)), parts[MARKED]
    dictionary = Dictionary(part["dictionary"], int(part["channels"]))
    seen = look(audit, found, own[predicted(audit, own) == MARKED], dictionary)
    again = transplant(audit, found, seen, 0, others, 8)
    assert (again.read_null == answers["read_null"]).all()
    assert len(np.unique(again.read_null)) > 3, "the null must tell images apart"
    assert set(again.donors) <= set(second.indices)
    assert _of(evidence, "transplant_lift") == paired_difference(turned, null)
    assert _of(evidence, "transplant") == proportion(turned)
    kept = (answers["kept"] == 1).mean()
    assert _of(evidence, "kept").value == kept


@pytest.mark.soak
def test_chunks_and_kept_cuts_change_nothing_and_seeds_change_the_draws(found):
    other = measured.evidence_of(CHECK, _audit(Marked(150.0), chunk=7, constant=False))
    assert other.metrics == found.metrics
    again = measured.evidence_of(CHECK, _audit(Marked(150.0), seed=1))
    assert not again.images.equals(found.images)


def test_pictures_show_the_mark_and_a_patch_that_turned_an_image(found):
    steps = [p for p in found.pictures if p.seen.label == MARKED]
    assert tuple(p.caption for p in steps) == CHECK.captions()
    assert [p.seen.shows for p in steps] == ["patches", "heat", "other", "pasted"]
    _, heat, other, pasted = (p.image.astype(int) for p in steps)
    assert steps[-1].seen.read_as == MARKED
    changed = (pasted != other).any(2)
    assert changed[22:26, 22:26].any()
    assert not changed[:18].any()
    assert not changed[:, :18].any()
    red = heat[:, :, 0] - heat[:, :, 1]
    assert np.unravel_index(red.argmax(), red.shape) >= (20, 20)
    assert red[:14, :14].max() == 0


class Always(nn.Module):
    """Answers one class for every image."""

    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 4, 3), nn.Linear(4, 10)
        self.head.bias.data[4] = 1000

    def forward(self, x):
        return self.head(self.conv(x).relu().mean((2, 3)))


def test_a_network_that_always_gives_one_answer_is_not_applicable():
    audit = _audit(Always())
    with pytest.raises(NotApplicable, match=r"got none: .* images of other classes"):
        measured.evidence_of(CHECK, audit)


def test_a_network_that_cannot_be_cut_is_not_applicable():
    dense = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    dense[1].weight.data = _dense_means()
    with pytest.raises(NotApplicable, match="cannot be cut in two halves"):
        measured.evidence_of(CHECK, _audit(dense))


def _dense_means():
    data = _data(False)
    images = data.tensor(range(len(data))).flatten(1)
    labels = torch.from_numpy(data.labels)
    means = torch.stack([images[labels == label].mean(0) for label in range(10)])
    return means - means.mean(0)


class Mute(nn.Module):
    """No answer for an image with the mark."""

    def __init__(self):
        super().__init__()
        self.net = Marked(150.0)

    def forward(self, x):
        logits = self.net(x)
        return logits.where((logits[:, MARKED] < 50)[:, None], torch.nan)


def test_an_image_with_a_patch_without_answer_never_counts_as_not_turned(audit):
    pool = CHECK.chosen(audit)
    found, half = opened(audit, pool), halves(audit, pool)[0]
    own = half.donors(audit, MARKED, 20)
    learnt = learn(audit, found, own[predicted(audit, own) == MARKED], MARKED, 6)
    others = others_of(audit, half, MARKED, 20)
    assert (transplant(audit, found, learnt.seen, 0, others, 8).read == MARKED).all()
    mute = replace(audit, model=Classifier(Mute().eval()))
    with pytest.raises(Untried) as caught:
        transplant(mute, found, learnt.seen, 0, others, 8)
    assert caught.value.state == State.NOT_FINITE


@pytest.mark.slow
def test_a_class_that_cannot_be_tried_is_told_with_its_reason():
    evidence = measured.evidence_of(CHECK, _audit(Mute()))
    row = evidence.tables["classes"].set_index("class").loc["3"]
    assert row["not_tried"].startswith("fewer than 5 images")
    assert np.isnan(row["kept"])
    assert _of(evidence, "tried").value == 0.9
    assert "1 of 10 classes could not be tried" in evidence.sentence
    assert all(p.seen.label != MARKED for p in evidence.pictures)


def test_concepts_that_keep_too_few_predictions_are_not_tried(audit):
    two = Concepts(concepts=2, patch_size=8, others=20, confirm=20, first=1)
    parts = _parts(audit, two)
    lost = [part for part in parts if part["state"] == State.LOST]
    assert lost
    for part in parts:
        assert (part["kept"].mean() < 0.9) == (part["state"] == State.LOST)
        assert len(part["read"]) == (part["state"] == State.TRIED)


def test_data_of_few_images_cannot_be_tried(audit):
    data = _data(True)
    first = np.concatenate([np.flatnonzero(data.labels == label)[:6] for label in range(10)])
    small = data.tensor(first.tolist())[:, 0].numpy()
    few = of_arrays("few", (small * 255).astype(np.uint8), data.labels[first], data.classes)
    with pytest.raises(NotApplicable, match="fewer than 5 images that the model names so"):
        measured.evidence_of(CHECK, replace(audit, images=few))


def test_images_that_change_during_an_audit_are_refused(audit):
    unit = CHECK.units(audit)[0]
    with pytest.raises(AuditError, match="have changed"):
        CHECK.measure(replace(audit, images=_data(False)), unit)


def test_sizes_are_settled_by_the_image():
    assert Concepts().settled(SHAPE).patch_size == 14
    assert Concepts(patch_size=5).settled((3, 224, 224)).patch_size == 5
    assert "patch_size of 1 to 28 pixels" in Concepts(patch_size=29).impossible(SHAPE)
    assert Concepts().impossible(SHAPE) == ""
