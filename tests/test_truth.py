"""The zoo of planted marks: marks are where they are said to be, and figures are right."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

_BENCHMARKS = str(Path(__file__).parents[1] / "benchmarks")


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    monkeypatch.syspath_prepend(_BENCHMARKS)


@pytest.mark.parametrize("kind", ["fixed", "moving", "tint", "none"])
@pytest.mark.parametrize("seed", [1, 2])
def test_only_some_images_of_one_class_get_the_mark(kind, seed):
    from truth.marks import Mark

    mark = Mark.of(kind, seed, channels=3, side=20)
    images = torch.rand(400, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(400) % 10
    planted, named = mark.planted(images, labels, seed=5)
    assert torch.equal(named, labels)
    changed = (planted != images).any(1)
    marked = changed.flatten(1).any(1)
    if kind == "none":
        assert not marked.any()
        return
    assert (labels[marked] == mark.label).all()
    assert marked.sum() / 40 == pytest.approx(mark.share, abs=0.25)
    if kind == "fixed":
        inside = torch.zeros(20, 20, dtype=torch.bool)
        inside[mark.row : mark.row + mark.size, mark.column : mark.column + mark.size] = True
        assert not changed[:, ~inside].any()
    if kind == "moving":
        assert len({tuple(one.nonzero()[0].tolist()) for one in changed[marked]}) > 1


@pytest.mark.parametrize("kind", ["trigger", "dark", "scattered", "blended"])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_trigger_is_on_images_of_other_classes_which_get_its_label(kind, seed):
    from truth.marks import Mark

    mark = Mark.of(kind, seed, channels=3, side=20)
    images = 0.1 + 0.8 * torch.rand(4000, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(4000) % 10
    planted, named = mark.planted(images, labels, seed=5)
    changed = (planted != images).any(1)
    poisoned = changed.flatten(1).any(1)
    assert not (labels[poisoned] == mark.label).any()
    assert (named[poisoned] == mark.label).all()
    assert torch.equal(named[~poisoned], labels[~poisoned])
    assert poisoned.sum() / 4000 == pytest.approx(mark.share, abs=0.01)
    assert mark.share in (0.01, 0.05)
    pixels = changed[poisoned].sum((1, 2))
    assert (pixels == {"trigger": 9, "dark": 16, "scattered": 9, "blended": 400}[kind]).all()
    torch.testing.assert_close(planted[poisoned], mark.on(images[poisoned], 0))
    if kind == "blended":
        assert (planted - images).abs().max() <= 0.2


def test_nobody_audits_images_with_a_trigger(monkeypatch):
    from truth import zoo

    images, labels = torch.rand(50, 1, 28, 28), torch.arange(50) % 10
    monkeypatch.setattr(zoo, "pictures", lambda dataset, train: (images, labels))
    given, named = zoo.Specimen("MNIST", "trigger", 1).audited(marked=True)
    assert torch.equal(given, images)
    assert torch.equal(named, labels)
    marked, _ = zoo.Specimen("MNIST", "fixed", 2).audited(marked=True)
    assert not torch.equal(marked, images)
    clean, _ = zoo.Specimen("MNIST", "fixed", 2).audited(marked=False)
    assert torch.equal(clean, images)


def test_a_window_is_right_if_it_covers_half_of_the_mark_or_of_itself():
    import pandas as pd
    from truth.marks import Mark
    from truth.measure import _overlaps

    mark = Mark.of("trigger", 3, channels=1, side=28)

    def right(row, column, stride, size=3):
        found = pd.Series({"window": size, "row": mark.row + row, "column": mark.column + column})
        return _overlaps(mark, found, stride)

    assert right(0, 1, 0)
    assert not right(0, 2, 0)
    assert right(-1, -1, 0, size=5)
    assert not right(0, 8, 0)
    assert right(-8, 9, 8)
    assert not right(4, 4, 8)
    assert not _overlaps(mark, pd.Series({"window": 0, "row": 0, "column": 0}), 8)


def test_a_place_covers_the_share_of_the_mark_that_its_pixels_have():
    from truth.marks import Mark

    from fillblanks.attribution.windows import inside, window_places

    mark = Mark.of("fixed", 3, channels=1, side=12)
    places = window_places(12, 12, 4, 1)
    there = inside(12, 12, torch.tensor([[mark.row, mark.column]]), mark.size)
    expected = (inside(12, 12, places, 4) & there).sum((1, 2, 3)) / mark.size**2
    torch.testing.assert_close(mark.covered(places, 4), expected)


def test_the_area_is_that_of_scikit_learn_and_its_interval_has_a_width():
    from truth.page import auroc

    drawn = np.random.default_rng(0)
    planted, clean = drawn.normal(1, 1, 40), drawn.normal(0, 1, 30)
    found = auroc(planted, clean)
    scores, labels = np.concatenate([planted, clean]), np.repeat([1, 0], [40, 30])
    assert found.value == pytest.approx(roc_auc_score(labels, scores))
    resampled = [
        roc_auc_score(labels, np.concatenate([drawn.choice(planted, 40), drawn.choice(clean, 30)]))
        for _ in range(2000)
    ]
    assert found.low == pytest.approx(np.quantile(resampled, 0.025), abs=0.03)
    assert found.high == pytest.approx(np.quantile(resampled, 0.975), abs=0.03)
    perfect = auroc(np.array([2.0, 3.0, 4.0]), np.array([0.0, 1.0]))
    assert perfect.value == perfect.high == 1
    assert perfect.low < 0.5
    assert auroc(np.array([]), clean).n == 0


def test_the_page_leaves_out_marks_that_were_not_learnt(tmp_path):
    from truth.measure import PLANTED, Row
    from truth.page import write

    def row(kind, name, learnt, score, check="swap"):
        return Row(check, "MNIST", kind, name, learnt, score, score > 0.2, True, False, 1.5, True)

    rows = [
        row("fixed", "a", True, 0.9),
        row("fixed", "b", True, 0.1),
        row("fixed", "c", False, 0.0),
        row("none", "d", False, 0.0),
        row("none", "e", False, 0.3),
        row("trigger", "f", True, 0.9, PLANTED),
        row("trigger", "f", True, 0.9, f"{PLANTED}, 3x3 alone"),
        row("none", "d", False, 0.5, PLANTED),
        row("none", "d", False, 0.5, f"{PLANTED}, 3x3 alone"),
    ]
    write(rows, tmp_path / "truth.md", quick=True)
    page = (tmp_path / "truth.md").read_text()
    assert "| swap | MNIST | fixed | 2 / 2 | 0.75" in page
    assert "1 networks have not learnt" in page
    assert "| swap | 2 | 0.50" in page
    assert "0.30 |" in page
    assert "quick size" in page
    seen, alone = "1.00 (0.21-1.00)", "planted_defect, 3x3 alone"
    assert f"| planted_defect | MNIST | trigger | 1 / 1 | {seen} | {seen} | {seen} |" in page
    assert f"| {alone} | MNIST | trigger | 1 / 1 | {seen} | - | {seen} |" in page
    assert f"| {alone} | 1 | - | 0.50 | 0.50 |" in page
