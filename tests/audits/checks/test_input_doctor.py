"""The doctor finds a wrong feeding and its cure, and raises no alarm without a reason."""

from dataclasses import replace

import measured
import numpy as np
import pytest
import torch
from nets import Constant
from torch import nn

from audits.checks.context import AuditContext
from audits.checks.input_doctor import InputDoctor
from audits.data.fit import Fit
from audits.errors import AuditError
from audits.models.contract import InputContract
from fillblanks import Classifier, Plan

SIZE = 8
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


class Wants(nn.Module):
    """Answers the channel that is brightest once `undo` has made pixels of its inputs.

    The darkest pixel of an image must then be 0 and the brightest 1, else the answer is class 0.
    """

    def __init__(self, undo):
        super().__init__()
        self.undo = undo

    def forward(self, x):
        pixels = self.undo(x)
        flat = pixels.flatten(1)
        odd = (flat.amin(1).abs() > 1e-3) | ((flat.amax(1) - 1).abs() > 1e-3)
        return torch.where(odd[:, None], torch.eye(3)[0], pixels.mean((2, 3)))


class Flat(nn.Module):
    """A linear network of images (N, H, W, 3) that takes any layout."""

    def forward(self, x):
        return x.reshape(len(x), SIZE, SIZE, 3).mean((1, 2))


def _colours(count=60, height=SIZE, width=SIZE):
    """Noisy images, one channel of each brighter than the others, and their labels."""
    rng = np.random.default_rng(0)
    labels = np.arange(count) % 3
    images = rng.random((count, height, width, 3), dtype=np.float32) * 0.7
    images[np.arange(count), :, :, labels] += 0.3
    images[:, 0, 0], images[:, 0, 1] = 0, 1
    return images, labels


def _run(image_set, net, contract=None, data=None, classes=("a", "b", "c"), **fields):
    contract = contract or InputContract(Fit(3, SIZE, SIZE))
    images = image_set(*(data or _colours()), classes=classes, fit=contract.fit)
    model = Classifier(net.eval(), mean=contract.pixel_mean, std=contract.pixel_std)
    audit = AuditContext(images, 0, Plan(chunk=16), model=model, contract=contract)
    check = InputDoctor(**fields)
    return measured.evidence_of(check, audit)


def _rows(evidence):
    return evidence.tables["neighbours"].set_index("name")


def _given(**changes):
    return replace(InputContract(Fit(3, SIZE, SIZE)), **changes)


def _imagenet(x):
    mean, std = (torch.tensor(IMAGENET[name]).view(3, 1, 1) for name in ("mean", "std"))
    return x * std + mean


WRONG = [
    (lambda x: x / 255, _given(), "range 0-255", "set preprocessing.range: 0-255"),
    (lambda x: (x + 1) / 2, _given(), "range -1..1", "set preprocessing.range: -1..1"),
    (
        lambda x: x,
        _given(range="0-255"),
        "range 0-1",
        "set preprocessing.range: 0-1",
    ),
    (
        lambda x: x,
        _given(**IMAGENET),
        "range 0-1",
        "set preprocessing: {mean: 0, std: 1}",
    ),
    (
        lambda x: x / 255,
        _given(**IMAGENET),
        "range 0-255",
        "set preprocessing: {range: 0-255, mean: 0, std: 1}",
    ),
    (
        _imagenet,
        _given(),
        "ImageNet mean and std",
        "set preprocessing: {mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225]}",
    ),
    (
        lambda x: _imagenet(_imagenet(x)),
        _given(**IMAGENET),
        "normalised twice",
        "set preprocessing: {mean: [0.596065, 0.558144, 0.49735], "
        "std: [0.052441, 0.050176, 0.050625]}",
    ),
    (lambda x: 1 - x, _given(), "inverted", "invert the images of the data"),
    (lambda x: x.flip(1), _given(), "BGR", "log the model in a wrapper that turns RGB to BGR"),
]


@pytest.mark.parametrize(("undo", "given", "name", "cure"), WRONG, ids=lambda v: str(v)[:20])
def test_a_wrong_feeding_is_found_with_its_cure(undo, given, name, cure, image_set):
    evidence = _run(image_set, Wants(undo), given)
    assert _rows(evidence).accuracy[name] == 1
    assert evidence.estimates["accuracy"].value < 0.5
    (question,) = evidence.questions
    assert f"1.00 with {name}, better by " in question
    assert f": {cure}" in question
    assert f"ignore: [{name}" in question
    assert evidence.estimates["best_neighbour_gain"].low > 0


@pytest.mark.parametrize("undo", [lambda x: x, _imagenet], ids=["plain", "ImageNet"])
def test_a_right_feeding_raises_no_question(undo, image_set):
    given = _given() if undo is not _imagenet else _given(**IMAGENET)
    evidence = _run(image_set, Wants(undo), given)
    assert evidence.estimates["accuracy"].value == 1
    assert evidence.questions == ()
    assert "clearly better" in evidence.sentence
    assert "too few" not in evidence.sentence


def test_another_layout_is_found_if_the_network_takes_it(image_set):
    evidence = _run(image_set, Flat())
    assert _rows(evidence).accuracy["NHWC"] == 1
    assert "1.00 with NHWC, " in evidence.questions[0]
    assert ": set preprocessing.layout: NHWC." in evidence.questions[0]
    signed = _given(sources={"layout": "the signature"})
    assert (
        ": log the model with a signature of NHWC" in _run(image_set, Flat(), signed).questions[0]
    )


def test_a_network_that_does_not_take_another_layout_is_named(image_set):
    evidence = _run(image_set, nn.Sequential(nn.Conv2d(3, 3, SIZE), nn.Flatten()))
    (missed,) = evidence.tables["not_tried"].to_dict("records")
    assert missed["name"] == "NHWC"
    assert missed["reason"].startswith("RuntimeError: ")
    assert "NHWC" not in _rows(evidence).index


