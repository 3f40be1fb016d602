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
    changed = (mark.planted(images, labels, seed=5) != images).any(1)
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
    from truth.measure import Row
    from truth.page import write

    def row(kind, name, learnt, score):
        return Row("swap", "MNIST", kind, name, learnt, score, score > 0.2, True, False, 1.5)

    rows = [
        row("fixed", "a", True, 0.9),
        row("fixed", "b", True, 0.1),
        row("fixed", "c", False, 0.0),
        row("none", "d", False, 0.0),
        row("none", "e", False, 0.3),
    ]
    write(rows, tmp_path / "truth.md", quick=True)
    page = (tmp_path / "truth.md").read_text()
    assert "| swap | MNIST | fixed | 2 / 2 | 0.75" in page
    assert "1 networks have not learnt" in page
    assert "| swap | 2 | 0.50" in page
    assert "0.30 |" in page
    assert "quick size" in page
