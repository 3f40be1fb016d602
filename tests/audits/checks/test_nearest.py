"""What the report is told of a picture: which image, how it is read, and the nearest real image."""

import numpy as np
import pytest
import torch
from torch import nn

from audits.checks._random_fill.nearest import nearest_examples
from audits.checks.context import AuditContext
from audits.checks.performance import Performance
from audits.checks.progressive_fill import ProgressiveFill
from audits.checks.random_fill import RandomFill
from audits.evidence.codec import from_part, to_part
from audits.evidence.evidence import Picture, Seen
from fillblanks import Classifier, Plan

CLASSES = ("a", "b", "c")


@pytest.fixture
def audit(image_set):
    """Nine images of three classes, in which a net of two pixels sees the class."""
    rng = np.random.default_rng(0)
    labels = np.arange(9) % 3
    images = rng.random((9, 1, 6, 6)).astype(np.float32) / 2
    for image, label in zip(images, labels, strict=True):
        image[0, 2 * label : 2 * label + 2] += 0.5
    net = nn.Sequential(nn.Flatten(), nn.Linear(36, 3, bias=False))
    with torch.no_grad():
        net[1].weight.zero_()
        for label in range(3):
            net[1].weight[label, 12 * label : 12 * label + 12] = 1
    data = image_set(images.transpose(0, 2, 3, 1), labels, CLASSES)
    return AuditContext(data, 0, Plan(chunk=64), Classifier(net, classes=CLASSES))


def _evidence(check, audit):
    parts = [check.measure(audit, unit) for unit in check.units(audit)]
    return check.conclude(audit, parts)


@pytest.mark.parametrize(
    ("check", "column"),
    [
        (RandomFill(samples=8, patch_size=1), {"drawing": "prototype", "blanks": "composite"}),
        (ProgressiveFill(patch_size=1), {"masked": "first", "filled": "filled"}),
        (Performance(), {"image": "predicted"}),
    ],
)
def test_a_picture_says_how_its_own_image_is_read(check, column, audit):
    evidence = _evidence(check, audit)
    seen = [p.seen for p in (*evidence.pictures, *evidence.examples) if p.seen]
    assert {one.label for one in seen} == {0, 1, 2}
    for one in seen:
        if one.shows in column:
            assert audit.images.labels[one.image] == one.label
            assert one.read_as == evidence.images.loc[one.image, column[one.shows]]
    assert {one.shows for one in seen} >= set(column)
    kept = from_part(to_part(evidence))
    assert [p.seen for p in kept.pictures] == [p.seen for p in evidence.pictures]
    for ours, theirs in zip(evidence.examples, kept.examples, strict=True):
        assert np.array_equal(ours.image, theirs.image)
        assert ours.seen == theirs.seen


def test_a_picture_of_an_image_shows_that_image(audit):
    for picture in _evidence(Performance(), audit).examples:
        wanted = (audit.images.tensor([picture.seen.image])[0, 0] * 255).round().numpy()
        assert np.array_equal(picture.image[:, :, 0], wanted)


def test_of_an_image_without_accepted_draws_the_pictures_say_so(audit):
    class Never(nn.Module):
        def forward(self, x):
            return torch.stack([-x.sum((1, 2, 3)), x.sum((1, 2, 3)), -x.sum((1, 2, 3))], 1)

    never = AuditContext(audit.images, 0, Plan(chunk=64), Classifier(Never(), classes=CLASSES))
    evidence = _evidence(RandomFill(samples=4, patch_size=1), never)
    missing = {(p.seen.label, p.seen.shows): p.seen.missing for p in evidence.pictures}
    for label in range(3):
        for shows in ("masked", "update", "drawing", "blanks", "class"):
            assert missing[label, shows] == ("" if label == 1 else "no draw accepted")
        assert missing[label, "image"] == ""
    assert [p.seen.label for p in evidence.examples] == [1]


@pytest.mark.parametrize("most", [10**9, 6 * 36])
def test_the_nearest_image_is_the_one_that_correlates_most(audit, monkeypatch, most):
    monkeypatch.setattr("audits.checks._random_fill.nearest._MOST_VALUES", most)
    chosen = np.arange(9)
    looked_at = chosen if most > 1000 else chosen[::2]
    wanted = int(looked_at[3])
    drawn = audit.images.tensor([wanted])[0, 0].numpy()
    # Another brightness and contrast do not change what is nearest.
    image = (20 + 100 * drawn).astype(np.uint8)[:, :, None].repeat(3, axis=2)
    pictures = [
        Picture("f/a", 5, image, "class mean", seen=Seen("class", None, 0)),
        Picture("f/b", 5, image, "class mean", seen=Seen("class", None, 1, None, "no draw")),
        Picture("f/a", 0, image, "image", seen=Seen("image", 0, 0)),
    ]
    (found,) = nearest_examples(audit, "f", chosen, pictures)
    assert found.seen == Seen("nearest", wanted, 0, int(audit.images.labels[wanted]))
    assert nearest_examples(audit, "f", chosen, pictures[1:]) == ()
