"""Answers that the process of a model forges: sizes, names and texts are bounded."""

from types import SimpleNamespace

import numpy as np
import pytest

from audits.checks._shared.forms import shown_form
from audits.checks.context import Unit
from audits.checks.part_form import unlike
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
