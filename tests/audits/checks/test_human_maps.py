"""A model that looks where people look has a lift, a centred map has none."""

import measured
import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import f1_score, jaccard_score
from torch import nn

from audits.checks.context import AuditContext
from audits.checks.human_maps import HumanMapsCheck
from audits.checks.registered import check_classes
from audits.data.sources import Folder, load
from audits.errors import AuditError, NotApplicable
from audits.evidence.declaration import differences, faults_in
from audits.evidence.pairing import with_drops
from fillblanks import Classifier, Plan

SIDE, COUNT = 16, 64


class Brightest(nn.Module):
    """Class 0, bright, if one of the windows of the image is bright; with `sign` -1, class 1."""

    def __init__(self, sign=1.0):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([40.0 * sign, 0.0]))

    def forward(self, x):
        means = nn.functional.avg_pool2d(x[:, 0], 4)
        return means.flatten(1).amax(1, keepdim=True).sub(0.5) * self.weight


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Images with a bright window that moves; people look there, and a little at the centre."""
    place, drawn = tmp_path_factory.mktemp("people"), np.random.default_rng(0)
    y, x = np.mgrid[:SIDE, :SIDE]
    centre = np.exp(-((y - 7.5) ** 2 + (x - 7.5) ** 2) / 30)
    for i in range(COUNT):
        row, column = drawn.integers(0, 4, 2) * 4
        image = drawn.integers(0, 40, (SIDE, SIDE))
        image[row : row + 4, column : column + 4] = 230
        people = 60 * centre
        people[row : row + 4, column : column + 4] += 150
        name = f"{('dim', 'bright')[i % 8 > 0]}/{i}.png"
        for kind, array in (("images", image), ("maps", people)):
            (place / kind / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(array.astype(np.uint8)).save(place / kind / name)
    return place


def _audit(folder, net):
    data = load(Folder(path=str(folder / "images")))
    return AuditContext(data, 0, Plan(chunk=256), Classifier(net.eval(), constant=True))


def _check(folder, **values):
    given = {"patch_size": 4, "draws": 128, **values}
    return HumanMapsCheck(maps=str(folder / "maps"), **given).settled((1, SIDE, SIDE))


@pytest.fixture(scope="module")
def found(folder):
    return measured.evidence_of(_check(folder), _audit(folder, Brightest()))


def test_a_model_that_looks_where_people_look_is_above_other_images(folder, found):
    for name in ("spearman", "dice", "iou"):
        metric = found.metrics[name]
        assert metric.estimate.n == COUNT
        assert metric.lift.value == pytest.approx(
            metric.estimate.value - metric.null.estimate.value
        )
    assert found.metrics["iou"].lift.low > 0
    assert found.metrics["coverage"].estimate.value == 1
    declared = _check(folder).declared_metrics(reference=False)
    assert differences(declared, found.metrics) == []
    assert faults_in(declared) == []
    assert "where people look in the same image" in found.sentence
    assert found.passes == COUNT * 129


def test_figures_of_an_image_are_those_of_scikit_learn(folder, found):
    check, audit = _check(folder), _audit(folder, Brightest())
    (unit,) = check.units(audit)
    part = check.measure(audit, unit)
    row = 5
    index = int(part["index"][row])
    file = audit.images.files[index]
    people = np.asarray(Image.open(folder / "maps" / file.parent.name / file.name), dtype=float)
    people = people.reshape(4, 4, 4, 4).mean((1, 3)).ravel()
    sets = [one >= np.quantile(one, 0.9) for one in (part["map"][row], people)]
    assert found.images["dice"][index] == pytest.approx(f1_score(*sets))
    assert found.images["iou"][index] == pytest.approx(jaccard_score(*sets))


def test_a_map_that_is_always_of_the_centre_has_no_lift(found):
    table = found.tables["figures"].set_index("figure")
    centre = table.loc["spearman"]
    assert centre["centre"] > 0.3
    assert abs(centre["centre"] - centre["centre_other_images"]) < 0.1


def test_a_model_that_answers_always_alike_is_told_to_be_without_a_lift(folder):
    evidence = measured.evidence_of(_check(folder), _audit(folder, Brightest(sign=0.0)))
    assert evidence.metrics["spearman"].estimate.value == 0
    assert evidence.metrics["iou"].estimate.value == 0
    assert "It is not shown that the model looks where people do" in evidence.sentence


def test_maps_of_one_value_are_left_out_and_named(folder, tmp_path):
    audit, maps = _audit(folder, Brightest()), tmp_path / "maps"
    for file in (folder / "maps").rglob("*.png"):
        (maps / file.parent.name).mkdir(parents=True, exist_ok=True)
        (maps / file.parent.name / file.name).write_bytes(file.read_bytes())
    for name in ("dim/0.png", "bright/1.png"):
        Image.new("L", (SIDE, SIDE), 90).save(maps / name)
    check = _check(tmp_path)
    evidence = measured.evidence_of(check, audit)
    assert evidence.metrics["spearman"].estimate.n == COUNT - 2
    assert evidence.metrics["coverage"].estimate.value == pytest.approx(1 - 2 / COUNT)
    assert "2 maps by people are of one value and tell nothing" in evidence.sentence
    assert "bright/1.png" in evidence.sentence
    one = check.model_copy(update={"images": 1})
    with pytest.raises(NotApplicable, match="two images or more"):
        measured.evidence_of(one, audit)


def test_a_model_is_compared_with_a_baseline_image_by_image(folder, found):
    other = measured.evidence_of(_check(folder), _audit(folder, Brightest(sign=-1.0)))
    classes = ["bright", "dim"]
    drop = with_drops(found, other, classes, classes).metrics["spearman"].drop
    expected = other.metrics["spearman"].estimate.value - found.metrics["spearman"].estimate.value
    assert drop.value == pytest.approx(expected)


def test_pictures_show_the_model_and_the_people(folder, found):
    captions = _check(folder).captions()
    assert [picture.caption for picture in found.pictures] == [*captions] * 2
    people = found.pictures[2].image.astype(int)
    assert people.shape == (SIDE, SIDE, 3)
    assert (people[:, :, 0] - people[:, :, 2]).max() > 100


def test_parts_hang_on_the_model_alone_and_the_audit_on_the_maps(folder, tmp_path):
    check, audit = _check(folder), _audit(folder, Brightest())
    (unit,) = check.units(audit)
    assert "maps" not in check.unit_identity(unit)
    assert check.places == ()  # the process of the model reads no map
    assert len(check.outside(audit.images)["maps_sha256"]) == 64
    with pytest.raises(AuditError, match="Expected a folder of maps"):
        _check(tmp_path).units(audit)
    assert HumanMapsCheck in check_classes()
