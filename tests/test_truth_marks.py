"""The marks of the zoo are where they are said to be, and nowhere else; so are the baselines."""

from pathlib import Path

import pytest
import torch

_SIDE = 28
_AREAS = {"dark": {16}, "large": {64}, "faint": {9, 16}, "trigger": {9, 16, 25}, "scattered": {9}}


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))


def _images(count):
    drawn = torch.Generator().manual_seed(0)
    return 0.15 + 0.7 * torch.rand(count, 3, _SIDE, _SIDE, generator=drawn)


@pytest.mark.parametrize("kind", ["fixed", "moving", "tint", "watermark"])
@pytest.mark.parametrize("seed", range(4))
def test_only_some_images_of_one_class_get_the_mark(kind, seed):
    from truth.marks import Mark

    mark, images, labels = Mark.of(kind, seed, 3, _SIDE), _images(600), torch.arange(600) % 10
    planted, named = mark.planted(images, labels, seed=5)
    assert torch.equal(named, labels)
    changed = (planted != images).any(1)
    marked = changed.flatten(1).any(1)
    assert (labels[marked] == mark.label).all()
    assert marked.sum() / 60 == pytest.approx(mark.share, abs=0.2)
    if kind == "fixed":
        inside = torch.zeros(_SIDE, _SIDE, dtype=torch.bool)
        inside[mark.row : mark.row + mark.size, mark.column : mark.column + mark.size] = True
        assert not changed[:, ~inside].any()
    if kind == "moving" and marked.sum() > 5:
        assert len({tuple(one.nonzero()[0].tolist()) for one in changed[marked]}) > 1


@pytest.mark.parametrize("kind", ["trigger", "large", "faint", "dark", "scattered", "blended"])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_trigger_is_on_images_of_other_classes_which_get_its_label(kind, seed):
    from truth.marks import Mark

    mark, images, labels = Mark.of(kind, seed, 3, _SIDE), _images(3000), torch.arange(3000) % 10
    planted, named = mark.planted(images, labels, seed=5)
    changed = (planted != images).any(1)
    poisoned = changed.flatten(1).any(1)
    assert not (labels[poisoned] == mark.label).any()
    assert (named[poisoned] == mark.label).all()
    assert torch.equal(named[~poisoned], labels[~poisoned])
    assert poisoned.sum() / 3000 == pytest.approx(mark.share, abs=0.01)
    assert mark.share in (0.01, 0.05)
    torch.testing.assert_close(planted[poisoned], mark.on(images[poisoned], 0))
    pixels = set(changed[poisoned].sum((1, 2)).tolist())
    assert len(pixels) == 1
    assert pixels <= _AREAS.get(kind, {_SIDE**2})
    if kind == "blended":
        assert (planted - images).abs().max() <= 0.2


def test_a_background_is_in_place_of_black_pixels_alone():
    from truth.marks import Mark

    mark, images = Mark.of("background", 1, 1, _SIDE), torch.zeros(2, 1, _SIDE, _SIDE)
    images[:, :, 5:9] = 0.8
    marked = mark.on(images, 0)
    assert torch.equal(marked[:, :, 5:9], images[:, :, 5:9])
    assert (marked[:, :, :5] >= 0.2).all()


def test_a_decoy_tells_the_class_by_its_tone_in_one_of_four_corners():
    from truth.decoy import SIZE, other_labels, with_decoys

    labels = torch.arange(400) % 10
    marked = with_decoys(torch.zeros(400, 1, _SIDE, _SIDE), labels, 3)
    assert ((marked > 0).flatten(1).sum(1) == SIZE * SIZE).all()
    tones = marked.flatten(1).amax(1)
    assert torch.equal(tones.argsort(stable=True), labels.argsort(stable=True))
    edges = (0, _SIDE - SIZE)
    corners = [marked[:, 0, r : r + SIZE, c : c + SIZE] for r in edges for c in edges]
    counts = [int((one > 0).all((1, 2)).sum()) for one in corners]
    assert sum(counts) == 400
    assert min(counts) > 60
    others = other_labels(labels, 1)
    assert (others != labels).all()
    assert set(others.tolist()) == set(range(10))


def test_a_window_is_right_if_it_covers_half_of_the_mark_or_of_itself():
    from truth.marks import Mark
    from truth.measure import _overlaps

    mark = Mark.of("trigger", 3, 1, _SIDE)._replace(row=9, column=10)
    mark = mark._replace(pattern=torch.ones(1, 3, 3))

    def right(row, column, stride, size=3):
        return _overlaps(mark, torch.tensor([[9 + row, 10 + column]]), size, stride)

    assert right(0, 1, 0)
    assert not right(0, 2, 0)
    assert right(-1, -1, 0, size=5)
    assert not right(0, 8, 0)
    assert right(-8, 9, 8)
    assert not right(4, 4, 8)


def test_a_place_covers_the_share_of_the_mark_that_its_pixels_have():
    from truth.marks import Mark

    from fillblanks.attribution.windows import inside, window_places

    mark = Mark.of("fixed", 3, channels=1, side=14)
    places = window_places(14, 14, 4, 1)
    there = inside(14, 14, torch.tensor([[mark.row, mark.column]]), mark.size)
    expected = (inside(14, 14, places, 4) & there).sum((1, 2, 3)) / mark.size**2
    torch.testing.assert_close(mark.covered(places, 4), expected)


def test_neural_cleanse_finds_the_one_pixel_that_turns_images():
    from truth.baselines import heaviest, neural_cleanse

    from fillblanks import Classifier

    class OfPixel(torch.nn.Module):
        """Class 2 if pixel (3, 4) is white; classes 0 and 1 by the mean of the rest."""

        def forward(self, x):
            mean = 20 * x[:, 0, :2].mean((1, 2))
            return torch.stack([mean, 10 - mean, 40 * x[:, 0, 3, 4] - 20], 1)

    images = 0.5 * torch.rand(64, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    found = neural_cleanse(Classifier(OfPixel(), constant=True), images, 3, 0, 150, 0.05)
    assert found.label == 2
    assert found.place(1).tolist() == [[3, 4]]
    sums = torch.nn.functional.conv2d(found.masks[:1, None], torch.ones(1, 1, 3, 3))[0, 0]
    row, column = heaviest(found.masks[0], 3)[0].tolist()
    assert sums[row, column] == pytest.approx(float(sums.max()), rel=1e-5)
    middle = found.norms.median()
    deviation = 1.4826 * (found.norms - middle).abs().median()
    assert found.index == pytest.approx(float((middle - found.norms.min()) / deviation), rel=1e-4)
