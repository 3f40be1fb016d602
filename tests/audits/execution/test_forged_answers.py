"""Answers that the process of a model forges: sizes, names and texts are bounded."""

from types import SimpleNamespace

import numpy as np
import pytest

from audits.checks._shared.forms import shown_form
from audits.checks.ablation import Ablation
from audits.checks.concepts import Concepts
from audits.checks.context import Unit
from audits.checks.input_doctor import InputDoctor
from audits.checks.part_form import Array, UpTo, unlike
from audits.checks.random_fill import RandomFill
from audits.execution.child import Measured
from audits.execution.setting import Setting
from audits.execution.worker import WorkerFailure, of_type

SETTING = {"device": "cpu", "dtype": "float32", "torch": "2.15.0+cpu", "speed": "AVX2, 2 threads"}


@pytest.mark.parametrize("device", ["cpu", "NVIDIA H100 80GB HBM3", "AMD Radeon (TM) R9/X_2-a"])
def test_a_setting_is_a_few_words(device):
    assert of_type(Setting, {**SETTING, "device": device}).device == device


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("device", "x" * 200_000),
        ("device", "cpu\u202eupc"),
        ("device", "cpu\n"),
        ("torch", "2" * 3_000_000),
        ("torch", "\x1b[31m2"),
        ("dtype", "float33"),
        ("speed", "AVX2 \x1b[31m"),
        ("speed", ""),
        ("gives", "all"),
        ("model", {"outputs": {"shape": "(N, K)\u202e"}}),
        ("model", {"outputs": {"container": "x" * 3000}}),
    ],
)
def test_a_forged_setting_is_no_answer(field, value):
    with pytest.raises(WorkerFailure, match="no proper answer"):
        of_type(Setting, {**SETTING, field: value})


@pytest.mark.parametrize(
    "value",
    [
        {"short": "x" * 2001},
        {"short": "a\u202eb"},
        {"short": "a\nb"},
        {"part": {"index\x1b": 1}},
        {"part": ["x" * 1000] * 1001},
    ],
)
def test_texts_of_an_answer_are_short_and_can_be_printed(value):
    assert of_type(Measured, {"short": "memory was too short"}).short
    with pytest.raises(WorkerFailure, match="text that cannot be printed, or is too long"):
        of_type(Measured, value)


@pytest.mark.parametrize(
    ("shape", "ok"),
    [
        ((2, 5, 8, 6, 3), True),
        ((2, 5, 0, 0, 3), False),
        ((2, 5, 1, 20000, 3), False),
        ((2, 5, 700, 700, 3), False),
        ((2, 6, 8, 6, 3), False),
        ((3, 5, 8, 6, 3), False),
        ((1, 5, 8, 6, 3), False),
    ],
)
def test_pictures_are_as_large_and_as_many_as_the_audit_says(shape, ok):
    audit = SimpleNamespace(classes=("a", "b"), shape=(1, 8, 6))
    forms = shown_form(audit, Unit(0, (3, 4, 5), (3, 5, 9)), 5)
    part = {
        "shown": np.zeros(shape, np.uint8),
        "shown_label": np.zeros(shape[0], np.int64),
    }
    assert (unlike(part, forms) == "") is ok


def test_a_unit_without_pictures_sends_none():
    audit = SimpleNamespace(classes=("a", "b"), shape=(1, 8, 6))
    forms = shown_form(audit, Unit(0, (3, 4), (9,)), 5)
    labels = np.zeros(0, np.int64)
    for shape in ((0, 5, 0, 0, 3), (0, 0, 0, 0, 3)):
        assert unlike({"shown": np.zeros(shape, np.uint8), "shown_label": labels}, forms) == ""
    assert unlike({"shown": np.zeros((0, 5, 9, 9, 3), np.uint8), "shown_label": labels}, forms)


def test_no_side_is_longer_than_there_is_to_measure():
    forms = {name: Array("int", (UpTo(3, "rows"), UpTo(2)), 0, 9) for name in ("read", "null")}
    few, many = np.zeros((3, 2), np.int8), np.zeros((4, 2), np.int8)
    assert unlike({"read": few, "null": few[:, :1]}, forms) == ""
    assert "more than 3" in unlike({"read": many, "null": many}, forms)
    assert "more than 2" in unlike({"read": np.zeros((3, 3), np.int8), "null": few}, forms)
    assert unlike({"read": few, "null": few[:2]}, forms)  # of one name, so of one length


_SMALL = SimpleNamespace(
    classes=("a", "b"),
    shape=(1, 8, 8),
    images=SimpleNamespace(labels=np.zeros(9, np.int64), __len__=lambda: 9),
    with_reference=False,
)
_UNIT = Unit(0, (0, 1, 2), (0,), (("class", 0), ("places", 4), ("size", 4), ("strength", 1.0)))


@pytest.mark.parametrize(
    ("check", "names"),
    [
        (Concepts(), ("kept",)),
        (Concepts(), ("importance",)),
        (Concepts(), ("dictionary",)),
        (Concepts(), ("read", "read_null", "common")),
        (RandomFill(), ("class", "class_update")),
        (InputDoctor(), ("name",)),
        (InputDoctor(), ("skipped", "reason")),
        (Ablation(mask_ratio=(0.25,), patch_size=(2,)), ("shown",)),
    ],
)
def test_a_part_that_is_larger_than_its_unit_is_refused(check, names):
    forms = check.part_form(_SMALL, _UNIT)
    many = 1_000_000
    for name in names:
        form = forms[name]
        shape = [many if isinstance(side, UpTo) else side for side in form.shape]
        if shape == list(form.shape):
            shape = [many, *shape[1:]]
        kind = {"int": np.int8, "float": np.float32, "bool": np.bool_, "text": "U1"}[form.kind]
        array = np.broadcast_to(np.zeros((), kind), shape)
        assert unlike({name: array}, {name: form}), name
