"""Duplicates counts copies, labels that contradict each other, and images of the training set."""

import measured
import mlflow
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from simple_nets import logistic
from torch import nn

from audits import AuditError, parse_config, run_audit
from audits.checks._duplicates.figures import Found, Pairs, images_table, pairs_of
from audits.checks.context import AuditContext
from audits.checks.duplicates import Duplicates
from audits.data.built import of_arrays
from audits.data.sources import Digits, Folder, Npz, load
from audits.data.twins import Neighbours
from audits.evidence.declaration import differences
from audits.evidence.intervals import proportion
from audits.report.tables import in_words
from fillblanks import Classifier, Plan

CLASSES = ("cat", "dog", "<b>&emu")


def _noise(n, seed, side=12):
    """Different images, uint8 (n, 12, 12, 3)."""
    rng = np.random.default_rng(seed)
    coarse = torch.tensor(rng.random((n, 3, 5, 5)), dtype=torch.float32)
    large = nn.functional.interpolate(coarse, (side, side), mode="bilinear")
    return (large.permute(0, 2, 3, 1).numpy() * 255).round().astype(np.uint8)


# 60 different images; then copies of the first six, of which two are copies of one image.
DIFFERENT = _noise(60, 0)
IMAGES = np.concatenate([DIFFERENT, DIFFERENT[[0, 1, 2, 3, 4, 4]]])
LABELS = np.arange(len(IMAGES)) % 3
LABELS[60:] = LABELS[[0, 1, 2, 3, 4, 4]]
LABELS[62] = (LABELS[2] + 1) % 3  # this label contradicts that of image 2
LEAKED = (10, 11, 62)


class Brightness(nn.Module):
    """Answers by the mean of the first channel: right for some, wrong for others."""

    def forward(self, x):
        mean = x[:, 0].mean((1, 2)) * 7
        return -((mean[:, None] % 3 - torch.arange(3.0)) ** 2)


def _audit(images=IMAGES, labels=LABELS, chunk=16):
    data = of_arrays("images", images, labels, CLASSES)
    model = Classifier(Brightness().eval(), mean=0.0, std=1.0)
    return AuditContext(data, 0, Plan(chunk=chunk), model)


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    """A folder of 40 other images and of copies of the leaked ones."""
    folder = tmp_path_factory.mktemp("training")
    for name in CLASSES:
        (folder / name).mkdir()
    others = _noise(40, 1)
    for n, image in enumerate(others):
        Image.fromarray(image).save(folder / CLASSES[n % 3] / f"{n:03}.png")
    for n in LEAKED:
        label = CLASSES[LABELS[n]] if n != 11 else CLASSES[(LABELS[11] + 1) % 3]
        Image.fromarray(IMAGES[n]).save(folder / label / f"copy{n}.png")
    return folder


@pytest.fixture(scope="module")
def uri(shared_registry, register):
    return register(logistic(), "copied")[0]


@pytest.fixture(scope="module")
def found(training):
    check = Duplicates(training=Folder(path=str(training)))
    return check, measured.evidence_of(check, _audit())


def test_copies_and_labels_that_contradict_each_other_are_counted():
    evidence = measured.evidence_of(Duplicates(), _audit())
    table = evidence.images
    # 0, 1, 2, 3, 4 and the six copies of them.
    assert table.index[table["has_copy"]].tolist() == [0, 1, 2, 3, 4, *range(60, 66)]
    assert table.index[table["conflict"]].tolist() == [2, 62]
    assert table["group"].tolist() == [*range(60), 0, 1, 2, 3, 4, 4]
    estimates = {name: metric.estimate for name, metric in evidence.metrics.items()}
    assert estimates["copies"] == proportion(table["has_copy"].to_numpy())
    assert estimates["copies"].value == pytest.approx(11 / 66)
    assert estimates["label_conflicts"].value == pytest.approx(2 / 66)
    assert estimates["accuracy_distinct"].n == 60
    assert "leaked" not in estimates
    assert "11 of 66 images have a copy among the images, so 60 are distinct" in evidence.sentence
    assert "2 have a copy with another label." in evidence.sentence
    assert evidence.passes == 66


