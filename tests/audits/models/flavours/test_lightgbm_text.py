"""A booster's text file is read strictly: LightGBM goes by its numbers wherever they lead."""

import random
import re

import numpy as np
import pandas as pd
import pytest

from audits.errors import ModelRefused
from audits.models.flavours.lightgbm_text import expect_sound

lightgbm = pytest.importorskip("lightgbm")

VALUES = ("0", "1", "-1", "3", "63", "64", "-1000", "2147483647", "4294967295", "nan", "inf", "")
FOREST = {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5}


def _train(images, target, **params):
    data = lightgbm.Dataset(images, target, params=params)
    params = {"num_leaves": 7, "verbose": -1, "num_threads": 1, **params}
    return lightgbm.train(params, data, num_boost_round=3)


@pytest.fixture
def rows(digits):
    (images, target), _ = digits
    return images.reshape(-1, 64) / 255, target


@pytest.fixture
def write(tmp_path):
    """Writes a text, or the text of a booster, to a file."""

    def written(booster):
        file = tmp_path / "model.lgb"
        text = booster if isinstance(booster, str) else booster.model_to_string()
        file.write_bytes(text.encode())
        return file

    return written


@pytest.mark.parametrize(
    ("objective", "params"),
    [
        ("multiclass", {"num_class": 10}),
        ("multiclass", {"num_class": 10, "boosting": "dart"}),
        ("multiclassova", {"num_class": 10}),
        ("binary", {}),
        ("binary", FOREST),
        ("binary", {**FOREST, "min_data_in_leaf": 2000}),  # trees of one leaf
        ("binary", {"linear_tree": True}),
        ("binary", {"zero_as_missing": True, "monotone_constraints": [1] * 64}),
    ],
)
def test_what_lightgbm_writes_is_sound(objective, params, rows, write):
    images, target = rows
    target = target if params.get("num_class") else target == 1
    found = expect_sound(write(_train(images, target, objective=objective, **params)))
    assert found == objective


def test_trees_of_categories_and_missing_pixels_are_sound(rows, write):
    images, target = rows
    table = pd.DataFrame(images).where(images < 0.9)
    table[20] = pd.Series(target % 7).astype("category")
    booster = _train(table, target, objective="multiclass", num_class=10)
    assert "cat_threshold" in booster.model_to_string()
    assert expect_sound(write(booster)) == "multiclass"


def test_a_booster_that_was_trained_on_and_refitted_is_sound(rows, write):
    images, target = rows
    booster = _train(images, target == 1, objective="binary")
    params = {"objective": "binary", "verbose": -1}
    more = lightgbm.train(params, lightgbm.Dataset(images, target == 1), 2, init_model=booster)
    assert expect_sound(write(more.refit(images, target == 1))) == "binary"


def _with(text, key, change):
    """The text with another value at the first line of `key`, and without the trees' sizes."""
    text = re.sub(r"\ntree_sizes=[^\n]*", "", text)
    found, count = re.subn(rf"(\n{key}=)([^\n]*)", lambda m: m[1] + change(m[2]), text, count=1)
    assert count == 1
    return found


def _first(value):
    return lambda line: " ".join([value, *line.split(" ")[1:]])


@pytest.mark.parametrize(
    ("key", "change", "expected"),
    [
        ("split_feature", _first("64"), "split_feature below 64"),
        ("split_feature", _first("-1"), "split_feature below 64"),
        ("split_feature", _first("2000000000"), "split_feature below 64"),
        ("split_feature", _first("99999999999"), "numbers as split_feature"),
        ("split_feature", lambda line: line + " 1", "6 numbers as split_feature"),
        ("left_child", _first("0"), "children that make one tree"),
        ("left_child", _first("100"), "children that make one tree"),
        ("left_child", _first("-1000"), "children that make one tree"),
        ("right_child", _first("-1"), "children that make one tree"),
        ("num_leaves", lambda _: "6", "6 numbers as leaf_value"),
        ("num_leaves", lambda _: "-1", "num_leaves from 1 to"),
        ("num_leaves", lambda _: "0", "num_leaves from 1 to"),
        ("leaf_value", _first("nan"), "finite numbers as leaf_value"),
        ("leaf_value", _first("0x10"), "numbers as leaf_value"),
        ("leaf_value", lambda line: line.replace(" ", "  ", 1), "7 numbers as leaf_value"),
        ("num_cat", lambda _: "1", "2 numbers as cat_boundaries"),
        ("decision_type", _first("1"), "thresholds of categories among"),
        ("decision_type", _first("14"), "known values of decision_type"),
        ("decision_type", _first("256"), "known values of decision_type"),
        ("is_linear", lambda _: "1", "num_features of each leaf"),
        ("max_feature_idx", lambda _: "64", "65 feature_names"),
        ("num_class", lambda _: "1", "one number of classes"),
        ("num_class", lambda _: "1000000000", "num_class from 1 to"),
        ("num_tree_per_iteration", lambda _: "1", "one number of classes"),
        ("num_tree_per_iteration", lambda _: "0", "num_tree_per_iteration from 1 to"),
        ("objective", lambda _: "multiclass num_class:3", "one number of classes"),
        ("objective", lambda line: f"{line} num_class:3", "trained with the objective binary"),
        ("version", lambda line: f"{line}\nversion={line}", "each key that LightGBM writes, once"),
        ("shrinkage", lambda line: f"{line}\nodd=1", "each key that LightGBM writes, once"),
        ("shrinkage", lambda line: f"{line}\n\nodd=1", "each key that LightGBM writes, once"),
        ("num_cat", lambda line: f"{line}\r", "lines that end with one line feed"),
        ("num_cat", lambda line: f"{line}\0", "lines that end with one line feed"),
        ("num_cat", lambda line: f"{line}=0", "one = in a line"),
    ],
)
def test_a_number_that_leads_elsewhere_is_refused(key, change, expected, rows, write):
    text = _train(*rows, objective="multiclass", num_class=10).model_to_string()
    assert expect_sound(write(_with(text, "version", lambda line: line))) == "multiclass"
    with pytest.raises(ModelRefused, match=f"Expected (a booster )?{re.escape(expected)}") as told:
        expect_sound(write(_with(text, key, change)))
    assert "\n" not in str(told.value)


