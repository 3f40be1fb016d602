"""Attacks stay inside the blank, say what the network says, and do not depend on chunks."""

import torch
from torch import nn

from fillblanks import Classifier
from fillblanks.bounds.attack import margins_of, pgd, random_fills, random_search

KINDS = {
    "pgd": lambda c, given, **more: pgd(c, given, steps=6, restarts=3, **more),
    "search": lambda c, given, **more: random_search(c, given, tries=20, **more),
    "fills": lambda c, given, **more: random_fills(c, given, tries=20, **more),
}


def test_only_the_blank_is_changed_and_the_network_has_said_so(nets, cases):
    classifier = nets["residual"]
    given = cases(classifier, count=5)
    for attack in KINDS.values():
        found = attack(classifier, given)
        assert torch.equal(
            found.images.where(~given.blanks, 0), given.images.where(~given.blanks, 0)
        )
        assert found.images.min() >= 0
        assert found.images.max() <= 1
        with torch.no_grad():
            logits = classifier(found.images)
        assert torch.allclose(margins_of(logits, given.answers), found.margins, atol=1e-5)
        assert torch.equal(logits.argmax(1), found.read)


def test_chunks_change_nothing_and_seeds_do(nets, cases):
    classifier = nets["plain"]
    given = cases(classifier, count=5)
    for attack in KINDS.values():
        one, two = attack(classifier, given), attack(classifier, given, chunk=2)
        assert torch.allclose(one.margins, two.margins, atol=1e-5)
        other = attack(classifier, type(given)(**{**vars(given), "seed": 1}))
        assert not torch.equal(one.images, other.images)


def test_of_a_linear_network_the_gradient_finds_the_worst_fill(cases):
    torch.manual_seed(0)
    classifier = Classifier(nn.Sequential(nn.Flatten(), nn.Linear(128, 2)).eval())
    given = cases(classifier, count=4)
    found = pgd(classifier, given, steps=20, restarts=1)
    slopes = classifier.net[1].weight[given.answers] - classifier.net[1].weight[1 - given.answers]
    worst = (slopes.view_as(given.images) < 0).to(given.images)
    expected = margins_of(classifier(given.filled(worst)), given.answers)
    assert torch.allclose(found.margins, expected, atol=1e-5)
    sampled = random_fills(classifier, given, tries=50)
    assert (
        random_search(classifier, given, tries=50, start=sampled).margins < sampled.margins
    ).all()
    assert (found.margins < sampled.margins).all()


def test_an_answer_that_is_not_finite_is_a_break(nan_on_bright):
    images = torch.full((2, 1, 4, 4), 0.5)
    images[1] *= 0.3
    blanks = torch.zeros(2, 1, 4, 4, dtype=torch.bool)
    blanks[:, :, 2, 2] = True
    classifier = Classifier(nan_on_bright)
    from fillblanks.bounds.attack import Cases

    given = Cases(
        images, blanks, classifier.predict(images), torch.arange(2), torch.zeros(2).long()
    )
    found = random_fills(classifier, given, tries=50)
    assert found.read.tolist() == [-1, -1]
    assert (found.margins == -torch.inf).all()
