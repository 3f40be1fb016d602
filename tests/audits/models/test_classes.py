"""Classes of a data set are matched to the logits of a model, or a line says how to do it."""

import numpy as np
import pytest

from audits.errors import AuditError, ModelRefused
from audits.models import imagenet
from audits.models.classes import PLAIN, matched

WNIDS = tuple(imagenet.wnids())


def _names(found, data):
    """The model's name of each class of the data."""
    return dict(zip(data, (found.names[i] for i in found.order), strict=True))


def _refused(*given, error=AuditError, **more):
    with pytest.raises(error) as refused:
        matched(*given, **more)
    text = str(refused.value)
    assert "\n" not in text
    assert len(text) <= 400
    return text


def test_exact_names_need_no_word():
    found = matched(["cat", "dog"], ["eel", "dog", "cat"])
    assert found.names == ("eel", "dog", "cat")
    assert found.order.tolist() == [2, 1]
    assert found.order.dtype == np.int64
    assert (found.how, found.questions) == (PLAIN, ())


@pytest.mark.parametrize(
    ("data", "model"),
    [
        ("T-shirt_top", "t shirt top"),
        ("me\N{ZERO WIDTH NON-JOINER}mez", "memez"),
        ("3", "\N{CIRCLED DIGIT THREE}"),
        ("cafe\N{COMBINING ACUTE ACCENT}", "caf\N{LATIN SMALL LETTER E WITH ACUTE}"),
        ("EGYPTIAN CAT", "egyptian_cat"),
        ("Straße", "STRASSE"),
        ("007", "7"),
        ("tabby cat", "tabby, tabby cat"),
        ("tabby", "n02123045 tabby, tabby cat"),
        ("n02123045_tabby", "n02123045"),
        ("n02123045", "n02123045 tabby, tabby cat"),
        ("n02123045_tabby", "Tabby"),
        ("n01440764", "tench"),
        ("tench", "n01440764"),
    ],
)
def test_names_match_if_they_differ_in_writing_only(data, model):
    found = matched([data, "other"], ["more", model, "other"])
    assert found.order.tolist() == [1, 2]
    assert f"{data!r} is {model!r}" in found.how


def test_an_exact_name_comes_before_a_loose_one():
    found = matched(["a", "A"], ["A", "a", "-a"])
    assert found.order.tolist() == [1, 0]
    # A full name comes before a synonym.
    assert matched(["missile"], ["missile", "projectile, missile"]).order.tolist() == [0]


@pytest.mark.parametrize(
    ("data", "model", "message"),
    [
        (["a b"], ["A_b", "a-B"], "one class of the model for 'a b', got 'A_b' (0), 'a-B' (1)."),
        (["cat"], ["tabby, cat", "persian, cat"], "'tabby, cat' (0), 'persian, cat' (1)"),
        (["cat", "Cat"], ["CAT", "dog"], "for 'cat' and 'Cat' in the data, got 'CAT' for both"),
        (["1", "01"], ["a", "b"], "for '1' and '01' in the data, got 'b' for both"),
        (["1", "01"], None, "for '1' and '01' in the data"),
        (["n01440764", "n01440764_tench"], None, "got 'n01440764' for both"),
    ],
)
def test_an_ambiguous_match_is_refused_with_the_cure(data, model, message):
    text = _refused(data, model)
    assert message in text
    assert "preprocessing.class_map" in text


def test_a_class_that_the_model_does_not_know_is_refused():
    text = _refused(["cat", "dog", "eel"], ["cat", "dog"], origin="arrays")
    assert text.startswith("Expected classes that the model knows (cat, dog), got 'eel' in arrays.")
    assert "preprocessing.classes," in text
    assert "preprocessing.class_map" in text


def test_a_class_that_no_folder_can_be_called_gets_the_line_for_the_config():
    text = _refused(["T-shirt_top", "Bag"], ["T-shirt/top", "Bag"])
    assert text.endswith("preprocessing.class_map: {T-shirt_top: T-shirt/top}.")
    found = matched(["T-shirt_top", "Bag"], ["Bag", "T-shirt/top"], {"T-shirt_top": "T-shirt/top"})
    assert found.order.tolist() == [1, 0]
    # A class that was found already is not offered.
    assert "slash" not in _refused(["a/b", "c"], ["a/b", "d"])


def _thousand():
    names = [f"class {i}" for i in range(1000)]
    names[134] = names[517] = "crane"
    return names


