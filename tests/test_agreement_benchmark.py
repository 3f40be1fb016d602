"""The page of versions and people: every row is told, and the null stays that of all images."""

from pathlib import Path

import numpy as np
import pytest

_BENCHMARKS = str(Path(__file__).parents[1] / "benchmarks")


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    monkeypatch.syspath_prepend(_BENCHMARKS)


def test_some_images_keep_the_nulls_of_all():
    from agreement.measure import _only, _row

    from audits.checks._agreement.figures import compared

    drawn, label = np.random.default_rng(0), np.arange(20) % 2
    own = drawn.random((20, 16))
    part = {
        "index": np.arange(20),
        "label": label,
        "read": label,
        "reads": label[:, None],
        "map": own,
        "again": own,
        "maps": (own + 0.1 * drawn.random((20, 16)))[:, None],
    }
    whole = compared([part])
    some = _only(whole, label == 1)
    assert some.own.shape == (10,)
    assert np.array_equal(some.with_others, whole.with_others[label == 1])
    row = _row("CIFAR10", "a network", some)
    assert row["n"] == 10
    assert row["nulls"] == pytest.approx([whole.with_others[label == 1].mean()])


def test_the_page_tells_every_row(tmp_path):
    from agreement import page

    row = {
        **{"dataset": "CIFAR10", "n": 100, "accuracy": 0.5, "own": 1.0, "reco": None},
        **{"correlation": [0.5, 0.4, 0.6], "lift": [0.3, 0.2, 0.4], "nulls": [0.1, -0.001]},
        **{"mege": [0.6, 0.5, 0.7], "reco_by_chance": None, "differing": 3},
    }
    marked = {**row, "name": "marked", "images_of": "other classes", "turned": 0.87}
    people = {"name": "clean", "images_of": "other classes", "n": 100}
    for name in ("spearman", "dice", "iou"):
        people |= {name: [0.5, 0.25], f"{name}_lift": [0.25, 0.2, 0.3]}
    found = {"versions": [{**row, "name": "occlusion"}], "marked": [marked], "people": [people]}
    file = tmp_path / "page.md"
    page.write(found, file, quick=True)
    text = file.read_text()
    told = (
        "| CIFAR10 | occlusion | 0.50 (0.40 to 0.60) | 0.10 / 0.00 | 0.30 (0.20 to 0.40) | 1.00 |"
    )
    assert told in text
    assert "| CIFAR10 | marked | other classes | 100 | 0.50 |" in text
    assert "| clean | other classes | 100 | 0.50 / 0.25 | 0.25 (0.20 to 0.30) |" in text
    assert "its figures mean little" in text
