"""Evidence in regions, and objects before backgrounds of other images: planted networks."""

import shutil
from dataclasses import replace
from datetime import date

import measured
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from audits import parse_config
from audits.checks._evidence.regions import _backgrounds, _givers
from audits.checks.context import AuditContext
from audits.checks.evidence import EvidenceMaps
from audits.config.policy import Condition, Policy
from audits.data.sources import Folder, load
from audits.errors import AuditError, NotApplicable
from audits.evidence.declaration import differences, faults_in
from audits.verdict.decide import decide
from fillblanks import Classifier, Plan

SIDE = 16
TODAY = date(2026, 1, 1)


class Reads(nn.Module):
    """Left or right, by the brighter half of some rows."""

    def __init__(self, rows):
        super().__init__()
        weight = torch.zeros(2, SIDE, SIDE)
        weight[0, rows, :8] = weight[1, rows, 8:] = 1
        self.weight = nn.Parameter(12 * (weight / weight[0].sum()).flatten(1))

    def forward(self, x):
        return x[:, 0].flatten(1) @ self.weight.T


OBJECT, BACKGROUND = slice(8, 16), slice(0, 8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Images of two classes that can be told by their lower half, the region, and by the upper."""
    place, drawn = tmp_path_factory.mktemp("regions"), np.random.default_rng(0)
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[OBJECT] = 255
    for label, name in enumerate(("left", "right")):
        for kind in ("images", "masks"):
            (place / kind / name).mkdir(parents=True)
        for number in range(20):
            image = drawn.integers(0, 60, (SIDE, SIDE)).astype(np.uint8)
            image[:, 8 * label : 8 * label + 8] += 160
            Image.fromarray(image).save(place / "images" / name / f"{number}.png")
            Image.fromarray(mask).save(place / "masks" / name / f"{number}.png")
    return place


def _audit(folder, rows):
    data = load(Folder(path=str(folder / "images")))
    return AuditContext(data, 0, Plan(chunk=64), Classifier(Reads(rows).eval(), constant=True))


def _check(folder):
    given = EvidenceMaps(patch_size=4, draws=512, regions=str(folder / "masks"))
    return given.settled((1, SIDE, SIDE))


@pytest.mark.slow
def test_a_network_that_reads_the_region_has_its_evidence_there(folder):
    check, audit = _check(folder), _audit(folder, OBJECT)
    evidence = measured.evidence_of(check, audit)
    inside = evidence.metrics["inside_share"]
    assert inside.estimate.value > 0.9
    assert inside.null.estimate.value == 0.5
    assert inside.lift.low > 0
    assert evidence.metrics["pointing"].estimate.value == 1
    assert evidence.metrics["other_background_accuracy"].estimate.value == 1
    assert evidence.metrics["background_named"].estimate.value == 0
    assert evidence.metrics["background_reliance"].estimate.value == 0
    declared = check.declared_metrics(reference=False)
    assert differences(declared, evidence.metrics) == []
    assert faults_in(declared) == []
    assert evidence.metrics["same_background_accuracy"].lift.low > 0
    assert "lies in the regions, which cover 50% of the images" in evidence.sentence
    assert (
        "Of 40 regions 40 were put before other backgrounds: 100% are named right"
        in evidence.sentence
    )
    assert evidence.passes == 40 * 2 + measured.evidence_of(_plain(), audit).passes


def _plain():
    return EvidenceMaps(patch_size=4, draws=512)


def test_a_network_that_reads_the_background_relies_on_it(folder):
    evidence = measured.evidence_of(_check(folder), _audit(folder, BACKGROUND))
    inside = evidence.metrics["inside_share"]
    assert inside.estimate.value < 0.1
    assert inside.lift.high < 0
    assert evidence.metrics["pointing"].estimate.value == 0
    assert evidence.metrics["other_background_accuracy"].estimate.value == 0
    assert evidence.metrics["background_named"].estimate.value == 1
    assert evidence.metrics["background_reliance"].estimate.value == 1


_BACKGROUNDS = (
    *("same_background_accuracy", "other_background_accuracy"),
    *("background_named", "background_reliance"),
)


@pytest.mark.parametrize("white", [SIDE, 0, 15], ids=["all", "none", "all but a line"])
def test_regions_without_object_or_background_have_no_figure_of_backgrounds(
    folder, tmp_path, white
):
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[:white] = 255
    for file in (folder / "masks").glob("*/*"):
        place = tmp_path / file.relative_to(folder / "masks")
        place.parent.mkdir(exist_ok=True)
        Image.fromarray(mask).save(place)
    check = _plain().model_copy(update={"regions": str(tmp_path)}).settled((1, SIDE, SIDE))
    evidence = measured.evidence_of(check, _audit(folder, BACKGROUND))
    for name in _BACKGROUNDS:
        assert evidence.metrics[name].estimate.n == 0
        assert np.isnan(evidence.metrics[name].estimate.value)
        policy = Policy(conditions=(Condition(metric=f"evidence/{name}", max=1.0),))
        assert decide(policy, [evidence], TODAY).word == "undecided"
    assert "Backgrounds were not judged: less than 50%" in evidence.sentence
    assert "nan" not in evidence.sentence


def test_images_whose_giver_has_no_background_are_not_counted(folder, tmp_path):
    shutil.copytree(folder / "masks", tmp_path / "masks")
    for number in range(20):  # those of "right" cover all
        whole = Image.fromarray(np.full((SIDE, SIDE), 255, np.uint8))
        whole.save(tmp_path / "masks" / "right" / f"{number}.png")
    evidence = measured.evidence_of(_check(tmp_path), _audit(folder, BACKGROUND))
    assert {evidence.metrics[name].estimate.n for name in _BACKGROUNDS} == {0}


class Always(nn.Module):
    """The same answer to every image."""

    def forward(self, x):
        return torch.tensor([[2.0, 0.0]]).repeat(len(x), 1) + 0 * x.sum((1, 2, 3))[:, None]


def test_the_same_answer_to_every_image_tells_nothing_of_backgrounds(folder):
    data = load(Folder(path=str(folder / "images")))
    net = Classifier(Always().eval(), constant=True)
    evidence = measured.evidence_of(_check(folder), AuditContext(data, 0, Plan(chunk=64), net))
    assert evidence.metrics["background_reliance"].estimate.value == 0
    condition = Condition(metric="evidence/background_reliance", max=0.5)
    assert decide(Policy(conditions=(condition,)), [evidence], TODAY).word == "undecided"


def test_the_other_figures_are_those_without_regions(folder):
    audit = _audit(folder, OBJECT)
    found = measured.evidence_of(_check(folder), audit).metrics
    for name, metric in measured.evidence_of(_plain(), audit).metrics.items():
        assert found[name] == metric


def test_backgrounds_are_of_another_class_or_of_another_image_of_the_class(folder):
    audit = _audit(folder, OBJECT)
    labels, every = audit.images.labels, np.arange(40)
    other, same = (_givers(audit, every, every, draw) for draw in (-12, -13))
    assert (labels[other] != labels).all()
    assert (labels[same] == labels).all()
    assert (same != every).all()
    assert len(set(other.tolist())) > 10
    assert _givers(audit, np.array([3]), np.array([3, 30]), -13).tolist() == [3]
    with pytest.raises(NotApplicable, match="two classes"):
        _givers(audit, np.array([3]), np.arange(20), -12)


def test_the_region_of_a_background_has_the_mean_colour_of_the_rest():
    images = torch.rand(3, 3, 4, 4)
    inside = torch.zeros(3, 1, 4, 4, dtype=torch.bool)
    inside[0, :, :2], inside[1] = True, True
    found = _backgrounds(images, inside)
    assert torch.equal(found[0][:, 2:], images[0][:, 2:])
    torch.testing.assert_close(found[0][:, 0, 0], images[0][:, 2:].mean((1, 2)))
    torch.testing.assert_close(found[1][:, 3, 3], images[1].mean((1, 2)))
    assert torch.equal(found[2], images[2])


def test_units_change_with_the_masks_and_masks_that_change_end_the_check(folder, tmp_path):
    check, audit = _check(folder), _audit(folder, OBJECT)
    (unit,) = check.units(audit)
    cell = dict(unit.cell)
    stale = replace(
        unit, cell=(*(pair for pair in unit.cell if pair[0] != "regions"), ("regions", "0"))
    )
    with pytest.raises(AuditError, match="stay as they were"):
        check.measure(audit, stale)
    assert len(cell["regions"]) == len(cell["images"]) == 16
    assert check.outside(audit.images)["regions_sha256"].startswith(cell["regions"])
    assert _plain().outside(audit.images) == {}
    moved = tmp_path / "moved"
    (folder / "masks").rename(moved)
    try:
        again = check.model_copy(update={"regions": str(moved)})
        assert again.units(audit) == [unit]
        assert again.unit_identity(unit) == check.unit_identity(unit)
    finally:
        moved.rename(folder / "masks")


def test_regions_may_be_columns_of_the_table_in_a_config():
    columns = ["left", "top", "right", "bottom"]
    config = {"model": "models:/m/1", "data": {"kind": "csv", "path": "data.csv"}}
    checks = [{"kind": "evidence", "regions": given} for given in (columns, "masks/")]
    first, second = (parse_config(config | {"checks": [one]}).checks[0].regions for one in checks)
    assert (first, second) == (tuple(columns), "masks/")
    with pytest.raises(AuditError, match="regions"):
        parse_config(config | {"checks": [{"kind": "evidence", "regions": columns[:3]}]})