def test_a_thousand_names_of_which_one_stands_twice():
    found = matched(["class 7", "class 999"], _thousand())
    assert found.order.tolist() == [7, 999]
    assert (found.names[134], found.names[517]) == ("crane (134)", "crane (517)")
    assert len(set(found.names)) == 1000
    text = _refused(["class 7", "crane"], _thousand())
    assert "'crane' stands twice: 134 and 517" in text
    assert text.endswith("preprocessing.class_map: {crane: 134}.")
    for target in (517, "crane (517)"):
        assert matched(["class 7", "crane"], _thousand(), {"crane": target}).order.tolist() == [
            7,
            517,
        ]


def test_a_name_that_stands_three_times_is_counted():
    assert "stands 3 times: 0, 2, 3." in _refused(["a"], ["a", "b", "a", "a"])


def test_numbers_are_indices_and_not_sorted_as_text():
    data = sorted(str(i) for i in range(12))
    assert data[1:3] == ["1", "10"]
    found = matched(data, None)
    assert found.order.tolist() == [int(name) for name in data]
    assert found.names == tuple(str(i) for i in range(12))
    assert (found.questions, found.at_least) == ((), True)
    named = matched(data, [f"name {i}" for i in range(12)])
    assert named.order.tolist() == found.order.tolist()
    assert "by index, from 0 (12; '0' is 'name 0')" in named.how


def test_numbers_may_leave_indices_out():
    found = matched(["3", "0"], None)
    assert (found.names, found.order.tolist()) == (("0", "1", "2", "3"), [3, 0])
    assert len(matched(["3", "0"], None, logits=10).names) == 10
    found.expect_logits(4)
    found.expect_logits(1000)
    with pytest.raises(ModelRefused, match=r"at least 4 logits, .* highest is 3, got 3"):
        found.expect_logits(3)
    assert "Expected indices of logits, below 3" in _refused(["3", "0"], None, logits=3)
    assert "got '20240131'" in _refused(["20240131", "1"], None)
    assert matched(["9" * 5000, "1"], None).questions
    assert matched(["3", "0"], "abcdef").order.tolist() == [3, 0]


def test_numbers_among_a_models_names_are_names():
    # The model calls its first class 1: "1" must not be taken for the index 1.
    model = ["1", "2", "3"]
    assert matched(["2", "3"], model).order.tolist() == [1, 2]
    assert "got '0'" in _refused(["0", "1", "2"], model)
    assert matched(["3", "2"], ["2", "0", "3"]).order.tolist() == [2, 0]


def test_numbers_above_a_models_classes_are_refused():
    assert "got '3' in" in _refused(["1", "2", "3"], ["a", "b", "c"])


def test_names_for_nameless_logits_are_a_question():
    found = matched(["cat", "dog"], None)
    assert (found.names, found.order.tolist()) == (("cat", "dog"), [0, 1])
    (question,) = found.questions
    assert question.endswith("preprocessing.classes: [cat, dog]")
    found.expect_logits(2)
    with pytest.raises(ModelRefused, match=r"Expected logits of 2 classes, .*, got 10"):
        found.expect_logits(10)
    (quoted,) = matched(["yes", "no: never"], None).questions
    assert quoted.endswith("preprocessing.classes: ['yes', 'no: never']")
    (many,) = matched(_thousand()[:100], None).questions
    assert many.endswith("class 20, ...]")
    assert len(many) < 400


def test_the_map_comes_first_by_name_and_by_index():
    found = matched(["cat", "hound"], ["cat", "dog", "CAT"], {"hound": "Dog", "cat": 2})
    assert _names(found, ["cat", "hound"]) == {"cat": "CAT", "hound": "dog"}
    assert "by preprocessing.class_map (2; 'cat' is 'CAT')" in found.how
    partly = matched(["cat", "hound"], ["cat", "dog"], {"hound": 1})
    assert partly.order.tolist() == [0, 1]
    together = matched(["tabby", "siamese"], ["cat", "dog"], {"tabby": "cat", "siamese": 0})
    assert together.order.tolist() == [0, 0]


def test_the_map_settles_the_order_of_nameless_logits():
    found = matched(["cat", "dog"], None, {"cat": 3, "dog": 0})
    assert (found.order.tolist(), found.questions) == ([3, 0], ())
    assert found.names == ("dog", "1", "2", "cat")
    assert matched(["5", "7"], None, {"7": 0}).order.tolist() == [5, 0]
    assert len(set(matched(["5", "7"], None, {"7": 6, "5": 0}, logits=9).names)) == 9


