"""Class names of config and metadata are compared with those that the model's files carry."""

import json

import pytest
from bad_places import model_files

from audits.errors import ModelRefused
from audits.models.contract import Said
from audits.models.files import inspect
from audits.models.own_names import expect_own_order
from audits.models.preprocessing import Preprocessing
from audits.models.trust import Trust

ANIMALS = ("cat", "dog", "eel")
GRAPH = "the ONNX graph"


def _said(by, names):
    return Said(by, {"classes": names})


def _warnings(names, own, by="the config"):
    return expect_own_order([Said("nobody", {}), _said(by, names)], [_said(GRAPH, own)])


@pytest.mark.parametrize(
    ("names", "own"),
    [
        (ANIMALS, ANIMALS),
        (ANIMALS, ("Cat", " dog", "e-e_l")),
        (ANIMALS, None),
        (None, ANIMALS),
        (None, None),
        (("tabby", "eel"), ("tabby, tabby cat", "eel, eel fish")),
        (("n01440764", "n01443537"), ("tench, Tinca tinca", "goldfish, Carassius auratus")),
        (("1", "01"), ("1", "1")),
        (("missile", "projectile"), ("missile", "projectile, missile")),  # as ImageNet's
        (("maillot", "maillot"), ("maillot", "maillot, tank suit")),
        (("_", "-"), ("_", "-")),
    ],
)
def test_the_same_names_in_the_same_order_say_nothing(names, own):
    assert _warnings(names, own) == ()


@pytest.mark.parametrize(
    "own",
    [
        *(("LABEL_1", "LABEL_0"), ("digit 1", "digit 2"), ("1", "0")),
        *(("One", "zero"), ("1 - one", "0 - zero")),
    ],
)
def test_numbers_at_another_place_are_refused(own):
    with pytest.raises(ModelRefused, match="another order"):
        _warnings(("0", "1"), own)


@pytest.mark.parametrize(
    "own",
    [
        ("dog", "cat", "eel"),
        ("eel", "cat", "dog"),
        ("Eel", "DOG", "cat"),
        ("dog", "eel", "a cat"),  # one name is another one
        ("wolf", "eel"),
        ("eel", "eel", "dog"),  # each name twice or at another place
        ("dog, cat", "eel, dog", "cat, eel"),  # people are shown the first synonym
    ],
)
def test_the_same_names_in_another_order_are_refused(own):
    with pytest.raises(ModelRefused, match="those of the config in another order than in the ONNX"):
        _warnings(ANIMALS, own)


def test_other_names_are_warned_of_with_the_first_place():
    (told,) = _warnings(ANIMALS, ("cat", "wolf", "fox"), "the model's metadata")
    assert told.startswith(
        "2 of 3 classes have other names in the ONNX graph than in the model's metadata, which "
        "were taken: the ONNX graph has 'wolf' and not 'dog' at index 1."
    )


def test_another_number_of_names_is_warned_of():
    (told,) = _warnings(ANIMALS, ANIMALS[:2])
    assert "1 of 3 classes" in told
    assert "the ONNX graph has none and not 'eel' at index 2" in told


def test_two_files_of_the_model_are_compared_if_nobody_else_names_classes():
    own = [_said("timm's pretrained_cfg", ANIMALS), _said("config.json", ANIMALS[::-1])]
    with pytest.raises(ModelRefused, match="those of timm's pretrained_cfg in another order"):
        expect_own_order([], own)


NUMBERS = [str(n) for n in range(10)]
DIGITS = [f"digit {n}" for n in NUMBERS]


def _inspected(tmp_path, labels, **given):
    """A model with the names NUMBERS in its metadata, and `labels` in timm's description of it."""
    folder = model_files(tmp_path / "m", pretrained_cfg={"label_names": labels})
    preprocessing = Preprocessing.model_validate_json(json.dumps(given))
    return inspect(folder, preprocessing, Trust(by_name=True))


def test_the_files_of_a_model_are_read_with_the_warning(tmp_path):
    files = _inspected(tmp_path, DIGITS)
    assert files.classes == tuple(NUMBERS)
    (told,) = files.warnings
    assert "10 of 10 classes have other names in timm's pretrained_cfg" in told


def test_a_model_whose_files_have_the_names_in_another_order_is_refused(tmp_path):
    with pytest.raises(ModelRefused, match="the model's metadata in another order than in timm's"):
        _inspected(tmp_path, NUMBERS[::-1])


def test_the_names_of_the_config_are_compared_if_they_come_first(tmp_path):
    assert _inspected(tmp_path, DIGITS, classes=DIGITS).warnings == ()
    reversed_names = {"classes": DIGITS[::-1], "overrides": False}
    assert len(_inspected(tmp_path / "b", DIGITS, **reversed_names).warnings) == 1
    with pytest.raises(ModelRefused, match="those of the config in another order"):
        _inspected(tmp_path / "c", DIGITS, classes=DIGITS[::-1])