class Picky(nn.Module):
    """Takes images of one shape and raises an error of its own for any other."""

    def __init__(self, error):
        super().__init__()
        self.error, self.net = error, Wants(lambda x: x)

    def forward(self, x):
        if x.shape[1] != 3:
            raise self.error
        return self.net(x)


@pytest.mark.parametrize("error", [KeyError("nhwc"), AttributeError("no nhwc"), IndexError("8")])
def test_a_network_that_refuses_another_layout_in_its_own_way_is_named(error, image_set):
    (missed,) = _run(image_set, Picky(error)).tables["not_tried"].to_dict("records")
    assert missed["name"] == "NHWC"
    assert missed["reason"] == f"{type(error).__name__}: {error}"


@pytest.mark.parametrize(
    "names", [["BGR", "Log in at example.org"], ["BGR", "BGR"], ["as configured"]], ids=str
)
def test_the_models_process_names_known_neighbours_once(names, image_set):
    images = image_set(*_colours(), classes=("a", "b", "c"), fit=_given().fit)
    audit = AuditContext(images, 0, Plan(chunk=16), contract=_given())
    check, unit = InputDoctor(), InputDoctor().units(audit)[0]
    classifier = Classifier(Wants(lambda x: x).eval())
    part = check.measure(replace(audit, model=classifier), unit)
    assert set(part) == set(check.part_form(audit, unit))
    assert check.conclude(audit, [part]).status == "ok"
    forged = part | {"name": np.array(names), "predicted": part["predicted"][:, : len(names) + 1]}
    with pytest.raises(AuditError, match="Expected neighbours of the input contract, each once"):
        check.conclude(audit, [forged])


def _wide():
    """Images twice as wide as high, with the colour of their class in the middle alone."""
    images, labels = _colours(width=2 * SIZE)
    quarter = SIZE // 2
    for sides in (images[:, :, :quarter], images[:, :, -quarter:]):
        sides[:] = 0
        sides[np.arange(len(images)), :, :, (labels + 1) % 3] = 1
    images[:, 0, quarter], images[:, 0, quarter + 1] = 0, 1
    return images, labels


def test_another_rule_of_resizing_is_found(image_set):
    evidence = _run(image_set, Wants(lambda x: x), data=_wide())
    assert {"crop", "pad", "crop of 7/8"} < set(_rows(evidence).index)
    assert "stretch" not in _rows(evidence).index
    assert _rows(evidence).accuracy["crop"] == 1
    assert ": set preprocessing.resize: crop." in evidence.questions[0]


def test_rules_of_resizing_are_tried_only_if_images_are_resized(image_set):
    names = set(_rows(_run(image_set, Wants(lambda x: x))).index)
    assert not names & {"stretch", "crop", "pad", "crop of 7/8", "EXIF"}


@pytest.mark.parametrize(
    ("classes", "name", "cure"),
    [
        (("b", "c", "a"), "classes by name", "[a, b, c]"),
        (("9", "10", "8"), "classes by number", "[8, 9, 10]"),
    ],
)
def test_another_order_of_classes_is_found_without_a_pass(classes, name, cure, image_set):
    images, labels = _colours()
    right = sorted(classes, key=int) if classes[0] == "9" else sorted(classes)
    moved = np.array([list(classes).index(one) for one in right])[labels]
    evidence = _run(image_set, Wants(lambda x: x), data=(images, moved), classes=classes)
    assert f"1.00 with {name}, " in evidence.questions[0]
    assert f"set preprocessing.classes: {cure}" in evidence.questions[0]
    rows = _rows(evidence)
    passes = len(rows) - sum(other.startswith("classes") for other in rows.index)
    assert evidence.passes == 60 * passes


def test_what_is_ignored_is_not_tried(image_set):
    evidence = _run(image_set, Wants(lambda x: x / 255), ignore=("range 0-255",))
    assert "range 0-255" not in _rows(evidence).index
    assert evidence.questions == ()


class Dead(nn.Module):
    """One answer, another one for each range of inputs."""

    def forward(self, x):
        return torch.eye(3)[int(x.max() > 2) + int(x.min() < -0.5)].repeat(len(x), 1)


@pytest.mark.parametrize("classes", [("a", "b", "c"), ("c", "a", "b")])
@pytest.mark.parametrize("common", [0, 1, 2])
def test_a_dead_model_raises_no_question_whatever_the_classes(classes, common, image_set):
    images, labels = _colours()
    rare = np.where(np.arange(60) < 4, labels, common)  # nearly all are of one class
    evidence = _run(image_set, Dead(), data=(images, rare), classes=classes)
    assert evidence.questions == ()


def test_ten_classes_and_one_answer_raise_no_question(image_set):
    images = np.random.default_rng(0).random((80, SIZE, SIZE)).astype(np.float32)
    contract = InputContract(Fit(1, SIZE, SIZE))
    names = tuple("jihgfedcba")
    evidence = _run(image_set, Constant(), contract, (images, np.arange(80) % 10), names)
    assert "classes by name" in _rows(evidence).index
    assert evidence.questions == ()


def test_predictions_without_probabilities_have_no_confidence(image_set):
    class Predicts(nn.Module):
        def forward(self, x):
            return nn.functional.one_hot(x.mean((2, 3)).argmax(1), 3).float() - 1

    evidence = _run(image_set, Predicts())
    assert not evidence.estimates["confidence"].finite
    assert evidence.estimates["accuracy"].value == 1
    assert _run(image_set, Wants(lambda x: x)).estimates["confidence"].finite