def test_different_images_have_no_copy():
    evidence = measured.evidence_of(Duplicates(), _audit(DIFFERENT, LABELS[:60]))
    assert evidence.metrics["copies"].estimate.value == 0
    assert evidence.tables["pairs"].empty
    assert evidence.pictures == ()
    assert evidence.sentence == "0 of 60 images have a copy among the images."
    right, distinct = (evidence.metrics[n].estimate for n in ("accuracy", "accuracy_distinct"))
    assert right == distinct


def test_images_of_the_training_set_are_leaked(found):
    check, evidence = found
    table = evidence.images
    # Image 62 is a copy of image 2, so both are in the training set.
    assert table.index[table["leaked_from"] >= 0].tolist() == [2, 10, 11, 62]
    training = load(check.training)
    for image in (10, 11, 62):
        taken = int(table.loc[image, "leaked_from"])
        assert training.files[taken].name == f"copy{image}.png"
    right = (table["predicted"] == table["label"]).to_numpy()
    leaked = (table["leaked_from"] >= 0).to_numpy()
    distinct = (table["group"].to_numpy() == table.index.to_numpy()) & ~leaked
    values = {name: metric.estimate for name, metric in evidence.metrics.items()}
    assert values["leaked"] == proportion(leaked)
    assert values["accuracy"] == proportion(right)
    assert values["accuracy_leaked"] == proportion(right[leaked])
    assert values["accuracy_distinct"] == proportion(right[distinct])
    assert values["accuracy_distinct"].n == 57
    assert 0 < values["accuracy"].value < 1
    assert "4 of 66 have a copy in the training set" in evidence.sentence
    assert differences(check.declared_metrics(reference=False), evidence.metrics) == []


def test_the_predictions_are_the_models(found):
    _, evidence = found
    audit = _audit()
    expected = audit.classifier.predict(audit.images.tensor(range(66)))
    assert evidence.images["predicted"].tolist() == expected.tolist()


def test_the_table_names_pairs_and_files_and_conflicts_come_first(found):
    _, evidence = found
    table = evidence.tables["pairs"]
    assert len(table) == 7 + 4  # image 4 and its two copies are three pairs
    # The copy of image 62 in the training set has its label, and thus not that of image 2.
    assert set(zip(table["image"][:3], table["where"][:3], strict=True)) == {
        (11, "the training set"),
        (2, "the training set"),
        (2, "the same data"),
    }
    leak = table[(table["image"] == 11) & (table["where"] == "the training set")].iloc[0]
    assert leak["class"] == CLASSES[LABELS[11]]
    assert leak["class_of_other"] == CLASSES[(LABELS[11] + 1) % 3]
    assert leak["file_of_other"].endswith("/copy11.png")
    assert "file" not in table  # arrays have none
    differ = (table["class"] != table["class_of_other"]).tolist()
    assert differ == sorted(differ, reverse=True)
    assert table["difference"].max() < 1e-4
    shown = in_words("pairs", table, Duplicates.column_words)
    assert [head.told for head in shown.heads][2] == "the other is in"


def test_one_picture_shows_pairs(found):
    _, evidence = found
    (picture,) = evidence.pictures
    assert not picture.small
    assert picture.image.dtype == np.uint8
    assert picture.image.shape[2] == 3
    assert len(np.unique(picture.image.reshape(-1, 3), axis=0)) > 500  # images, not blank


def test_other_training_images_measure_anew(training, tmp_path):
    check = Duplicates(training=Folder(path=str(training)))
    before = [unit.cell for unit in check.units(_audit())]
    assert before == [unit.cell for unit in check.units(_audit())]
    for name in CLASSES:
        (tmp_path / name).mkdir()
        for file in (training / name).iterdir():
            (tmp_path / name / file.name).write_bytes(file.read_bytes())
    same = Duplicates(training=Folder(path=str(tmp_path)))
    assert [unit.cell for unit in same.units(_audit())] == before
    next(iter((tmp_path / CLASSES[0]).iterdir())).unlink()
    assert [unit.cell for unit in same.units(_audit())] != before
    assert Duplicates().units(_audit())[0].cell == ()


def test_grey_images_are_compared_with_colour_ones(tmp_path):
    grey = np.repeat(IMAGES.mean(3, keepdims=True).astype(np.uint8), 3, axis=3)
    np.savez(tmp_path / "train.npz", x=grey[[5, 6]][..., 0], y=np.array([0, 1]))
    check = Duplicates(training=Npz(path=str(tmp_path / "train.npz")))
    evidence = measured.evidence_of(check, _audit(grey[:60], LABELS[:60]))
    assert evidence.images.index[evidence.images["leaked_from"] >= 0].tolist() == [5, 6]
    # Its classes are called 0 and 1: nothing is said about labels that differ.
    assert evidence.metrics["label_conflicts"].estimate.value == 0