@pytest.mark.parametrize(
    ("model", "chosen", "message"),
    [
        (["cat", "dog"], {"horse": 0}, "Expected classes of the data (cat, dog) as keys"),
        (["cat", "dog"], {"cat": 2}, "Expected an index below 2"),
        (["cat", "dog"], {"cat": "horse"}, "Expected a class of the model (cat, dog) or its index"),
        (["cat", "dog", "dog"], {"cat": "dog"}, "'dog' stands twice: 1 and 2"),
        (None, {"cat": "cat"}, "Expected an index under preprocessing.class_map.'cat'"),
        (None, {"cat": 0}, "got none for 'dog'"),
    ],
)
def test_a_map_that_makes_no_sense_is_refused(model, chosen, message):
    assert message in _refused(["cat", "dog"], model, chosen)


@pytest.mark.parametrize(
    ("data", "one"),
    [
        (["train", "val"], "val"),
        (["Training", "validation", "TEST"], "TEST"),
        (["test"], "test"),
        (["dev", "eval", "train"], "dev"),
    ],
)
@pytest.mark.parametrize("model", [None, ["cat", "dog"]])
def test_folders_of_splits_are_no_classes(data, one, model):
    text = _refused(data, model, logits=2, origin="pets (folder)")
    assert text.startswith("Expected folders of classes in pets (folder), got ")
    assert f"which look like splits. Set data.split: {one}. If they are no folders" in text


def test_a_model_may_have_classes_that_are_called_like_splits():
    assert matched(["train"], ["bus", "train", "tram"]).order.tolist() == [1]
    assert matched(["test", "train"], None, {"test": 1, "train": 0}).order.tolist() == [1, 0]
    assert matched(["train", "bus"], ["bus", "train"]).order.tolist() == [1, 0]


def test_wnids_of_nameless_logits_are_imagenets():
    data = ["n02123045_tabby", "n01440764", "n15075141"]
    for logits in (None, 1000):
        found = matched(data, None, logits=logits)
        assert found.order.tolist() == [281, 0, 999]
        assert found.names == WNIDS
        assert "in the order of ImageNet's 1,000 classes" in found.how
        assert not found.questions
    with pytest.raises(ModelRefused, match=r"Expected logits of 1000 classes, .* got 10\."):
        found.expect_logits(10)
    assert matched(data, None, logits=3).questions
    assert matched([*data, "n99999999"], None).questions


def test_imagenets_order_is_known_by_its_names_also_if_two_are_the_same():
    names = list(imagenet.english())
    names[134] = "crane"
    assert names[517] == "crane"
    found = matched(["n02012849_crane", "n03126707", "n02123045"], names)
    assert found.order.tolist() == [134, 517, 281]
    # The same names in another order: only names count.
    turned = names[::-1]
    assert matched(["n02123045_tabby"], turned).order.tolist() == [999 - 281]
    assert "stands twice" in _refused(["n02012849_crane"], turned)


def test_wnids_match_those_of_the_model_in_any_order():
    model = ["n02123045 tabby", "n01440764_tench", "n15075141"]
    found = matched(["n01440764", "n15075141_tissue", "n02123045"], model)
    assert found.order.tolist() == [1, 2, 0]
    assert "by wnid (" in found.how


def test_a_long_name_does_not_make_a_long_line():
    long = "x" * 5000 + "\n" + "y" * 5000
    assert "preprocessing.class_map" in _refused([long], [f"{i} {long}" for i in range(500)])
    assert "preprocessing.class_map" in _refused([long], ["a"] + [long] * 400)
    _refused(["train"], None, origin=long)
    assert all(len(question) < 420 for question in matched([long, "a"], None).questions)


@pytest.mark.parametrize("model", [None, tuple("abcdefghij")], ids=["nameless", "named"])
def test_indices_without_a_0_are_a_question_since_they_may_count_from_1(model):
    assert matched(["0", "4", "9"], model).questions == ()
    (question,) = matched(["4", "9"], model).questions
    assert "they may count from 1" in question
    assert question.endswith("preprocessing.class_map: {'4': 4, '9': 9}")
    settled = matched(["4", "9"], model, {"4": 3, "9": 8})
    assert (settled.order.tolist(), settled.questions) == ([3, 8], ())


def test_a_minus_and_a_range_are_no_marks_between_words():
    for data, model in ((["-1", "0"], ["0", "1"]), (["1-1", "2"], ["11", "2"])):
        with pytest.raises(AuditError, match="Expected classes that the model knows"):
            matched(data, model)
