"""The benchmark of maps: quarters of a mosaic are where they are said to be, and all is told."""

from pathlib import Path

import pytest
import torch

from audits.evidence.estimate import Estimate

_BENCHMARKS = str(Path(__file__).parents[1] / "benchmarks")


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    monkeypatch.syspath_prepend(_BENCHMARKS)


def test_a_map_of_the_own_photograph_lies_in_its_quarter():
    from evidence.contenders import Contender
    from evidence.mosaic import SIDE, _figures

    labels = torch.arange(8)
    photos = (labels + 1).view(8, 1, 1, 1).expand(8, 3, SIDE // 2, SIDE // 2) / 10

    def own(network, images, classes):
        brightness = (classes + 1).view(-1, 1, 1) / 10
        return ((images[:, 0] - brightness).abs() < 1e-6).float()

    assert (_figures(Contender("own", 0, own), None, photos, labels) == 1).all()
    flat = Contender("flat", 0, lambda network, images, classes: torch.ones(4, SIDE, SIDE))
    assert (_figures(flat, None, photos, labels) == 0.25).all()


def test_sanity_is_that_of_images_with_two_maps():
    from evidence.small import _sanity

    maps = torch.rand(30, 16)
    others = maps.clone()
    others[:10] = 0
    found = _sanity(maps, others)
    assert (found.value, found.n) == (pytest.approx(1), 20)
    assert _sanity(maps, torch.zeros(30, 16)).n == 0


def test_the_page_has_a_line_for_each_method(tmp_path):
    from evidence import mosaic, page, small

    from audits.checks._evidence.trial import figure_names

    told = Estimate(0.1234, 0.05, 0.2, 7)
    figures = dict.fromkeys(("faithfulness", *figure_names()), told)
    rows = [
        small.Row("random map", 0, False, figures, None, None),
        small.Row("pami", 1040, False, figures, told, told),
    ]
    photos = [mosaic.Row("by slope", 50, True, told, told)]
    page.write(rows, photos, tmp_path / "evidence.md", accuracy=0.6, quick=True)
    text = (tmp_path / "evidence.md").read_text()
    cell = "0.12 (0.05 to 0.20)"
    assert f"| random map | - | {cell} | - | - |" in text
    assert text.count(f"| pami | 1,040 | {cell} | {cell} | {cell} |") == 3
    assert f"| by slope | 50 with gradient | {cell} | {cell} |" in text
    assert "quick size" in text
