"""The benchmark of planted marks for checks of patches: its scores, its plan, and its page."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

_ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    monkeypatch.syspath_prepend(str(_ROOT / "benchmarks"))


def test_seeds_are_of_no_other_plan():
    from truth import plan as other
    from truth_patches import plan

    fresh, tuning = plan.standard(), plan.tuning()
    known = {one.seed for one in (*other.standard(real=True), *other.tuning(real=True))}
    assert len({one.seed for one in fresh}) == len(fresh)
    assert all(one.is_fresh for one in fresh)
    assert not any(one.is_fresh for one in tuning)
    assert known.isdisjoint(one.seed for one in fresh)


def test_the_class_with_the_fewest_patches_is_compared_with_the_median_class():
    from truth_patches.scores import smallest_share

    table = pd.DataFrame(
        {"class": ["3", "0", "2", "1"], "share": [0.0, 0.1, 0.4, 0.6], "images": [4, 9, 9, 9]}
    )
    assert smallest_share(table) == (pytest.approx(0.3), 0)  # class 3 has too few images
    assert np.isnan(smallest_share(table[table["images"] < 5]).value)


def test_a_patch_that_one_class_keeps_stands_out_and_a_patch_of_all_classes_does_not():
    from truth_patches.scores import most_same_patch

    read = np.repeat([0, 1, 2], 6)
    kept = np.zeros((18, 4), bool)
    kept[:, 0] = True
    assert most_same_patch(read, kept).value == 0
    kept[read == 2, 3] = True
    assert most_same_patch(read, kept) == (1.0, 2)


def test_cases_that_are_turned_into_a_class_are_counted_over_images_of_other_classes():
    from truth_patches.scores import turned_into

    read = np.array([0] * 5 + [1] * 5 + [2] * 5 + [-1])
    worst = np.repeat(read[:, None], 2, 1)
    assert turned_into(read, worst, 3).value == 0
    worst[:5, 0] = 2  # half of the cases of class 0: a quarter of those that are not of class 2
    worst[-1] = 2  # an image without an answer is no case
    assert turned_into(read, worst, 3) == (pytest.approx(0.25), 2)


def test_the_class_whose_maps_agree_least_stands_out():
    from truth_patches.scores import least_lift

    labels = np.repeat([0, 1, 2], 5)
    assert least_lift(np.repeat([0.5, -0.25, 0.25], 5), labels) == (pytest.approx(0.5), 1)


def _records():
    for i in range(6):
        is_clean = i < 3
        row = {
            **{"check": "blank_proof, not proven", "score": 0.1 * i, "accused": None},
            **{"class_right": None, "seconds": 2.0, "detail": f"proven {1 - 0.1 * i:.3f}"},
        }
        yield {
            **{"name": f"net-{i}", "digest": str(i), "checks": "x", "dataset": "MNIST"},
            **{"network": "Chain", "kind": "none" if is_clean else "trigger", "seed": i},
            **{"accuracy": 0.9, "turned": None if is_clean else 0.8},
            "learnt": None if is_clean else True,
            "rows": [row],
        }


def test_the_page_tells_what_the_table_has(tmp_path):
    from truth_patches import page, table

    lost = {**list(_records())[-1], "name": "net-9", "turned": 0.1, "learnt": False, "rows": []}
    table.write([*_records(), lost], tmp_path / "table.csv")
    page.write(table.read(tmp_path / "table.csv"), tmp_path / "page.md")
    text = (tmp_path / "page.md").read_text()
    assert "7 networks were trained: 3 without a mark and 4 with, of which 3 have" in text
    assert "| blank_proof, not proven | trigger | 3 / 3 | 1.00 (0.44-1.00) | - | - |" in text
    assert "| trigger | 3 of 4 |" in text
    told = "| blank_proof/proven | MNIST | 0.90 (0.80 to 1.00; 3) | 0.60 (0.50 to 0.70; 3) |"
    assert told in text