def test_a_sample_is_compared_within_itself(found):
    check = Duplicates(images=30)
    evidence = measured.evidence_of(check, _audit())
    chosen = set(check.chosen(_audit()).tolist())
    assert set(evidence.images.index) == chosen
    copies = {image for image in chosen if any(image != o and _same(image, o) for o in chosen)}
    assert set(evidence.images.index[evidence.images["has_copy"]]) == copies


def _same(one, other):
    return np.array_equal(IMAGES[one], IMAGES[other])


def test_a_pair_is_named_once_and_the_nearest_first():
    found = Neighbours(
        position=np.array([[1, 2], [0, 2], [0, 1]]),
        distance=np.array([[0.02, 0.3], [0.02, 0.01], [0.3, 0.01]], np.float32),
        mirrored=np.array([[True, False], [True, False], [False, False]]),
        limit=np.full(3, 0.05, np.float32),
    )
    pairs = pairs_of(found, np.array([7, 8, 9]))
    assert pairs.image.tolist() == [8, 7]
    assert pairs.other.tolist() == [9, 8]
    assert pairs.mirrored.tolist() == [False, True]


def test_a_leak_names_the_nearest_copy_and_groups_reach_over_others():
    answers = pd.DataFrame({"label": [0, 0, 0], "predicted": [0, 0, 0]}, index=[3, 5, 9])
    within = Pairs(np.array([5, 3]), np.array([9, 5]), np.zeros(2), np.zeros(2, bool))
    leaks = Pairs(np.array([5, 5]), np.array([70, 80]), np.array([0.01, 0.02]), np.zeros(2, bool))
    images = of_arrays("images", np.zeros((10, 4, 4), np.uint8), np.zeros(10, int), ("one",))
    table = images_table(answers, Found(images, answers.index.to_numpy(), within, images, leaks))
    assert table["group"].tolist() == [3, 3, 3]
    assert table["leaked_from"].tolist() == [-1, 70, -1]


@pytest.mark.slow
@pytest.mark.parametrize("place", ["nowhere", "empty"])
def test_a_training_set_that_is_not_there_is_one_line_before_anything_is_recorded(
    place, tmp_path, uri
):
    (tmp_path / "empty").mkdir()
    config = parse_config(
        {
            "model": uri,
            "data": {"kind": "digits"},
            "checks": [
                {
                    "kind": "duplicates",
                    "images": 20,
                    "training": {"kind": "folder", "path": str(tmp_path / place)},
                }
            ],
            "experiment": f"none {place}",
        }
    )
    with pytest.raises(AuditError, match="duplicates, training: Expected") as caught:
        run_audit(config)
    (line,) = caught.value.args
    assert str(tmp_path / place) in line
    assert mlflow.get_experiment_by_name(f"none {place}") is None


@pytest.mark.slow
def test_an_audit_with_a_training_set_finds_the_leak_and_is_judged(uri, tmp_path):
    train = load(Digits(split="test")).tensor(range(40))[:, 0].numpy()
    np.savez(tmp_path / "train.npz", x=train, y=np.zeros(40, int))
    config = parse_config(
        {
            "model": uri,
            "data": {"kind": "digits"},
            "checks": [
                {
                    "kind": "duplicates",
                    "training": {"kind": "npz", "path": str(tmp_path / "train.npz")},
                }
            ],
            "policy": {"conditions": [{"metric": "duplicates/leaked", "max": 0.01}]},
            "store": str(tmp_path / "store"),
        }
    )
    result = run_audit(config)
    assert result.verdict.word == "failed"
    (evidence,) = result.evidence
    leaked = evidence.images.index[evidence.images["leaked_from"] >= 0]
    assert set(leaked) >= set(range(40))
    assert len(leaked) <= 42  # digits of 8x8 pixels are near each other


def test_a_secret_training_set_is_refused():
    with pytest.raises(ValidationError, match="expected all of the training set"):
        Duplicates(training=Folder(path="x", secret=True, sample=5))
