"""sufficient_patches on networks that need one known patch, none, or have no gradient."""

import io
from dataclasses import replace

import measured
import numpy as np
import pandas as pd
import pytest
import torch
from bright import PATCH, Bright
from fixed_net import fixed_classifier
from PIL import Image
from torch import nn

from audits.checks._sufficient_patches.figures import classes_table
from audits.checks._sufficient_patches.learned import parted, training_passes
from audits.checks._sufficient_patches.trial import RANDOM
from audits.checks.context import AuditContext
from audits.checks.sufficient_patches import SufficientPatches
from audits.data.built import of_arrays
from audits.data.sources import Digits, Folder, load
from audits.errors import AuditError, NotApplicable
from audits.evidence.declaration import differences, faults_in
from fillblanks import Classifier, Plan

SIDE, AT = 32, 27
ROW, COLUMN = AT // 8 * PATCH, AT % 8 * PATCH
CHECK = SufficientPatches(blank_value=0.0, steps=30).settled((1, SIDE, SIDE))


class Marked(nn.Module):
    """The second of two classes, if one patch of 64 is bright."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(40.0, dtype=torch.float64))

    def forward(self, x):
        odds = self.scale * x[:, 0, ROW : ROW + PATCH, COLUMN : COLUMN + PATCH].mean((1, 2)) - 16
        return torch.stack([torch.zeros_like(odds), odds], 1)


class WithoutGradient(nn.Module):
    """The same answers, by numpy."""

    def __init__(self):
        super().__init__()
        self.net = Marked()

    def forward(self, x):
        with torch.no_grad():
            return torch.from_numpy(self.net(x).numpy().copy())


def _data():
    """Images of noise, of which the second half has the mark."""
    images = np.random.default_rng(0).integers(0, 60, (40, SIDE, SIDE)).astype(np.uint8)
    labels = np.repeat([0, 1], 20)
    images[20:, ROW : ROW + PATCH, COLUMN : COLUMN + PATCH] = 255
    return of_arrays("marked", images, labels, ("plain", "marked"))


def _audit(net=None, seed=0, chunk=64, data=None, **normalised):
    model = Classifier((net or Marked()).eval(), constant=True, **normalised)
    return AuditContext(data or _data(), seed, Plan(chunk=chunk), model)


@pytest.fixture(scope="module")
def found():
    return measured.evidence_of(CHECK, _audit())


def _of(evidence, name):
    return evidence.metrics[name].estimate


def test_one_decisive_patch_of_64_is_found_and_images_of_the_blanks_class_are_left_out(found):
    share, chance = _of(found, "share"), _of(found, "random_share")
    assert (share.value, share.n) == (1 / 64, 20)
    # The better of two random orders meets one patch of 64 at the place 65 / 3 on average.
    assert chance.value == pytest.approx(65 / 3 / 64, abs=0.1)
    assert _of(found, "gain").value == pytest.approx(chance.value - share.value)
    assert _of(found, "gain").low > 0
    assert found.metrics["gain"].lift == _of(found, "gain")
    assert _of(found, "still_named").value == 0
    assert (_of(found, "coverage").value, _of(found, "coverage").n) == (0.5, 40)
    assert "'plain' for the model, so 20 of 40 images" in found.sentence
    assert "if it sees 2% of the patches" in found.sentence
    declared = CHECK.declared_metrics(reference=False)
    assert differences(declared, found.metrics) == []
    assert faults_in(declared) == []
    assert all(metric.bounds is None for metric in found.metrics.values())
    (row,) = found.tables["classes"].to_dict(orient="records")
    assert (row["class"], row["images"], row["same_patch"]) == ("marked", 20, 1)
    left_out = found.images[found.images["label"] == 0]
    assert not left_out["counts"].any()
    assert (left_out["share"] == 0).all()


def test_pictures_show_the_patch_and_the_image_without_it(found):
    plain, marked = ([p for p in found.pictures if p.seen.label == label] for label in (0, 1))
    assert tuple(p.caption for p in marked) == CHECK.captions()
    assert [p.seen.shows for p in marked] == ["looked_at", "enough", "rest"]
    assert [p.seen.read_as for p in marked] == [1, 1, 0]
    image, enough, rest = (p.image.astype(int) for p in marked)
    window = (slice(ROW, ROW + PATCH), slice(COLUMN, COLUMN + PATCH))
    assert (enough[window] == 255).all()
    assert enough.sum() == enough[window].sum()
    assert (rest[window] == 0).all()
    assert ((enough + rest) == image).all()
    assert [bool(p.seen.missing) for p in plain] == [False, True, True]


def test_a_model_without_gradient_is_searched_by_occlusion():
    black_box = measured.evidence_of(CHECK, _audit(WithoutGradient()))
    assert _of(black_box, "share").value == 1 / 64
    by_hand = CHECK.model_copy(update={"order": "occlusion"})
    same = measured.evidence_of(by_hand, _audit())
    assert same.metrics == black_box.metrics
    gates = CHECK.model_copy(update={"order": "gates"})
    assert _of(measured.evidence_of(gates, _audit()), "share").value == 1 / 64
    with pytest.raises(NotApplicable, match=r"gates need, got one without. Take order: occlusion"):
        measured.evidence_of(gates, _audit(WithoutGradient()))


def test_a_single_order_has_the_mean_of_single_random_orders_as_null():
    check = CHECK.model_copy(update={"order": "occlusion"})
    audit = _audit()
    (unit,) = check.units(audit)
    part = check.measure(audit, unit)
    evidence = check.conclude(audit, [part])
    assert part["random"].shape == (40, RANDOM)
    assert len(np.unique(part["random"][20:])) > 10
    assert _of(evidence, "random_share").value == pytest.approx(part["random"][20:].mean() / 64)
    part["orders"] = np.array(2)
    pairs = np.minimum(part["random"][20:, ::2], part["random"][20:, 1::2])
    assert _of(check.conclude(audit, [part]), "random_share").value == pairs.mean() / 64


def test_chunks_change_nothing_and_seeds_change_the_random_orders(found):
    assert measured.evidence_of(CHECK, _audit(chunk=5)).metrics == found.metrics
    again = measured.evidence_of(CHECK, _audit(seed=1))
    assert _of(again, "share") == _of(found, "share")
    assert _of(again, "random_share") != _of(found, "random_share")


def test_passes_lie_between_those_that_are_told_before(found):
    units = CHECK.units(_audit())
    least, most = (sum(map(of, units)) for of in (CHECK.unit_passes, CHECK.most_unit_passes))
    assert least < found.passes <= most
    assert CHECK.passes(40) <= CHECK.most_passes(40)


class Always(nn.Module):
    def forward(self, x):
        return x.flatten(1)[:, :1] * 0 + torch.tensor([5.0, 0.0], dtype=x.dtype)


def test_a_network_that_answers_as_for_a_blank_image_is_not_applicable():
    with pytest.raises(NotApplicable, match="wholly blank, got none: no patch is needed"):
        measured.evidence_of(CHECK, _audit(Always()))


class Mute(nn.Module):
    """No answer at all to images without the mark."""

    def forward(self, x):
        logits = Marked()(x)
        return logits.where(logits[:, 1:] > 0, torch.nan)


class NoAnswer(Marked):
    def forward(self, x):
        return super().forward(x) + torch.nan


def test_a_model_without_any_answer_is_told_so():
    with pytest.raises(NotApplicable, match="has an answer, got none of 40: it gives NaN"):
        measured.evidence_of(CHECK, _audit(NoAnswer()))


def test_the_patch_that_a_class_keeps_stands_beside_how_often_others_keep_it():
    # All images keep the first patch; the fourth is kept by one class, and by one image of others.
    kept = np.zeros((10, 6), int)
    kept[:, 0] = kept[:5, 3] = kept[9, 3] = 1
    table = pd.DataFrame(
        {
            "read": np.repeat([0, 1], 5),
            "rest": -1,
            "counts": True,
            **dict.fromkeys(("share", "random_share", "centre_share"), 0.5),
        }
    )
    found = classes_table([{"kept": kept}], table, ("a", "b")).set_index("class")
    assert found.loc["a", ["same_patch", "same_patch_others"]].tolist() == [1, 0.2]
    assert found.loc["b", ["same_patch", "same_patch_others"]].tolist() == [1, 1]


def test_images_without_answer_are_left_out():
    evidence = measured.evidence_of(CHECK, _audit(Mute()))
    assert _of(evidence, "coverage").value == 0.5
    assert (evidence.images["read"][evidence.images["label"] == 0] == -1).all()
    assert "blank image has no class; 20 of 40 images have none either" in evidence.sentence


def test_patches_that_are_no_fewer_than_at_random_are_told_and_not_judged():
    check = SufficientPatches(images=40, order="gates", steps=1, blank_value=0.0)
    digits = load(Digits())
    audit = AuditContext(digits, 0, Plan(chunk=64), fixed_classifier())
    evidence = measured.evidence_of(check.settled(audit.shape), audit)
    assert not _of(evidence, "gain").low > 0
    assert "nothing of them is judged" in evidence.sentence
    assert evidence.metric_behind("share") == "gain"


class Reads(nn.Module):
    """Right instead of left, if the right half of some rows is brighter than the left one."""

    def __init__(self, rows):
        super().__init__()
        weight = torch.zeros(16, 16)
        weight[rows, :8], weight[rows, 8:] = -1, 1
        self.weight = nn.Parameter(12 * weight / weight[rows, 8:].numel())

    def forward(self, x):
        odds = (x[:, 0] * self.weight).sum((1, 2)) - 1
        return torch.stack([torch.zeros_like(odds), odds], 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Images of two classes that can be told by their lower half, the region, and by the upper."""
    place, drawn = tmp_path_factory.mktemp("regions"), np.random.default_rng(0)
    mask = np.zeros((16, 16), np.uint8)
    mask[8:] = 255
    for label, name in enumerate(("left", "right")):
        for kind in ("images", "masks"):
            (place / kind / name).mkdir(parents=True)
        for number in range(12):
            image = drawn.integers(0, 60, (16, 16)).astype(np.uint8)
            image[:, 8 * label : 8 * label + 8] += 160
            Image.fromarray(image).save(place / "images" / name / f"{number}.png")
            Image.fromarray(mask).save(place / "masks" / name / f"{number}.png")
    return place