def test_leaves_that_read_other_numbers_than_pixels_are_refused(rows, write):
    images, target = rows
    text = _train(images, target == 1, objective="binary", linear_tree=True).model_to_string()
    at = text.index("leaf_features=", text.index("Tree=1"))
    odd = text[:at] + re.sub(r"\d+", "64", text[at:], count=1)
    with pytest.raises(ModelRefused, match="leaf_features below 64"):
        expect_sound(write(re.sub(r"\ntree_sizes=[^\n]*", "", odd)))


@pytest.mark.parametrize("cut", [200, 3000])
def test_a_file_that_is_cut_off_is_refused(cut, rows, write):
    text = _train(*rows, objective="multiclass", num_class=10).model_to_string()
    with pytest.raises(ModelRefused, match="the line 'end of trees' behind them"):
        expect_sound(write(text[:cut]))


def test_sizes_that_lead_into_other_trees_are_refused(rows, write):
    text = _train(*rows, objective="multiclass", num_class=10).model_to_string()
    sizes = re.search(r"tree_sizes=([^\n]*)", text)[1].split(" ")
    moved = " ".join([str(int(sizes[0]) + 1), str(int(sizes[1]) - 1), *sizes[2:]])
    with pytest.raises(ModelRefused, match="tree_sizes that are the lengths of the trees"):
        expect_sound(write(text.replace(" ".join(sizes), moved)))


def test_trees_that_make_no_whole_iteration_are_refused(rows, write):
    text = _train(*rows, objective="multiclass", num_class=10).model_to_string()
    last = text.index("Tree=29")
    short = text[:last] + text[text.index("end of trees") :]
    with pytest.raises(ModelRefused, match="Expected 10 trees or a multiple"):
        expect_sound(write(re.sub(r"\ntree_sizes=[^\n]*", "", short)))


def test_text_in_another_encoding_is_refused(write, tmp_path):
    (tmp_path / "x").write_bytes(b"tree\nversion=\xff\n")
    with pytest.raises(ModelRefused, match="text in UTF-8"):
        expect_sound(tmp_path / "x")


@pytest.mark.parametrize("line", ["nonsense", "[no_colon]", "[NAME: 1]", "[n: 1"])
def test_parameters_that_lightgbm_does_not_write_are_refused(line, rows, write):
    text = _train(*rows, objective="multiclass", num_class=10).model_to_string()
    with pytest.raises(ModelRefused, match="Expected parameters such as"):
        expect_sound(write(text.replace("[boosting: gbdt]", line)))
    with pytest.raises(ModelRefused, match="the line 'end of parameters'"):
        expect_sound(write(text.replace("end of parameters", "")))


def test_changed_files_are_refused_or_answer_whatever_else_is_asked(rows, write):
    """A number that LightGBM reads beside the trees differs between a batch and one image."""
    images, target = rows
    images = images[:40].copy()
    images[:, 0] = target[:40]
    params = {"objective": "multiclass", "num_class": 10, "min_data_in_leaf": 2}
    text = _train(images, target[:40], **params).model_to_string()
    text = re.sub(r"\ntree_sizes=[^\n]*", "", text)
    end, draw, sound = text.index("end of trees"), random.Random(0), 0
    places = list(re.finditer(r"[-0-9.e+]+", text[:end]))
    for _ in range(300):
        at = draw.choice(places)
        file = write(text[: at.start()] + draw.choice(VALUES) + text[at.end() :])
        try:
            expect_sound(file)
            booster = lightgbm.Booster(model_file=str(file))
        except (ModelRefused, lightgbm.basic.LightGBMError):
            continue
        sound += 1
        alone = np.concatenate([booster.predict(row[None]) for row in images])
        np.testing.assert_array_equal(booster.predict(images), alone)
    assert 10 < sound < 250
