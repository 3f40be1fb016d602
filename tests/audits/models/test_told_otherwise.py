"""Classes matched by index or wnid are refused if the model names them otherwise."""

import pytest

from audits.errors import AuditError
from audits.models import imagenet
from audits.models.classes import matched

DIGITS = [str(n) for n in range(10)]
TABBY, GOLDEN = "n02123045", "n02099601"


def _moved(names):
    return [*names[1:], names[0]]


@pytest.mark.parametrize(
    "form", ["LABEL_{}", "digit {}", "class-{}", "no. {}", "#{}", "{}.0", "{} - x", "{}th", "Nr{}"]
)
def test_numbers_in_the_models_names_are_indices_or_are_refused(form):
    names = [form.format(n) for n in range(10)]
    assert matched(DIGITS, names).order.tolist() == list(range(10))
    if form == "{}.0":  # too alike to be told apart from the numbers themselves
        names = [f"{name} " for name in names]
    with pytest.raises(AuditError, match=r"'0' of the data at index 0 of the model, got"):
        matched(DIGITS, _moved(names))


@pytest.mark.parametrize(
    "names",
    [
        ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "zero"],
        [f"class {n}" for n in range(1, 11)],
        [*(f"digit {n}" for n in range(1, 10)), "digit zero"],
        ["one (1)", "two (2)", "zero (0)"],
        [*(f"{n}h" for n in range(1, 10)), "nought"],
        ["the digit '1' v2", "the digit '0' v2"],
        [*(f"digit {n}" for n in range(1, 10)), "nought (11)"],
        ["logit 0: one", "logit 1: two", "logit 2: zero"],
        ["1 (11 px)", "2 (12 px)", "0 (13 px)"],
        ["o\N{SOFT HYPHEN}ne", "two", "zero"],
        ["one_digit", "zero_digits"],
        ["second", "first", "zeroth"],
        ["ones", "sixes", "two", "zeroes"],
    ],
)
def test_other_numbers_are_refused_with_the_way_out(names):
    data = DIGITS[: len(names)]
    with pytest.raises(AuditError, match=r"preprocessing\.class_map\. If indices .*: {'0': 0, '1'"):
        matched(data, names)
    chosen = {name: int(name) for name in data}
    assert matched(data, names, chosen).order.tolist() == list(range(len(names)))


@pytest.mark.parametrize(
    "names",
    [
        ["cat", "dog"],
        ["A4 2012", "Q5 2012"],
        ["last", "last but 1"],
        ["Boeing 707", "Boeing 717"],
        ["20 km/h", "30 km/h"],
        ["c10", "c11"],
        ["one way", "no one", "stop"],
        ["eight", "three"],
    ],
)
def test_names_that_number_nothing_stay_indices(names):
    data = DIGITS[: len(names)]
    assert matched(data, names).order.tolist() == list(range(len(names)))


@pytest.mark.parametrize(
    ("data", "names"),
    [
        ([TABBY, GOLDEN], [f"{TABBY} golden retriever", f"{GOLDEN} tabby"]),
        ([f"{TABBY}_tabby", f"{GOLDEN}_golden"], [f"{TABBY} golden", f"{GOLDEN} tabby"]),
        (["n00000001 cup", "n00000002 jug"], ["n00000001 jug", "n00000002 cup"]),
    ],
)
def test_a_wnid_with_the_name_of_another_class_is_refused(data, names):
    with pytest.raises(AuditError, match=r"which is another class\. Correct the model's names"):
        matched(data, names)


@pytest.mark.parametrize(
    "name", [TABBY, f"{TABBY} tabby, tabby cat", f"{TABBY} house cat", f"{TABBY}: Tigerkatze"]
)
def test_a_wnid_with_its_own_name_or_an_unknown_one_matches(name):
    assert matched([TABBY], ["other", name]).order.tolist() == [1]


def test_names_in_imagenets_order_may_not_hide_two_that_changed_places():
    wnids = list(imagenet.wnids())
    names = list(imagenet.english())
    assert matched(wnids[:4], names).order.tolist() == [0, 1, 2, 3]
    names[0], names[1] = names[1], names[0]
    with pytest.raises(AuditError, match="got 'goldfish', which is another class"):
        matched(wnids[:4], names)


def test_the_names_of_timm_are_those_of_the_wnids():
    info = pytest.importorskip("timm.data").ImageNetInfo()
    wnids = list(imagenet.wnids())
    names = [f"{wnid} {info.index_to_description(i)}" for i, wnid in enumerate(wnids)]
    assert matched(wnids, names).order.tolist() == list(range(1000))