@pytest.mark.parametrize(("rows", "inside"), [(slice(8, 16), 1), (slice(0, 8), 0)])
def test_patches_lie_in_the_region_that_the_network_reads(folder, rows, inside):
    check = SufficientPatches(order="occlusion", patch_size=4, regions=str(folder / "masks"))
    data = load(Folder(path=str(folder / "images")))
    audit = _audit(Reads(rows), data=data)
    evidence = measured.evidence_of(check, audit)
    found = evidence.metrics["share_inside"]
    assert found.estimate.value == inside
    assert found.null.estimate.value == 0.5
    assert found.lift.low > 0 if inside else found.lift.high < 0
    assert f"{inside:.0%} of these patches lie in the regions, which cover 50%" in evidence.sentence
    declared = check.declared_metrics(reference=False)
    assert differences(declared, evidence.metrics) == []
    assert faults_in(declared) == []
    without = check.model_copy(update={"regions": None})
    unit, plain = check.units(audit)[0], without.units(audit)[0]
    assert unit == plain
    assert check.unit_identity(unit) == without.unit_identity(plain)
    assert check.outside(data).keys() == {"regions_sha256"}
    assert without.outside(data) == {}


def test_the_blank_is_the_mean_of_the_normalisation_or_a_number():
    mean = SufficientPatches(order="occlusion").settled((1, SIDE, SIDE))
    evidence = measured.evidence_of(mean, _audit(mean=0.2, std=1.0))
    (patch,) = (p for p in evidence.pictures if p.seen.shows == "enough" and p.seen.label == 1)
    assert np.unique(patch.image).tolist() == [51, 255]
    with pytest.raises(NotApplicable, match=r"mean in \[0, 1\] as colour of blanks, got \[1.5\]"):
        measured.evidence_of(mean, _audit(mean=1.5, std=1.0))


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"order": "rollout"}, "'best', 'gates', 'occlusion' or 'learned'"),
        ({"training_images": 200}, "expected training_images for learned, got best"),
        ({"order": "learned", "training_images": 50}, "greater than or equal to 100"),
        ({"divergence": 0.0}, "greater than 0"),
        ({"steps": 0}, "greater than or equal to 1"),
        ({"patch_size": 0}, "greater than 0"),
        ({"regions": ""}, "expected a path or URI"),
    ],
)
def test_odd_fields_are_refused(fields, told):
    with pytest.raises(ValueError, match=told):
        SufficientPatches(**fields)


def test_patches_fit_into_images_of_any_size():
    told = SufficientPatches(patch_size=32).impossible((1, SIDE, SIDE))
    assert told.startswith("sufficient_patches: Expected a patch_size that divides an image of 32x")
    for side, size in ((1, 1), (8, 1), (28, 4), (32, 4), (224, 28)):
        check = SufficientPatches().settled((3, side, side))
        assert check.patch_size == size
        assert bool(check.impossible((3, side, side))) == (side == 1)
    audit = replace(_audit(), model=None)
    assert sum(len(unit.indices) for unit in CHECK.units(audit)) == 40


def _bright(count=260):
    """Images of dark noise, of which every second one has a bright patch at a random place."""
    drawn = np.random.default_rng(0)
    images = drawn.integers(0, 100, (count, SIDE, SIDE)).astype(np.uint8)
    for image in images[1::2]:
        row, column = PATCH * drawn.integers(0, SIDE // PATCH, 2)
        image[row : row + PATCH, column : column + PATCH] = 255
    return of_arrays("bright", images, np.arange(count) % 2, ("dark", "bright"))


LEARNED = SufficientPatches(
    order="learned", images=60, training_images=200, steps=150, blank_value=0.0
).settled((1, SIDE, SIDE))


@pytest.fixture(scope="module")
def learned():
    audit = _audit(Bright(), data=_bright())
    return audit, measured.evidence_of(LEARNED, audit)


@pytest.mark.slow
def test_learned_gates_put_the_decisive_patch_first_in_images_that_are_judged(learned):
    _, found = learned
    assert (_of(found, "share").value, _of(found, "share").n) == (1 / 64, 30)
    assert _of(found, "gain").low > 0.3
    assert (found.images["order"] == 2).all()
    assert {picture.seen.label for picture in found.pictures} == {0, 1}


@pytest.mark.slow
def test_a_pt2_has_the_learned_gates_of_its_module(learned):
    audit, found = learned
    given = (torch.zeros(2, 1, SIDE, SIDE),)
    program = torch.export.export(Bright(), given, dynamic_shapes=({0: torch.export.Dim("n")},))
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    exported = Classifier(torch.export.load(file).module(), constant=True)
    again = measured.evidence_of(LEARNED, replace(audit, model=exported))
    assert again.metrics == found.metrics


def test_images_that_train_gates_are_not_judged(learned):
    audit, found = learned
    units = LEARNED.units(audit)
    judged = [index for unit in units for index in unit.indices]
    assert sorted(found.images.index) == judged == LEARNED.chosen(audit).tolist()
    for images, training in ((60, 200), (None, 200), (None, 100), (200, 100), (None, 5000)):
        own = parted(audit, images, training)
        assert set(own.judged).isdisjoint(own.training)
        assert len(own.judged) == (images or 260 - min(training, 130))
        assert len(own.training) == min(training, 260 - len(own.judged))
    # Units name the images that train gates: others are other parts.
    fewer = LEARNED.model_copy(update={"training_images": 100})
    assert fewer.units(audit)[0].indices == units[0].indices
    assert fewer.units(audit)[0].content != units[0].content


def test_training_is_told_once_and_gates_are_the_same_in_any_unit(learned, monkeypatch):
    audit, found = learned
    monkeypatch.setattr("audits.checks.sufficient_patches._UNIT_IMAGES", 25)
    units = LEARNED.units(audit)
    assert [len(unit.indices) for unit in units] == [25, 25, 10]
    least, most = (sum(map(of, units)) for of in (LEARNED.unit_passes, LEARNED.most_unit_passes))
    again = measured.evidence_of(LEARNED, audit, units)
    assert again.metrics == found.metrics
    assert least < again.passes <= most
    trained = training_passes(150)
    assert LEARNED.unit_passes(units[0]) - LEARNED.unit_passes(units[1]) == trained
    assert LEARNED.passes(60) > trained


def test_learned_gates_are_refused_in_one_line():
    few = _audit(Bright(), data=_bright(150))
    with pytest.raises(NotApplicable, match="Expected 100 images or more that train gates and are"):
        measured.evidence_of(LEARNED, few)
    unit = LEARNED.units(few)[0]
    with pytest.raises(AuditError, match="to stay as it was when the audit began"):
        LEARNED.measure(_audit(Bright(), data=_bright()), unit)
    with pytest.raises(NotApplicable, match=r"gates need, got one without. Take order: occlusion"):
        measured.evidence_of(LEARNED, _audit(WithoutGradient(), data=_bright()))
    with pytest.raises(NotApplicable, match=r"cannot be cut, which order: learned needs. Take"):
        measured.evidence_of(LEARNED, _audit(data=_bright()))


def test_fields_of_learned_gates_change_nothing_of_other_orders():
    check = SufficientPatches().settled((1, SIDE, SIDE))
    assert (check.steps, check.training_images) == (100, None)
    audit = _audit()
    (unit,) = check.units(audit)
    assert set(dict(unit.cell)) == {"passes", "most_passes"}
    assert "training_images" not in check.unit_identity(unit)
    learned = SufficientPatches(order="learned").settled((1, SIDE, SIDE))
    assert (learned.steps, learned.training_images) == (1000, 500)
    assert learned.settled((1, SIDE, SIDE)) == learned
